#include "mqtt/session.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <stdexcept>

#include <gtest/gtest.h>

#include "test/unit/mqtt/text_bytes.h"

// Runs sessions/*.txt. Each file holds scripts: a line "session <name>", then steps; '#' starts a comment.
//   option <name>=<value>     before the first byte
//   at <seconds>              moves the time
//   < <bytes>                 arrives from the client (notation of text_bytes.h)
//   more                      feeds what was left over
//   accept [session_present] [expiry=<s>] [assigned=<id>]     answers CONNECT
//   reject|disconnect <reason code in hex> [text]
//   ack <ticket> [<hex>] | through <ticket> | suback <id> <codes...> | unsuback <id> <codes...>
//   publish <qos> <topic> <payload> <cookie> -> <sent|full|large|closed>
//   resend <qos> <id> <topic> <payload> <cookie> -> ...
//   reserve <cookie> -> <id|full>; reserved <id> <topic> <payload> [dup] -> ...; release <id>
//   adopt <id> <cookie> [received] -> <adopted|refused>; remember <id>...; drop <ticket>
//   pause | resume
// Expectations; whatever happened must be expected before the next step:
//   @ <event>                 the handler was told, in order
//   > <bytes>                 was written, all of it (or: > nothing)
//   deadline <seconds|none> | unacknowledged <n> | unreleased <id>... | blocked | closed | open
namespace fleetward::mqtt::test {
namespace {

std::string ticket_text(AckTicket ticket) {
  return ticket == kNoTicket ? "" : " ticket=" + std::to_string(ticket);
}

class Recorder final : public SessionHandler {
 public:
  std::deque<std::string> events;

