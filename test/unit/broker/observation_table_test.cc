// Each row of the table of what counts, made to happen to a device of a real broker.
#include "broker/observation_table.h"

#include <map>

#include "test/unit/broker/harness.h"

namespace fleetward::broker {
namespace {

using mqtt::ReasonCode;
using mqtt::Version;

constexpr const char* kPolicy = R"({"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"*","Resource":"*"},
  {"Effect":"Deny","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/forbidden*"},
  {"Effect":"Deny","Action":"iot:Subscribe","Resource":"arn:aws:iot:*:*:topicfilter/forbidden*"},
  {"Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:*:*:topic/unreadable"}]})";
constexpr const char* kDenyAll = R"({"Version":"2012-10-17","Statement":[
  {"Effect":"Deny","Action":"*","Resource":"*"}]})";
constexpr Duration kInterval{1000};

class Scene {
 public:
  Scene() : h(options()) {
    h.policy("some", kPolicy);
    h.policy("none", kDenyAll);
    at = h.listen_plain("some");
    other = std::make_unique<TestClient>(at);
    marker = std::make_unique<TestClient>(at);
    EXPECT_EQ(other->connect({.client_id = "other", .keep_alive_s = 1200}), ReasonCode::kSuccess);
    EXPECT_EQ(marker->connect({.client_id = "marker", .keep_alive_s = 1200}), ReasonCode::kSuccess);
  }
  void connect(ConnectOptions with = {}) {
    with.client_id = "dev";
    with.keep_alive_s = 1200;
    device = std::make_unique<TestClient>(at);
    EXPECT_EQ(device->connect(with), ReasonCode::kSuccess);
  }
  void connect_persistent() { connect({.clean = false}); }
  void drop() {
    device.reset();
    eventually([&] { return settled().disconnects == 1; }, "the end of the connection");
  }
  // What was observed of the device, all of it: the marker's delta comes with it.
  Observation settled() {
    EXPECT_EQ(marker->publish("marker", "x"), ReasonCode::kSuccess);
    h.pass(kInterval);
    ++markers_;
    eventually([&] { return h.sink.total("marker").messages_sent == markers_; }, "the marker's delta");
    return h.sink.total("dev");
  }
  void publish_to_device(const std::string& topic, uint8_t qos = 1, bool retain = false) {
    EXPECT_EQ(other->publish(topic, "hello", qos, retain), ReasonCode::kSuccess);
  }

  Harness h;
  std::string at;
  std::unique_ptr<TestClient> device, other, marker;
  bool stopped = false;

 private:
  static Options options() {
    Options out = Harness::default_options();
    out.shards = 1;
    out.observation_interval = kInterval;
    return out;
  }
  uint64_t markers_ = 0;
};

struct Scenario {
  std::function<void(Scene&)> before, act;
};

void connected(Scene& s) {
  s.connect();
}
void nothing(Scene&) {}
std::function<void(Scene&)> subscribed(const std::string& filter, uint8_t qos) {
  return [=](Scene& s) {
    s.connect();
    s.device->subscribe({filter}, qos);
  };
}
std::function<void(Scene&)> published(const std::string& topic, uint8_t qos, bool retain = false) {
  return [=](Scene& s) {
    s.device->publish(topic, "hello", qos, retain);
    s.device->subscribe({"sync"});  // read after it
  };
}
std::function<void(Scene&)> received(const std::string& topic, uint8_t qos) {
  return [=](Scene& s) {
    s.other->send_publish(topic, "hello", qos, 9);
    EXPECT_EQ(s.device->receive().topic, topic);
  };
}
void publish_from_inside(Scene& s, const std::string& topic) {
  auto message = std::make_shared<Message>();
  message->topic = topic;
  s.h.broker->publisher().publish(message, {});
}

