// Clients that come by way of HTTP: what a WebSocket and a signature change for the broker.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "test/unit/broker/harness.h"
#include "test/unit/broker/websocket_frames.h"

namespace fleetward::broker {
namespace {

using namespace frames;

// The other end of a connection that was handed to the broker after its opening handshake.
class Client {
 public:
  explicit Client(Broker& broker, std::shared_ptr<const identity::Caller> caller = nullptr,
                  const std::string& received = "") {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    descriptor_ = ends[0];
    WebSocketClient client;
    client.descriptor = ends[1];
    client.received = received;
    client.peer = {"192.0.2.7", 4711};
    client.caller = std::move(caller);
    if (!client.caller) client.plain_policy = "open";
    broker.adopt(std::move(client));
  }
  ~Client() { ::close(descriptor_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(const std::string& bytes) {
    EXPECT_EQ(::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // The next frame, header included; empty at the end.
  std::string next() {
    for (;;) {
      if (in_.size() >= 2) {
        size_t header = 2, size = static_cast<uint8_t>(in_[1]);
        if (size == 126 && in_.size() >= 4) {
          header = 4;
          size = static_cast<size_t>(static_cast<uint8_t>(in_[2]) << 8 | static_cast<uint8_t>(in_[3]));
        }
        if (size != 126 && in_.size() >= header + size) {
          std::string out = in_.substr(0, header + size);
          in_.erase(0, header + size);
          return out;
        }
      }
      pollfd wait{descriptor_, POLLIN, 0};
      if (::poll(&wait, 1, 10'000) != 1) {
        ADD_FAILURE() << "nothing came from the broker";
        return {};
      }
      std::array<char, 4096> bytes;
      const ssize_t n = ::recv(descriptor_, bytes.data(), bytes.size(), 0);
      if (n <= 0) return {};
      in_.append(bytes.data(), static_cast<size_t>(n));
    }
  }

 private:
  int descriptor_ = -1;
  std::string in_;
};

std::string connect_packet(const std::string& client_id, mqtt::Version version = mqtt::Version::k311) {
  mqtt::Connect packet;
  packet.version = version;
  packet.client_id = client_id;
  packet.keep_alive_s = 60;
  packet.has_will = true;
  packet.will.topic = "wills/" + client_id;
  packet.will.payload = "gone";
  std::string bytes;
  mqtt::encode(bytes, packet);
  return bytes;
}

const std::string kPingRequest("\xC0\x00", 2);
const std::string kConnack("\x82\x04\x20\x02\x00\x00", 6);
const std::string kPingResponse("\x82\x02\xD0\x00", 4);

// [MQTT3-6.0.0-2] [MQTT5-6.0.0-2]
TEST(WebSocketClient, packets_share_frames_and_are_cut_by_them) {
  Harness h;
  Client client(*h.broker, nullptr, frame(kBinary, connect_packet("a").substr(0, 9), {.fin = false}));
  client.send(frame(kContinuation, connect_packet("a").substr(9)));
  EXPECT_EQ(client.next(), kConnack);
  client.send(frame(kBinary, kPingRequest + kPingRequest.substr(0, 1)));
  EXPECT_EQ(client.next(), kPingResponse);
  client.send(frame(kPing, "are you there"));
  EXPECT_EQ(client.next(), std::string("\x8A\x0D") + "are you there");
  client.send(frame(kBinary, kPingRequest.substr(1)));
  EXPECT_EQ(client.next(), kPingResponse);
  const auto info = h.broker->connection("a");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->source_ip, "192.0.2.7");
  EXPECT_EQ(info->source_port, 4711);
  client.send(frame(kBinary, std::string("\xE0\x00", 2)));
  EXPECT_EQ(client.next(), std::string("\x88\x02\x03\xE8", 4));
  EXPECT_EQ(client.next(), "");
}

TEST(WebSocketClient, a_close_frame_is_answered_and_is_no_disconnect) {
  Harness h;
  TestClient watcher(h.listen_plain());
  watcher.connect({.client_id = "w"});
  watcher.subscribe({"wills/+"});
  Client client(*h.broker);
  client.send(frame(kBinary, connect_packet("a")));
  EXPECT_EQ(client.next(), kConnack);
  client.send(frame(kClose, "\x03\xE9"));
  EXPECT_EQ(client.next(), std::string("\x88\x02\x03\xE9", 4));
  EXPECT_EQ(client.next(), "");
  EXPECT_EQ(watcher.receive().payload, "gone");
}

// [MQTT3-6.0.0-1] [MQTT5-6.0.0-1]
TEST(WebSocketClient, what_is_no_mqtt_frame_ends_the_connection) {
  Harness h;
  for (const auto& [bytes, code] : {std::pair(frame(kText, "hello"), "\x88\x02\x03\xEB"),
                                    std::pair(frame(kBinary, "x", {.masked = false}), "\x88\x02\x03\xEA")}) {
    Client client(*h.broker);
    client.send(frame(kBinary, connect_packet("a")));
    EXPECT_EQ(client.next(), kConnack);
    client.send(bytes);
    EXPECT_EQ(client.next(), std::string(code, 4));
  }
  EXPECT_EQ(h.metric("fleetward_broker_refused_total{reason=\"websocket\"}"), 2);
}

struct Signed {
  explicit Signed(Harness& harness, const std::string& policy) : h(harness) {
    auto document = identity::PolicyDocument::parse(policy);
    EXPECT_TRUE(document) << document.error().message;
    EXPECT_TRUE(h.store.transact([&](state::Transaction& change) -> Status {
      identity::User user;
      user.name = "alice";
      user.id = "AIDAALICE";
      user.grants.inline_policies["p"] = *document;
      change.put(h.identities.users, "alice", user);
      change.put(h.identities.access_keys, "AKIAALICE", {"AKIAALICE", "secret", "alice", true, {}});
      return {};
    }));
    const auto key = identity::find_credentials(
        *h.store.snapshot(), h.identities, {AccountId::trusted("123456789012"), "eu-west-1"}, "AKIAALICE");
    EXPECT_TRUE(key);
    caller = std::make_shared<const identity::Caller>(key->caller);
  }
  void set_active(bool active) {
    EXPECT_TRUE(h.store.transact([&](state::Transaction& change) -> Status {
      change.put(h.identities.access_keys, "AKIAALICE", {"AKIAALICE", "secret", "alice", active, {}});
      return {};
    }));
  }
  Harness& h;
  std::shared_ptr<const identity::Caller> caller;
};

constexpr const char* kAlicePolicy = R"({"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${aws:username}-*",
   "Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}},
  {"Effect":"Allow","Action":"iot:Publish","Resource":"*"}]})";

TEST(WebSocketClient, the_policies_of_who_signed_decide) {
  Harness h;
  TestClient watcher(h.listen_plain());
  watcher.connect({.client_id = "w"});
  watcher.subscribe({"$aws/events/presence/connected/+"});
  Signed alice(h, kAlicePolicy);
  Client refused(*h.broker, alice.caller);
  refused.send(frame(kBinary, connect_packet("bob-1")));
  EXPECT_EQ(refused.next(), std::string("\x82\x04\x20\x02\x00\x05", 6));
  Client client(*h.broker, alice.caller);
  client.send(frame(kBinary, connect_packet("alice-1")));
  EXPECT_EQ(client.next(), kConnack);
  EXPECT_NE(watcher.receive().payload.find("\"principalIdentifier\":\"AIDAALICE\""), std::string::npos);
  EXPECT_EQ(h.broker->connection("alice-1")->principal, "AIDAALICE");
}

TEST(WebSocketClient, an_access_key_that_is_switched_off_ends_its_connections) {
  Harness h;
  Signed alice(h, kAlicePolicy);
  Client client(*h.broker, alice.caller);
  client.send(frame(kBinary, connect_packet("alice-1")));
  EXPECT_EQ(client.next(), kConnack);
  alice.set_active(false);
  h.pass(Duration{200});
  EXPECT_EQ(client.next(), std::string("\x88\x02\x03\xE8", 4));
  EXPECT_EQ(h.metric("fleetward_broker_refused_total{reason=\"credentials\"}"), 1);
  Client late(*h.broker, alice.caller);
  late.send(frame(kBinary, connect_packet("alice-1")));
  EXPECT_EQ(late.next(), std::string("\x82\x04\x20\x02\x00\x05", 6));
}

TEST(WebSocketClient, a_signed_connection_has_an_end) {
  Options options = Harness::default_options();
  options.websocket_lifetime_max = Duration{90'000};
  options.keepalive_min = Duration{60'000};
  Harness h(options);
  Signed alice(h, kAlicePolicy);
  Client client(*h.broker, alice.caller);
  client.send(frame(kBinary, connect_packet("alice-1")));
  EXPECT_EQ(client.next(), kConnack);
  for (int i = 0; i < 8; ++i) {
    h.pass(Duration{10'000});
    client.send(frame(kBinary, kPingRequest));
    EXPECT_EQ(client.next(), kPingResponse);
  }
  h.pass(Duration{10'200});
  EXPECT_EQ(client.next(), std::string("\x88\x02\x03\xE8", 4));
  eventually([&] { return !h.broker->connection("alice-1"); }, "the end of the session");
}

}  // namespace
}  // namespace fleetward::broker
