#include "broker/session_store.h"

#include <algorithm>

#include "broker/message_codec.h"
#include "core/json.h"

namespace fleetward::broker::session_store {
namespace {

constexpr std::string_view kSessions = "session/";
constexpr std::string_view kSessionsEnd = "session0";  // '0' follows '/'
constexpr std::string_view kRetained = "retained/";
constexpr std::string_view kRetainedEnd = "retained0";
constexpr size_t kPage = 1000;

std::string key(std::string_view client_id, char kind, std::string_view rest = {}) {
  std::string out;
  out.reserve(kSessions.size() + client_id.size() + rest.size() + 2);
  out.append(kSessions).append(client_id).push_back('\0');
  out.push_back(kind);
  out.append(rest);
  return out;
}

std::string sequence_text(uint64_t sequence) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(sequence >> (8 * (7 - i)) & 0xFF);
  return out;
}

uint64_t read_sequence(std::string_view text) {
  uint64_t value = 0;
  for (const char c : text) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

Status read_session(std::string_view value, const LoadTime& time, ClientSession& session) {
  auto document = json::parse(value);
  if (!document || !document->is_object()) return fail(ErrorCode::kCorrupt, "not a session");
  const json::object& o = document->as_object();
  session.persistent = true;
  session.expiry_s = static_cast<uint32_t>(json::int_or(o, "expiry", 0));
  session.disconnected_since = {json::int_or(o, "disconnected", 0)};
  if (session.disconnected_since.ms == 0) session.disconnected_since = time.wall;
  session.lifecycle_version = json::int_or(o, "version", 0);
  // A wall clock that was set back meanwhile does not lengthen its life.
  const Duration gone = std::max(time.wall - session.disconnected_since, Duration{0});
  session.expires = time.steady + std::max(Duration{int64_t{session.expiry_s} * 1000} - gone, Duration{0});
  return {};
}

// One key of a session; `rest` is what follows its '\0'.
Status read_part(std::string_view rest, std::string_view value, const LoadTime& time,
                 ClientSession& session) {
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
  if (kind == 'q' && rest.size() == 8 && !value.empty()) {
    auto message = decode_message(value.substr(1));
    if (!message) return fail(message.error());
    Outgoing outgoing;
    outgoing.sequence = read_sequence(rest);
    outgoing.retain = value.front() != 0;
    outgoing.stored = true;
    outgoing.message = std::move(*message);
    session.queue_bytes += message_weight(*outgoing.message);
    session.next_sequence = outgoing.sequence + 1;
    session.queue.push_back(std::move(outgoing));
    return {};
  }
  return fail(ErrorCode::kCorrupt, "unknown part of a session");
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

void erase_session(log::Batch& batch, std::string_view client_id) {
  std::string begin(kSessions);
  begin.append(client_id);
  std::string end = begin;
  begin.push_back('\0');
  end.push_back('\1');
  batch.erase_range(std::move(begin), std::move(end));
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

void put_message(log::Batch& batch, std::string_view client_id, const Outgoing& outgoing) {
  std::string value(1, outgoing.retain ? '\1' : '\0');
  value += encode_message(*outgoing.message);
  batch.put(key(client_id, 'q', sequence_text(outgoing.sequence)), std::move(value));
}

void erase_message(log::Batch& batch, std::string_view client_id, uint64_t sequence) {
  batch.erase(key(client_id, 'q', sequence_text(sequence)));
}

void put_retained(log::Batch& batch, const Message& message) {
  batch.put(std::string(kRetained) + message.topic, encode_message(message));
}

void erase_retained(log::Batch& batch, std::string_view topic) {
  batch.erase(std::string(kRetained).append(topic));
}

Status load_sessions(const log::Log& log, const LoadTime& time,
                     const std::function<void(std::unique_ptr<ClientSession>)>& visit) {
  std::unique_ptr<ClientSession> session;
  const auto finish = [&] {
    // Parts without their 'm' key cannot happen: they are written and erased together.
    if (session && session->persistent) visit(std::move(session));
    session.reset();
  };
  auto ok = scan(log, kSessions, kSessionsEnd, [&](std::string_view key, std::string_view value) -> Status {
    const std::string_view tail = key.substr(kSessions.size());
    const size_t zero = tail.find('\0');
    if (zero == std::string_view::npos) return fail(ErrorCode::kCorrupt, "key " + std::string(key));
    const std::string_view client_id = tail.substr(0, zero);
    if (!session || session->client_id != client_id) {
      finish();
      session = std::make_unique<ClientSession>();
      session->client_id = client_id;
    }
    if (auto part = read_part(tail.substr(zero + 1), value, time, *session); !part) {
      return fail(part.error().code,
                  "session of client '" + session->client_id + "': " + part.error().message);
    }
    return {};
  });
  if (ok) finish();
  return ok;
}

Status load_retained(const log::Log& log, const std::function<void(MessagePtr)>& visit) {
  return scan(log, kRetained, kRetainedEnd, [&](std::string_view key, std::string_view value) -> Status {
    auto message = decode_message(value);
    if (!message) return fail(message.error().code, std::string(key) + ": " + message.error().message);
    visit(std::move(*message));
    return {};
  });
}

}  // namespace fleetward::broker::session_store