std::map<std::string_view, Scenario> messages_from_the_device() {
  return {
      {"publishes, QoS 0", {connected, published("x", 0)}},
      {"publishes, QoS 1", {connected, published("x", 1)}},
      {"publishes, QoS 2", {connected, published("x", 2)}},
      {"publishes a retained message", {connected, published("x", 1, true)}},
      {"publishes by Basic Ingest", {connected, published("$aws/rules/rule/x", 1)}},
      {"publishes a device report", {connected, published("$aws/things/dev/defender/metrics/json", 1)}},
      {"a publish its policy denies",
       {connected, [](Scene& s) { s.device->send_publish("forbidden", "x", 0, 0); }}},
      {"a publish to a topic that does not exist",
       {connected, [](Scene& s) { s.device->send_publish("$nobody/x", "x", 0, 0); }}},
      {"is published for by the API or a rule",
       {connected,
        [](Scene& s) {
          publish_from_inside(s, "dev/x");
          publish_from_inside(s, "ask/x");
        }}},
  };
}

std::map<std::string_view, Scenario> messages_to_the_device() {
  return {
      {"is delivered a message, QoS 0", {subscribed("x", 0), received("x", 0)}},
      {"is delivered a message, QoS 1", {subscribed("x", 1), received("x", 1)}},
      {"is delivered a message, QoS 2", {subscribed("x", 2), received("x", 2)}},
      {"is delivered its own message",
       {subscribed("x", 0),
        [](Scene& s) {
          s.device->publish("x", "hello", 0);
          s.device->receive();
        }}},
      {"is delivered a retained message",
       {[](Scene& s) {
          s.publish_to_device("kept", 1, true);
          s.connect();
        },
        [](Scene& s) {
          s.device->subscribe({"kept"});
          EXPECT_TRUE(s.device->receive().retain);
        }}},
      {"is delivered a message of a shared subscription", {subscribed("$share/g/x", 1), received("x", 1)}},
      {"is sent what waited for it",
       {[](Scene& s) {
          s.connect_persistent();
          s.device->subscribe({"x"});
          s.drop();
          s.publish_to_device("x");
        },
        [](Scene& s) {
          s.connect_persistent();
          s.device->receive();
        }}},
      {"is sent again what it did not acknowledge",
       {[](Scene& s) {
          s.connect_persistent();
          s.device->subscribe({"x"});
          s.publish_to_device("x");
          s.device->receive(false);
          s.drop();
        },
        [](Scene& s) {
          s.connect_persistent();
          EXPECT_TRUE(s.device->receive().dup);
        }}},
      {"is delivered a will",
       {[](Scene& s) {
          s.connect();
          s.device->subscribe({"will"});
        },
        [](Scene& s) {
          TestClient dying(s.at);
          ConnectOptions with{.client_id = "dying"};
          with.will = Published{"will", "x"};
          dying.connect(with);
        }}},
      {"its policy denies the delivery",
       {subscribed("unreadable", 0), [](Scene& s) { s.publish_to_device("unreadable"); }}},
  };
}

std::map<std::string_view, Scenario> subscriptions() {
  const auto subscribe = [](const std::string& filter) {
    return [=](Scene& s) { s.device->subscribe({filter}); };
  };
  return {{"subscribes", {connected, subscribe("x")}},
          {"a subscription its policy denies", {connected, subscribe("forbidden/#")}},
          {"a subscription to a filter that is not allowed", {connected, subscribe("$nobody/#")}}};
}

// A CONNECT with a certificate, once `change` was made to it.
Scenario with_certificate(bool registered, std::function<void(Scene&, const DeviceFiles&)> change) {
  const auto files = std::make_shared<DeviceFiles>();
  return {[=](Scene& s) {
            s.at = s.h.listen_tls();
            *files = s.h.device("d", registered);
            if (change) change(s, *files);
          },
          [=](Scene& s) {
            TestClient client(s.at, files.get());
            if (client.up()) client.connect({.client_id = "dev"});
          }};
}

std::map<std::string_view, Scenario> beginnings() {
  return {
      {"connects", {nothing, connected}},
      {"connects, which its policy denies",
       {nothing,
        [](Scene& s) {
          TestClient client(s.h.listen_plain("none"));
          EXPECT_NE(client.connect({.client_id = "dev"}), ReasonCode::kSuccess);
        }}},
      {"connects with a certificate that is not ACTIVE",
       with_certificate(true,
                        [](Scene& s, const DeviceFiles& files) {
                          s.h.set_status(files, registry::CertificateStatus::kInactive);
                        })},
      {"connects with a certificate nobody knows", with_certificate(false, {})},
      {"connects with a client id in use",
       {connected,
        [](Scene& s) {
          const auto first = std::move(s.device);
          s.connect();
          EXPECT_TRUE(first->closed());
        }}},
  };
}