  void on_connect(const Connect& connect) override {
    Packet packet;
    packet.type = PacketType::kConnect;
    packet.connect = connect;
    events.push_back(describe(packet, connect.version));
  }
  void on_publish(const Publish& publish, AckTicket ticket) override {
    Packet packet;
    packet.type = PacketType::kPublish;
    packet.publish = publish;
    events.push_back(describe(packet, Version::k5) + ticket_text(ticket));
  }
  void on_repeated_publish(const Publish& publish, AckTicket ticket) override {
    on_publish(publish, ticket);
    events.back().insert(0, "again ");
  }
  void on_pubrel(uint16_t id, AckTicket ticket, bool known) override {
    events.push_back("PUBREL id=" + std::to_string(id) + ticket_text(ticket) + (known ? "" : " unknown"));
  }
  void on_subscribe(uint16_t id, std::span<const RequestedSubscription> list, const Properties& p) override {
    std::string text = "SUBSCRIBE id=" + std::to_string(id);
    for (const auto& each : list) {
      text += " " + std::string(each.subscription.filter) + ":q" + std::to_string(each.subscription.qos);
      if (each.check != ReasonCode::kSuccess) text += ":" + std::string(to_string(each.check));
    }
    events.push_back(text + describe_properties(p));
  }
  void on_unsubscribe(uint16_t id, std::span<const std::string_view> filters, const Properties&) override {
    std::string text = "UNSUBSCRIBE id=" + std::to_string(id);
    for (const auto filter : filters) text += " " + std::string(filter);
    events.push_back(text);
  }
  void on_puback(uint16_t id, ReasonCode reason, uint64_t cookie) override {
    events.push_back("PUBACK id=" + std::to_string(id) + " " + std::string(to_string(reason)) +
                     " cookie=" + std::to_string(cookie));
  }
  void on_pubrec(uint16_t id, uint64_t cookie) override {
    events.push_back("PUBREC id=" + std::to_string(id) + " cookie=" + std::to_string(cookie));
  }
  void on_disconnect(const Disconnect& disconnect) override {
    events.push_back("DISCONNECT " + std::string(to_string(disconnect.reason)) +
                     describe_properties(disconnect.properties));
  }
  void on_error(ReasonCode reason, std::string_view text) override {
    events.push_back("error " + std::string(to_string(reason)) + " " + std::string(text));
  }
};

std::vector<std::string> split(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::string remainder(const std::string& line, size_t words) {
  size_t at = 0;
  for (size_t i = 0; i < words && at != std::string::npos; ++i) at = line.find(' ', at) + 1;
  return at == 0 ? "" : line.substr(at);
}

ReasonCode code_of(const std::string& digits) {
  return static_cast<ReasonCode>(std::stoul(digits, nullptr, 16));
}

std::string_view sent_text(Session::Sent sent) {
  switch (sent) {
    case Session::Sent::kSent:
      return "sent";
    case Session::Sent::kWindowFull:
      return "full";
    case Session::Sent::kTooLarge:
      return "large";
    case Session::Sent::kClosed:
      return "closed";
  }
  return "?";
}

// One script's world; throws std::runtime_error where an expectation fails.
class Script {
 public:
  void step(const std::string& line) {
    const auto words = split(line);
    const std::string& verb = words[0];
    if (verb == "@") return expect_event(line.substr(2));
    if (verb == ">") return expect_output(line.substr(2));
    if (verb == "option") return option(words.at(1));
    if (expect_state(words)) return;
    finish();
    if (verb == "<") {
      received_ += parse_bytes(line.substr(2));
      feed();
    } else if (verb == "more") {
      feed();
    } else {
      act(verb, words, line);
    }
  }
  // Nothing may be left unexpected.
  void finish() {
    if (!recorder_.events.empty()) throw std::runtime_error("unexpected event: " + recorder_.events.front());
    if (!out_.empty()) throw std::runtime_error("unexpected output: " + hex(out_));
  }

 private:
  Session& session() {
    if (!session_) session_ = std::make_unique<Session>(std::make_shared<SessionOptions>(options_));
    return *session_;
  }

  void option(const std::string& setting) {
    const size_t equal = setting.find('=');
    const std::string name = setting.substr(0, equal);
    const unsigned long value = std::stoul(setting.substr(equal + 1));
    const std::map<std::string, std::function<void()>> known = {
        {"receive_maximum", [&] { options_.receive_maximum = static_cast<uint16_t>(value); }},
        {"unreleased_max", [&] { options_.unreleased_max = static_cast<uint16_t>(value); }},
        {"inflight_max", [&] { options_.inflight_max = static_cast<uint16_t>(value); }},
        {"packet_bytes_max", [&] { options_.packet_bytes_max = value; }},
        {"maximum_qos", [&] { options_.maximum_qos = static_cast<uint8_t>(value); }},
        {"subscribe_qos_strict", [&] { options_.subscribe_qos_strict = value != 0; }},
        {"retain_available", [&] { options_.retain_available = value != 0; }},
        {"shared_available", [&] { options_.shared_available = value != 0; }},
        {"wildcard_available", [&] { options_.wildcard_available = value != 0; }},
        {"subscription_ids_available", [&] { options_.subscription_ids_available = value != 0; }},
        {"keep_alive_min_s", [&] { options_.keep_alive_min_s = static_cast<uint16_t>(value); }},
        {"keep_alive_max_s", [&] { options_.keep_alive_max_s = static_cast<uint16_t>(value); }},
        {"levels_max", [&] { options_.topic_limits.levels_max = value; }},
        {"client_id_bytes_max", [&] { options_.client_id_bytes_max = value; }},
    };
    known.at(name)();
  }

  void feed() {
    last_ = session().feed(received_, now_, out_, recorder_, scratch_);
    received_.erase(0, last_.consumed);
  }

  void act(const std::string& verb, const std::vector<std::string>& words, const std::string& line) {
    if (verb == "at") {
      now_ = {static_cast<int64_t>(std::stod(words.at(1)) * 1000)};
    } else if (verb == "accept") {
      accept(words);
    } else if (verb == "reject") {
      session().reject(out_, code_of(words.at(1)), remainder(line, 2));
    } else if (verb == "disconnect") {
      session().disconnect(out_, code_of(words.at(1)), words.size() > 2 ? remainder(line, 2) : "");
    } else if (verb == "ack") {
      session().acknowledge(out_, std::stoull(words.at(1)),
                            words.size() > 2 ? code_of(words[2]) : ReasonCode::kSuccess);
    } else if (verb == "through") {
      session().acknowledge_through(out_, std::stoull(words.at(1)));
    } else if (verb == "suback" || verb == "unsuback") {
      std::vector<ReasonCode> codes;
      for (size_t i = 2; i < words.size(); ++i) codes.push_back(code_of(words[i]));
      const auto id = static_cast<uint16_t>(std::stoul(words.at(1)));
      verb == "suback" ? session().suback(out_, id, codes) : session().unsuback(out_, id, codes);
    } else if (verb == "drop") {
      session().drop(out_, std::stoull(words.at(1)));
    } else if (verb == "publish" || verb == "resend") {
      send(verb, words);
    } else if (keep(verb, words)) {
      return;
    } else if (verb == "pause") {
      session().pause();
    } else if (verb == "resume") {
      session().resume();
    } else {
      throw std::runtime_error("no such step: " + verb);
    }
  }

  void accept(const std::vector<std::string>& words) {
    Session::Accept accept;
    std::string assigned;
    for (const std::string& word : words) {
      if (word == "session_present") accept.session_present = true;
      if (word.starts_with("expiry="))
        accept.session_expiry_s = static_cast<uint32_t>(std::stoul(word.substr(7)));
      if (word.starts_with("assigned=")) assigned = word.substr(9);
    }
    accept.assigned_client_id = assigned;
    session().accept(out_, accept, now_);
  }

  static uint16_t id_of(const std::string& word) { return static_cast<uint16_t>(std::stoul(word)); }

  static void require_answer(const std::string& got, const std::string& expected) {
    if (got != expected) throw std::runtime_error("answered " + got);
  }

  // The steps about QoS 2 messages that are kept.
  bool keep(const std::string& verb, const std::vector<std::string>& words) {
    if (verb == "reserve") {
      const auto id = session().reserve(std::stoull(words.at(1)));
      require_answer(id ? std::to_string(*id) : "full", words.at(3));
    } else if (verb == "reserved") {
      Publish message;
      message.topic = words.at(2);
      message.payload = words.at(3);
      const bool dup = words.at(4) == "dup";
      require_answer(std::string(sent_text(session().publish_reserved(out_, message, id_of(words[1]), dup))),
                     words.back());
    } else if (verb == "release") {
      session().release(out_, id_of(words.at(1)));
    } else if (verb == "adopt") {
      const bool received = words.at(3) == "received";
      require_answer(
          session().adopt(id_of(words[1]), std::stoull(words[2]), received) ? "adopted" : "refused",
          words.back());
    } else if (verb == "remember") {
      std::vector<uint16_t> ids;
      for (size_t i = 1; i < words.size(); ++i) ids.push_back(id_of(words[i]));
      session().remember(ids);
    } else {
      return false;
    }
    return true;
  }

  void send(const std::string& verb, const std::vector<std::string>& words) {
    Publish message;
    message.qos = static_cast<uint8_t>(std::stoul(words.at(1)));
    const size_t at = verb == "resend" ? 3 : 2;
    message.topic = words.at(at);
    message.payload = words.at(at + 1);
    const uint64_t cookie = std::stoull(words.at(at + 2));
    Session::Sent sent;
    if (verb == "resend") {
      sent = session().resend(out_, message, id_of(words[2]), cookie);
    } else {
      // Both ways of sending must write the same: every second message goes as a shared frame.
      sent = sends_++ % 2 == 0 ? session().publish(out_, message, cookie)
                               : session().publish(out_, make_frame(session().version(), message), cookie);
    }
    require_answer(std::string(sent_text(sent)), words.back());
  }

  void expect_event(const std::string& expected) {
    if (recorder_.events.empty()) throw std::runtime_error("no event, expected " + expected);
    const std::string event = recorder_.events.front();
    recorder_.events.pop_front();
    // An error's text may be given by a part of it, after the reason.
    const bool error = expected.starts_with("error ");
    const bool same = error ? event.starts_with(expected.substr(0, expected.find(' ', 6))) &&
                                  event.find(remainder(expected, 2)) != std::string::npos
                            : event == expected;
    if (!same) throw std::runtime_error("event was " + event + "\n expected  " + expected);
  }

  void expect_output(const std::string& expected) {
    const std::string bytes = expected == "nothing" ? "" : parse_bytes(expected);
    if (out_ != bytes) throw std::runtime_error("output was " + hex(out_) + "\n expected   " + hex(bytes));
    out_.clear();
  }

  bool expect_state(const std::vector<std::string>& words) {
    const std::string& verb = words[0];
    const auto require = [&](bool ok) {
      if (!ok) throw std::runtime_error("not so: " + verb);
    };
    if (verb == "closed") {
      require(session().closed());
    } else if (verb == "open") {
      require(session().connected());
    } else if (verb == "blocked") {
      require(last_.blocked);
    } else if (verb == "unacknowledged") {
      require(session().unacknowledged() == std::stoul(words.at(1)));
    } else if (verb == "unreleased") {
      std::string ids = verb;
      for (const uint16_t id : session().unreleased()) ids += " " + std::to_string(id);
      std::string expected;
      for (const auto& word : words) expected += (expected.empty() ? "" : " ") + word;
      require(ids == expected);
    } else if (verb == "deadline") {
      const int64_t ms = words.at(1) == "none" ? 0 : static_cast<int64_t>(std::stod(words[1]) * 1000);
      require(session().keep_alive_deadline().ms == ms);
    } else {
      return false;
    }
    return true;
  }

  SessionOptions options_;
  std::unique_ptr<Session> session_;
  Recorder recorder_;
  Packet scratch_;
  std::string received_, out_;
  Session::FeedResult last_;
  Timestamp now_{1000};
  int sends_ = 0;
};

TEST(Session, Scripts) {
  size_t scripts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(FLEETWARD_TEST_DATA "/sessions")) {
    std::ifstream file(entry.path());
    std::unique_ptr<Script> script;
    std::string name;
    size_t number = 0;
    for (std::string line; std::getline(file, line);) {
      ++number;
      if (line.empty() || line[0] == '#') continue;
      try {
        if (line.starts_with("session ")) {
          if (script) script->finish();
          script = std::make_unique<Script>();
          name = line.substr(8);
          ++scripts;
        } else if (script) {
          script->step(line);
        }
      } catch (const std::exception& e) {
        ADD_FAILURE() << entry.path().filename() << ":" << number << " (" << name << "): " << line << "\n "
                      << e.what();
        script.reset();
      }
    }
    if (script) {
      EXPECT_NO_THROW(script->finish()) << name;
    }
  }
  EXPECT_GT(scripts, 30U);
}

// However the stream is cut, the session sees the same.
TEST(Session, CutsDoNotMatter) {
  const std::string stream = parse_bytes(
      "10 [ s'MQTT' 05 02 003c ( ) s'd' ] 32 [ s'a/b' 0001 ( 23 0001 ) 'x' ] 32 [ s'' 0002 ( 23 0001 ) 'y' ]"
      "c0 00 82 [ 0003 ( ) s'a/#' 01 ] a2 [ 0004 ( ) s'a/#' ] 30 [ s'z' ( ) 78*200 ] e0 00");
  const auto run = [&](size_t step) {
    Session session(std::make_shared<SessionOptions>());
    Recorder recorder;
    Packet scratch;
    std::string buffer, out;
    for (size_t at = 0; at < stream.size(); at += step) {
      buffer += stream.substr(at, step);
      const auto result = session.feed(buffer, {1}, out, recorder, scratch);
      buffer.erase(0, result.consumed);
      if (result.blocked || (recorder.events.size() == 1 && !session.connected())) {
        session.accept(out, {}, {1});
        buffer.erase(0, session.feed(buffer, {1}, out, recorder, scratch).consumed);
      }
    }
    EXPECT_TRUE(session.closed());
    return std::make_pair(recorder.events, out);
  };
  const auto whole = run(stream.size());
  EXPECT_EQ(whole.first.size(), 7U);
  for (size_t step = 1; step < 60; ++step) EXPECT_EQ(run(step), whole) << step;
}

}  // namespace
}  // namespace fleetward::mqtt::test
