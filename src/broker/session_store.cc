#include "broker/session_store.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "broker/message_codec.h"
#include "core/json.h"

namespace fleetward::broker::session_store {
namespace {

constexpr std::string_view kSessions = "session/";
constexpr std::string_view kSessionsEnd = "session0";  // '0' follows '/'
constexpr std::string_view kMessages = "message/";
constexpr std::string_view kMessagesEnd = "message0";
constexpr std::string_view kRetained = "retained/";
constexpr std::string_view kRetainedEnd = "retained0";
constexpr std::string_view kRouted = "routed/";
constexpr std::string_view kRoutedEnd = "routed0";
constexpr size_t kPage = 1000;
constexpr char kRetainFlag = 1, kSharedFlag = 2, kQos2Flag = 4;
constexpr char kSentStage = 1, kReleasedStage = 2;

// The shared messages of the log while the sessions are being read.
struct Loaded {
  MessagePtr message;
  std::shared_ptr<SharedMessage> shared;
};
using LoadedMessages = std::unordered_map<uint64_t, Loaded>;

std::string key(std::string_view client_id, char kind, std::string_view rest = {}) {
  std::string out;
  out.reserve(kSessions.size() + client_id.size() + rest.size() + 2);
  out.append(kSessions).append(client_id).push_back('\0');
  out.push_back(kind);
  out.append(rest);
  return out;
}

std::string number_text(uint64_t number, size_t width = 8) {
  std::string out(width, '\0');
  for (size_t i = 0; i < width; ++i) out[i] = static_cast<char>(number >> (8 * (width - 1 - i)) & 0xFF);
  return out;
}

std::string message_key(uint64_t id) {
  return std::string(kMessages) + number_text(id);
}

// A queue refers to it no more.
void release(log::Batch& batch, Outgoing& outgoing) {
  if (!std::exchange(outgoing.stored, false)) return;
  if (outgoing.shared && outgoing.shared->uses.fetch_sub(1) == 1)
    batch.erase(message_key(outgoing.shared->id));
}

uint64_t read_number(std::string_view text) {
  uint64_t value = 0;
  for (const char c : text) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

Status read_session(std::string_view value, const LoadTime& time, ClientSession& session) {
  auto document = json::parse(value);
  if (!document || !document->is_object()) return fail(ErrorCode::kCorrupt, "not a session");
  const json::object& o = document->as_object();
  session.persistent = session.restored = true;
  session.expiry_s = static_cast<uint32_t>(json::int_or(o, "expiry", 0));
  session.disconnected_since = {json::int_or(o, "disconnected", 0)};
  if (session.disconnected_since.ms == 0) session.disconnected_since = time.wall;
  session.lifecycle_version = json::int_or(o, "version", 0);
  // A wall clock that was set back meanwhile does not lengthen its life.
  const Duration gone = std::max(time.wall - session.disconnected_since, Duration{0});
  session.expires = time.steady + std::max(Duration{int64_t{session.expiry_s} * 1000} - gone, Duration{0});
  return {};
}

// One message of the queue. One whose shared message is gone is too: by the time that was erased, every queue
// had let go of it, though on another shard the key may be left when the program was killed.
Status read_queued(uint64_t sequence, std::string_view value, const LoadedMessages& messages,
                   ClientSession& session) {
  Outgoing outgoing;
  outgoing.sequence = sequence;
  outgoing.retain = (value.front() & kRetainFlag) != 0;
  outgoing.qos = (value.front() & kQos2Flag) != 0 ? 2 : 1;
  outgoing.stored = true;
  session.next_sequence = std::max(session.next_sequence, sequence + 1);
  if ((value.front() & kSharedFlag) != 0) {
    if (value.size() != 9) return fail(ErrorCode::kCorrupt, "a reference to a message is malformed");
    const auto found = messages.find(read_number(value.substr(1)));
    if (found == messages.end()) return {};
    outgoing.message = found->second.message;
    outgoing.shared = found->second.shared;
    outgoing.shared->uses.fetch_add(1);
  } else {
    auto message = decode_message(value.substr(1));
    if (!message) return fail(message.error());
    outgoing.message = std::move(*message);
  }
  session.queue_bytes += message_weight(*outgoing.message);
  if (const auto sent = session.inflight.find(sequence); sent != session.inflight.end()) {
    outgoing.packet_id = sent->second.packet_id;
    outgoing.stage = Outgoing::Stage::kSent;
    sent->second = std::move(outgoing);
  } else {
    session.queue.push_back(std::move(outgoing));
  }
  return {};
}

// How far a QoS 2 message came. Its 'q' key, if it still has one, follows.
Status read_position(uint64_t sequence, std::string_view value, ClientSession& session) {
  Outgoing outgoing;
  outgoing.sequence = sequence;
  outgoing.qos = 2;
  outgoing.packet_id = static_cast<uint16_t>(read_number(value.substr(0, 2)));
  outgoing.stage = Outgoing::Stage::kReleased;
  const char stage = value.back();
  if (outgoing.packet_id == 0 || (stage != kSentStage && stage != kReleasedStage)) {
    return fail(ErrorCode::kCorrupt, "the position of a message is malformed");
  }
  session.next_sequence = std::max(session.next_sequence, sequence + 1);
  session.inflight.emplace(sequence, std::move(outgoing));
  return {};
}

// One key of a session; `rest` is what follows its '\0'.
Status read_part(std::string_view rest, std::string_view value, const LoadTime& time,
                 const LoadedMessages& messages, ClientSession& session) {
  const char kind = rest.empty() ? '\0' : rest.front();
  if (!rest.empty()) rest.remove_prefix(1);
  if (kind == 'm' && rest.empty()) return read_session(value, time, session);
  if (kind == 's' && value.size() == 2) {
    SessionSubscription& subscription = session.subscriptions[std::string(rest)];
    subscription.qos = static_cast<uint8_t>(value[0]);
    subscription.no_local = (value[1] & 1) != 0;
    subscription.retain_as_published = (value[1] & 2) != 0;
    return {};
  }
  if (kind == 'p' && rest.size() == 8 && value.size() == 3) {
    return read_position(read_number(rest), value, session);
  }
  if (kind == 'r' && rest.size() == 2) {
    session.unreleased.push_back(static_cast<uint16_t>(read_number(rest)));
    return {};
  }
  if (kind == 'q' && rest.size() == 8 && !value.empty()) {
    return read_queued(read_number(rest), value, messages, session);
  }
  return fail(ErrorCode::kCorrupt, "unknown part of a session");
}

void put_text(std::string& out, std::string_view text) {
  out += number_text(text.size(), 2);
  out.append(text);
}

// Takes the front of `rest`; false if there is not as much.
bool take(std::string_view& rest, size_t size, std::string_view& out) {
  if (rest.size() < size) return false;
  out = rest.substr(0, size);
  rest.remove_prefix(size);
  return true;
}

bool take_text(std::string_view& rest, std::string& out) {
  std::string_view bytes;
  if (!take(rest, 2, bytes) || !take(rest, read_number(bytes), bytes)) return false;
  out = bytes;
  return true;
}

Result<Routed> read_routed(uint64_t id, std::string_view value) {
  Routed routed;
  routed.id = id;
  std::string_view head;
  if (!take(value, 7, head)) return fail(ErrorCode::kCorrupt, "malformed");
  routed.shard = static_cast<uint32_t>(read_number(head.substr(0, 2)));
  routed.shards = static_cast<uint32_t>(read_number(head.substr(2, 2)));
  routed.ordinary = head[4] != 0;
  if (routed.shards == 0) return fail(ErrorCode::kCorrupt, "malformed");
  for (uint64_t left = read_number(head.substr(5)); left > 0; --left) {
    SharedTarget target;
    if (!take_text(value, target.group) || !take_text(value, target.filter)) {
      return fail(ErrorCode::kCorrupt, "malformed");
    }
    routed.shared.push_back(std::move(target));
  }
  auto message = decode_message(value);
  if (!message) return fail(message.error());
  routed.message = std::move(*message);
  return routed;
}

// visit(key, value) for each key in [begin, end).
Status scan(const log::Log& log, std::string_view begin, std::string_view end,
            const std::function<Status(std::string_view, std::string_view)>& visit) {
  std::string from(begin);
  while (true) {
    auto page = log.scan(from, end, kPage);
    if (!page) return fail(page.error());
    for (const auto& pair : *page) {
      if (auto ok = visit(pair.key, pair.value); !ok) return ok;
    }
    if (page->size() < kPage) return {};
    from = page->back().key + '\0';
  }
}

}  // namespace

void put_session(log::Batch& batch, const ClientSession& session) {
  json::object o;
  o["expiry"] = session.expiry_s;
  o["disconnected"] = session.connection == nullptr ? session.disconnected_since.ms : 0;
  o["version"] = session.lifecycle_version;
  batch.put(key(session.client_id, 'm'), json::serialize(json::value(std::move(o))));
}

void erase_session(log::Batch& batch, ClientSession& session) {
  std::string begin(kSessions);
  begin.append(session.client_id);
  std::string end = begin;
  begin.push_back('\0');
  end.push_back('\1');
  batch.erase_range(std::move(begin), std::move(end));
  for (auto& [sequence, outgoing] : session.inflight) release(batch, outgoing);
  for (Outgoing& outgoing : session.queue) release(batch, outgoing);
}

void put_subscription(log::Batch& batch, std::string_view client_id, std::string_view filter,
                      const SessionSubscription& subscription) {
  std::string value;
  value.push_back(static_cast<char>(subscription.qos));
  value.push_back(
      static_cast<char>((subscription.no_local ? 1 : 0) | (subscription.retain_as_published ? 2 : 0)));
  batch.put(key(client_id, 's', filter), std::move(value));
}

void erase_subscription(log::Batch& batch, std::string_view client_id, std::string_view filter) {
  batch.erase(key(client_id, 's', filter));
}

void put_message(log::Batch& batch, std::string_view client_id, Outgoing& outgoing) {
  const SharedMessage* shared = outgoing.shared.get();
  std::string value(1, static_cast<char>((outgoing.retain ? kRetainFlag : 0) | (shared ? kSharedFlag : 0) |
                                         (outgoing.qos == 2 ? kQos2Flag : 0)));
  if (shared == nullptr) {
    value += encode_message(*outgoing.message);
  } else {
    if (outgoing.shared->uses.fetch_add(1) == 0) {
      batch.put(message_key(shared->id), encode_message(*outgoing.message));
    }
    value += number_text(shared->id);
  }
  outgoing.stored = true;
  batch.put(key(client_id, 'q', number_text(outgoing.sequence)), std::move(value));
}

void erase_message(log::Batch& batch, std::string_view client_id, Outgoing& outgoing) {
  batch.erase(key(client_id, 'q', number_text(outgoing.sequence)));
  release(batch, outgoing);
}

void put_position(log::Batch& batch, std::string_view client_id, const Outgoing& outgoing) {
  std::string value = number_text(outgoing.packet_id, 2);
  value.push_back(outgoing.stage == Outgoing::Stage::kReleased ? kReleasedStage : kSentStage);
  batch.put(key(client_id, 'p', number_text(outgoing.sequence)), std::move(value));
}

void erase_position(log::Batch& batch, std::string_view client_id, const Outgoing& outgoing) {
  batch.erase(key(client_id, 'p', number_text(outgoing.sequence)));
}

void put_unreleased(log::Batch& batch, std::string_view client_id, uint16_t packet_id) {
  batch.put(key(client_id, 'r', number_text(packet_id, 2)), std::string());
}

void erase_unreleased(log::Batch& batch, std::string_view client_id, uint16_t packet_id) {
  batch.erase(key(client_id, 'r', number_text(packet_id, 2)));
}

void put_retained(log::Batch& batch, const Message& message) {
  batch.put(std::string(kRetained) + message.topic, encode_message(message));
}

void erase_retained(log::Batch& batch, std::string_view topic) {
  batch.erase(std::string(kRetained).append(topic));
}

Result<uint64_t> load_sessions(const log::Log& log, const LoadTime& time,
                               const std::function<void(std::unique_ptr<ClientSession>)>& visit) {
  LoadedMessages messages;
  uint64_t last_id = 0;
  auto ok = scan(log, kMessages, kMessagesEnd, [&](std::string_view key, std::string_view value) -> Status {
    auto message = decode_message(value);
    if (!message) return fail(message.error().code, "a queued message: " + message.error().message);
    last_id = read_number(key.substr(kMessages.size()));
    messages[last_id] = {std::move(*message), std::make_shared<SharedMessage>(last_id)};
    return {};
  });
  if (!ok) return fail(ok.error());
  std::unique_ptr<ClientSession> session;
  const auto finish = [&] {
    // Parts without their 'm' key cannot happen: they are written and erased together.
    if (session && session->persistent) visit(std::move(session));
    session.reset();
  };
  ok = scan(log, kSessions, kSessionsEnd, [&](std::string_view key, std::string_view value) -> Status {
    const std::string_view tail = key.substr(kSessions.size());
    const size_t zero = tail.find('\0');
    if (zero == std::string_view::npos) return fail(ErrorCode::kCorrupt, "key " + std::string(key));
    const std::string_view client_id = tail.substr(0, zero);
    if (!session || session->client_id != client_id) {
      finish();
      session = std::make_unique<ClientSession>();
      session->client_id = client_id;
    }
    if (auto part = read_part(tail.substr(zero + 1), value, time, messages, *session); !part) {
      return fail(part.error().code,
                  "session of client '" + session->client_id + "': " + part.error().message);
    }
    return {};
  });
  if (!ok) return fail(ok.error());
  finish();
  return last_id;
}

Status load_retained(const log::Log& log, const std::function<void(MessagePtr)>& visit) {
  return scan(log, kRetained, kRetainedEnd, [&](std::string_view key, std::string_view value) -> Status {
    auto message = decode_message(value);
    if (!message) return fail(message.error().code, std::string(key) + ": " + message.error().message);
    visit(std::move(*message));
    return {};
  });
}

void put_routed(log::Batch& batch, const Routed& routed) {
  std::string value = number_text(routed.shard, 2) + number_text(routed.shards, 2);
  value.push_back(routed.ordinary ? 1 : 0);
  value += number_text(routed.shared.size(), 2);
  for (const SharedTarget& target : routed.shared) {
    put_text(value, target.group);
    put_text(value, target.filter);
  }
  value += encode_message(*routed.message);
  batch.put(std::string(kRouted) + number_text(routed.id), std::move(value));
}

void erase_routed(log::Batch& batch, uint64_t id) {
  batch.erase(std::string(kRouted) + number_text(id));
}

Result<uint64_t> load_routed(const log::Log& log, const std::function<void(Routed)>& visit) {
  uint64_t last_id = 0;
  auto ok = scan(log, kRouted, kRoutedEnd, [&](std::string_view key, std::string_view value) -> Status {
    last_id = read_number(key.substr(kRouted.size()));
    auto routed = read_routed(last_id, value);
    if (!routed) {
      return fail(routed.error().code,
                  "message " + std::to_string(last_id) + " between shards: " + routed.error().message);
    }
    visit(std::move(*routed));
    return {};
  });
  if (!ok) return fail(ok.error());
  return last_id;
}

}  // namespace fleetward::broker::session_store