Scenario loses_its_certificate() {
  const auto files = std::make_shared<DeviceFiles>();
  return {[=](Scene& s) {
            s.at = s.h.listen_tls();
            *files = s.h.device("d");
            s.h.policy("device", kPolicy, files.get());
            s.device = std::make_unique<TestClient>(s.at, files.get());
            EXPECT_EQ(s.device->connect({.client_id = "dev", .keep_alive_s = 1200}), ReasonCode::kSuccess);
          },
          [=](Scene& s) {
            s.h.set_status(*files, registry::CertificateStatus::kRevoked);
            s.h.pass(Duration{200});
            EXPECT_TRUE(s.device->closed());
          }};
}

std::map<std::string_view, Scenario> ends() {
  return {
      {"disconnects", {connected, [](Scene& s) { s.device->disconnect(); }}},
      {"its connection is lost", {connected, [](Scene& s) { s.device.reset(); }}},
      {"breaks the protocol", {connected, [](Scene& s) { s.device->send(std::string(2, '\0')); }}},
      {"is disconnected by an operator",
       {connected, [](Scene& s) { EXPECT_TRUE(s.h.broker->disconnect("dev", false, false)); }}},
      {"loses its certificate's ACTIVE status", loses_its_certificate()},
      {"the server shuts down",
       {connected,
        [](Scene& s) {
          s.h.broker->stop(Duration{1000});
          s.stopped = true;
        }}},
      {"its will is published",
       {[](Scene& s) {
          ConnectOptions with{.version = Version::k5, .session_expiry_s = 3600};
          with.will = Published{"will", "x"};
          with.will_delay_s = 60;
          s.connect(with);
          s.other->subscribe({"will"});
          s.drop();
        },
        [](Scene& s) {
          s.h.pass(Duration{61'000});
          EXPECT_EQ(s.other->receive().topic, "will");
        }}},
  };
}

uint8_t counted(const Observation& before, const Observation& after) {
  const auto rose = [&](uint64_t MessageCounters::* counter) { return after.*counter > before.*counter; };
  uint8_t out = 0;
  if (rose(&MessageCounters::messages_sent)) out |= kMessagesSent;
  if (rose(&MessageCounters::messages_received)) out |= kMessagesReceived;
  if (rose(&MessageCounters::authorization_failures)) out |= kAuthorizationFailures;
  if (after.connection_attempts > before.connection_attempts) out |= kConnectionAttempts;
  if ((out & kConnectionAttempts) != 0 && !after.source_addresses.empty()) out |= kSourceAddress;
  if (after.disconnects > before.disconnects) out |= kDisconnects;
  if (before.disconnected_since.ms == 0 && after.disconnected_since.ms != 0) out |= kDisconnectedSince;
  EXPECT_EQ(rose(&MessageCounters::message_bytes_total), rose(&MessageCounters::messages_sent));
  return out;
}

TEST(ObservationTable, each_row_is_what_the_broker_does) {
  std::map<std::string_view, Scenario> scenarios;
  for (const auto& part :
       {messages_from_the_device(), messages_to_the_device(), subscriptions(), beginnings(), ends()}) {
    scenarios.insert(part.begin(), part.end());
  }
  EXPECT_EQ(scenarios.size(), happenings().size());
  for (const Happening& row : happenings()) {
    SCOPED_TRACE(row.what);
    const auto it = scenarios.find(row.what);
    ASSERT_NE(it, scenarios.end());
    Scene scene;
    it->second.before(scene);
    const Observation before = scene.settled();
    it->second.act(scene);
    if (!scene.stopped) {
      eventually([&] { return counted(before, scene.settled()) == row.counts; }, "what the table says");
      scene.settled();  // and nothing more
    }
    EXPECT_EQ(counted(before, scene.h.sink.total("dev")), row.counts);
  }
}

}  // namespace
}  // namespace fleetward::broker
