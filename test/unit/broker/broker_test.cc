// The broker over loopback: delivery, sessions, retained messages, wills, limits, durability.
#include <future>
#include <thread>

#include "test/unit/broker/harness.h"

namespace fleetward::broker {
namespace {

using mqtt::ReasonCode;
using mqtt::Version;

// Client ids that land on both shards: what crosses shards is tested without saying which does.
std::vector<std::string> many(const std::string& prefix, int count) {
  std::vector<std::string> out;
  for (int i = 0; i < count; ++i) out.push_back(prefix + std::to_string(i));
  return out;
}

TEST(Broker, a_message_reaches_every_subscriber_once_wherever_it_lives) {
  Harness h;
  const std::string at = h.listen_plain();
  std::vector<std::unique_ptr<TestClient>> subscribers;
  for (const std::string& id : many("sub", 8)) {
    subscribers.push_back(std::make_unique<TestClient>(at));
    ASSERT_EQ(subscribers.back()->connect({.client_id = id}), ReasonCode::kSuccess);
    // Overlapping filters give one copy.
    ASSERT_EQ(subscribers.back()->subscribe({"a/+", "a/b", "#"}),
              (std::vector{ReasonCode::kGrantedQos1, ReasonCode::kGrantedQos1, ReasonCode::kGrantedQos1}));
  }
  for (const std::string& id : many("pub", 4)) {
    TestClient publisher(at);
    ASSERT_EQ(publisher.connect({.client_id = id}), ReasonCode::kSuccess);
    EXPECT_EQ(publisher.publish("a/b", id), ReasonCode::kSuccess);
    for (auto& subscriber : subscribers) {
      const Published got = subscriber->receive();
      EXPECT_EQ(got.topic, "a/b");
      EXPECT_EQ(got.payload, id);
      EXPECT_EQ(got.qos, 1);
      EXPECT_FALSE(got.retain);
    }
    publisher.disconnect();
  }
  for (auto& subscriber : subscribers) EXPECT_TRUE(subscriber->quiet(20));
}

TEST(Broker, versions_are_translated_and_properties_travel) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient old(at), young(at), publisher(at);
  ASSERT_EQ(old.connect({.client_id = "old"}), ReasonCode::kSuccess);
  ASSERT_EQ(young.connect({.client_id = "young", .version = Version::k5}), ReasonCode::kSuccess);
  old.subscribe({"t"});
  young.subscribe({"t"}, 0);
  ASSERT_EQ(publisher.connect({.client_id = "p", .version = Version::k5}), ReasonCode::kSuccess);
  mqtt::Publish packet;
  packet.topic = "t";
  packet.payload = "x";
  packet.qos = 1;
  packet.packet_id = 77;
  packet.properties.add_user("k", "v1");
  packet.properties.add_user("k", "v2");
  packet.properties.set(mqtt::Property::kMessageExpiry, uint32_t{100});
  std::string bytes;
  mqtt::encode(bytes, Version::k5, packet);
  publisher.send(bytes);
  EXPECT_EQ(publisher.next().type, mqtt::PacketType::kPuback);
  EXPECT_EQ(old.receive().qos, 1);
  const Published got = young.receive();
  EXPECT_EQ(got.qos, 0);
  EXPECT_EQ(got.user_properties,
            (std::vector<std::pair<std::string, std::string>>{{"k", "v1"}, {"k", "v2"}}));
  EXPECT_EQ(got.expiry_s, 100U);
}

TEST(Broker, an_empty_client_id_is_given_one_and_keep_alive_is_bounded) {
  Harness h(Harness::aws_options());
  TestClient client(h.listen_plain());
  ASSERT_EQ(client.connect({.client_id = "", .version = Version::k5, .keep_alive_s = 60'000}),
            ReasonCode::kSuccess);
  EXPECT_EQ(client.assigned_client_id.size(), 36U);
  EXPECT_EQ(client.server_keep_alive_s, 1200);
}

TEST(Broker, no_local_and_unsubscribe) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient a(at);
  ASSERT_EQ(a.connect({.client_id = "a", .version = Version::k5}), ReasonCode::kSuccess);
  a.subscribe({"x"}, 1, 0, true);
  a.subscribe({"y"});
  EXPECT_EQ(a.publish("x", "mine"), ReasonCode::kSuccess);
  EXPECT_EQ(a.publish("y", "1"), ReasonCode::kSuccess);
  EXPECT_EQ(a.receive().topic, "y");
  a.unsubscribe("y");
  EXPECT_EQ(a.publish("y", "2"), ReasonCode::kSuccess);
  EXPECT_TRUE(a.quiet(20));
}

TEST(Broker, takeover_ends_the_older_connection) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient first(at), second(at);
  ASSERT_EQ(first.connect({.client_id = "same", .version = Version::k5}), ReasonCode::kSuccess);
  ASSERT_EQ(second.connect({.client_id = "same", .version = Version::k5}), ReasonCode::kSuccess);
  const mqtt::Packet& last = first.next();
  ASSERT_EQ(last.type, mqtt::PacketType::kDisconnect);
  EXPECT_EQ(last.disconnect.reason, ReasonCode::kSessionTakenOver);
  EXPECT_TRUE(first.closed());
  EXPECT_EQ(second.publish("t", "alive"), ReasonCode::kSuccess);
}

TEST(Broker, retained_messages_are_delivered_replaced_and_deleted) {
  Harness h;
  std::string at = h.listen_plain();
  TestClient publisher(at);
  ASSERT_EQ(publisher.connect({.client_id = "p"}), ReasonCode::kSuccess);
  publisher.publish("r/1", "old", 1, true);
  publisher.publish("r/1", "new", 1, true);
  publisher.publish("r/2", "two", 1, true);
  publisher.publish("r/2", "", 1, true);
  TestClient subscriber(at);
  ASSERT_EQ(subscriber.connect({.client_id = "s"}), ReasonCode::kSuccess);
  subscriber.subscribe({"r/+"});
  const Published got = subscriber.receive();
  EXPECT_EQ(got.payload, "new");
  EXPECT_TRUE(got.retain);
  publisher.publish("r/1", "live", 1, true);
  EXPECT_FALSE(subscriber.receive().retain);
  EXPECT_TRUE(subscriber.quiet(20));

  h.restart();
  const auto listed = h.broker->list_retained("", 10);
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].message->payload, "live");
  EXPECT_FALSE(h.broker->get_retained("r/2"));
}

TEST(Broker, a_persistent_session_survives_a_restart_with_its_queue) {
  Harness h;
  std::string at = h.listen_plain();
  {
    TestClient device(at);
    ASSERT_EQ(device.connect({.client_id = "dev", .clean = false}), ReasonCode::kSuccess);
    EXPECT_FALSE(device.session_present);
    device.subscribe({"to/dev"});
    device.disconnect();
  }
  TestClient publisher(at);
  ASSERT_EQ(publisher.connect({.client_id = "p"}), ReasonCode::kSuccess);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(publisher.publish("to/dev", std::to_string(i)), ReasonCode::kSuccess);
  EXPECT_EQ(publisher.publish("to/dev", "qos0", 0), ReasonCode::kSuccess);
  EXPECT_EQ(publisher.publish("other", "x"), ReasonCode::kSuccess);

  h.restart();
  at = h.listen_plain();
  {
    TestClient device(at);
    ASSERT_EQ(device.connect({.client_id = "dev", .clean = false}), ReasonCode::kSuccess);
    EXPECT_TRUE(device.session_present);
    EXPECT_EQ(device.receive().payload, "0");
    const Published unacked = device.receive(false);
    EXPECT_EQ(unacked.payload, "1");
    EXPECT_FALSE(unacked.dup);
    EXPECT_EQ(device.receive().payload, "2");
    // Leaves with "1" unacknowledged, and comes back in the same life of the program.
    device.publish("sync", "");
    device.disconnect();
    TestClient again(at);
    ASSERT_EQ(again.connect({.client_id = "dev", .clean = false}), ReasonCode::kSuccess);
    const Published resent = again.receive(false);
    EXPECT_EQ(resent.payload, "1");
    EXPECT_TRUE(resent.dup);
    EXPECT_EQ(resent.packet_id, unacked.packet_id);
    EXPECT_TRUE(again.quiet(20));
    again.publish("sync", "");
  }
  h.restart();
  at = h.listen_plain();
  TestClient device(at);
  ASSERT_EQ(device.connect({.client_id = "dev", .clean = false}), ReasonCode::kSuccess);
  EXPECT_EQ(device.receive().payload, "1");
  device.publish("sync", "");
  device.disconnect();

  // A clean start forgets all of it, in the log too.
  TestClient clean(at);
  ASSERT_EQ(clean.connect({.client_id = "dev"}), ReasonCode::kSuccess);
  EXPECT_FALSE(clean.session_present);
  clean.publish("durable/x", "sync");
  EXPECT_TRUE(h.log.scan("session/", "session0", 10, false)->empty());
}

TEST(Broker, a_session_expires) {
  Harness h;
  const std::string at = h.listen_plain();
  {
    TestClient device(at);
    ASSERT_EQ(
        device.connect({.client_id = "dev", .version = Version::k5, .clean = false, .session_expiry_s = 30}),
        ReasonCode::kSuccess);
    device.subscribe({"t"});
    device.disconnect();
  }
  EXPECT_TRUE(h.broker->connection("dev"));
  h.pass(Duration{32'000});
  eventually([&] { return !h.broker->connection("dev"); }, "the session expires");
  eventually([&] { return h.log.scan("session/", "session0", 10, false)->empty(); }, "its keys go");
}

TEST(Broker, nothing_longer_than_the_client_takes_is_sent) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient first(at);
  ASSERT_EQ(first.connect({.client_id = "c"}), ReasonCode::kSuccess);
  // Too small even for a refusal; for a refusal without its text; for the CONNACK by one byte.
  for (const uint32_t bytes : {1U, 4U, 5U, 23U}) {
    TestClient small(at);
    ConnectOptions options{.client_id = "c", .version = Version::k5, .packet_bytes_max = bytes};
    options.will = Published{.topic = "will", .payload = "gone"};
    const ReasonCode answer = small.connect(options);
    EXPECT_EQ(answer, bytes < 5 ? ReasonCode::kServerUnavailable : ReasonCode::kPacketTooLarge) << bytes;
    EXPECT_TRUE(small.closed());
  }
  EXPECT_EQ(first.publish("t", "x"), ReasonCode::kSuccess) << "nobody took its place";
  EXPECT_TRUE(h.hook.seen("will").empty());
  TestClient enough(at);
  EXPECT_EQ(enough.connect({.client_id = "d", .version = Version::k5, .packet_bytes_max = 40}),
            ReasonCode::kSuccess);
}

TEST(Broker, no_deadline_follows_a_wall_clock_that_is_set) {
  for (const Duration step : {Duration{7'200'000}, Duration{-7'200'000}}) {
    Harness h;
    const std::string at = h.listen_plain();
    TestClient dumb(at), idle(at), busy(at);
    {
      TestClient gone(at);
      ASSERT_EQ(
          gone.connect({.client_id = "gone", .version = Version::k5, .clean = false, .session_expiry_s = 30}),
          ReasonCode::kSuccess);
      gone.disconnect();
    }
    ASSERT_EQ(idle.connect({.client_id = "idle", .version = Version::k5, .keep_alive_s = 10}),
              ReasonCode::kSuccess);
    ASSERT_EQ(busy.connect({.client_id = "busy", .keep_alive_s = 10}), ReasonCode::kSuccess);
    eventually([&] { return h.metric("fleetward_broker_accepted_total") == 4; }, "all are accepted");
    h.clock.advance(step);
    EXPECT_TRUE(idle.quiet(300)) << "nobody is late";
    EXPECT_TRUE(dumb.quiet(1));
    EXPECT_TRUE(h.broker->connection("gone"));
    h.pass(Duration{9'000});
    EXPECT_EQ(busy.publish("t", "x"), ReasonCode::kSuccess);
    h.pass(Duration{7'000});
    const mqtt::Packet& last = idle.next();
    ASSERT_EQ(last.type, mqtt::PacketType::kDisconnect);
    EXPECT_EQ(last.disconnect.reason, ReasonCode::kKeepAliveTimeout);
    EXPECT_TRUE(dumb.closed());
    h.pass(Duration{16'000});
    eventually([&] { return !h.broker->connection("gone"); }, "the session expires");
  }
}

TEST(Broker, a_session_is_gone_at_its_moment_whenever_its_timer_fires) {
  Harness h;
  const std::string at = h.listen_plain();
  const auto leave = [&](const char* client_id) {
    TestClient client(at);
    ASSERT_EQ(client.connect(
                  {.client_id = client_id, .version = Version::k5, .clean = false, .session_expiry_s = 1}),
              ReasonCode::kSuccess);
    client.disconnect();
    eventually([&] { return h.metric("fleetward_broker_connections") == 0; }, "it has left");
  };
  const auto is_there = [&](const char* client_id) {
    TestClient client(at);
    EXPECT_EQ(client.connect({.client_id = client_id, .version = Version::k5, .clean = false}),
              ReasonCode::kSuccess);
    return client.session_present;
  };
  leave("d");
  h.pass(Duration{999});
  EXPECT_TRUE(is_there("d"));
  leave("e");
  h.pass(Duration{1'000});
  EXPECT_FALSE(is_there("e"));
}

TEST(Broker, wills_are_sent_unless_the_client_says_goodbye) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient watcher(at);
  ASSERT_EQ(watcher.connect({.client_id = "w"}), ReasonCode::kSuccess);
  watcher.subscribe({"will/#"});
  const auto with_will = [](const std::string& id, uint32_t delay_s) {
    ConnectOptions options{.client_id = id, .version = Version::k5};
    options.session_expiry_s = delay_s == 0 ? 0 : 100;
    options.will = Published{.topic = "will/" + id, .payload = "gone", .qos = 1};
    options.will_delay_s = delay_s;
    return options;
  };
  {
    TestClient polite(at), rude(at);
    ASSERT_EQ(polite.connect(with_will("polite", 0)), ReasonCode::kSuccess);
    ASSERT_EQ(rude.connect(with_will("rude", 0)), ReasonCode::kSuccess);
    polite.disconnect();
  }
  EXPECT_EQ(watcher.receive().topic, "will/rude");
  {
    TestClient slow(at);
    ASSERT_EQ(slow.connect(with_will("slow", 10)), ReasonCode::kSuccess);
  }
  EXPECT_TRUE(watcher.quiet(50));
  h.pass(Duration{12'000});
  EXPECT_EQ(watcher.receive().topic, "will/slow");
}

TEST(Broker, keep_alive_and_connect_timeout_cut_the_silent) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient dumb(at), idle(at), busy(at);
  ASSERT_EQ(idle.connect({.client_id = "idle", .version = Version::k5, .keep_alive_s = 10}),
            ReasonCode::kSuccess);
  ASSERT_EQ(busy.connect({.client_id = "busy", .keep_alive_s = 10}), ReasonCode::kSuccess);
  eventually([&] { return h.metric("fleetward_broker_accepted_total") == 3; }, "all are accepted");
  h.pass(Duration{9'000});
  EXPECT_EQ(busy.publish("t", "x"), ReasonCode::kSuccess);
  h.pass(Duration{7'000});
  const mqtt::Packet& last = idle.next();
  ASSERT_EQ(last.type, mqtt::PacketType::kDisconnect);
  EXPECT_EQ(last.disconnect.reason, ReasonCode::kKeepAliveTimeout);
  EXPECT_TRUE(dumb.closed());
  EXPECT_EQ(busy.publish("t", "y"), ReasonCode::kSuccess);
}

TEST(Broker, what_the_hook_wrote_is_durable_before_the_puback_and_replies_follow) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient client(at);
  ASSERT_EQ(client.connect({.client_id = "c"}), ReasonCode::kSuccess);
  client.subscribe({"answer/+", "swallow/#"});
  EXPECT_EQ(client.publish("durable/1", "record"), ReasonCode::kSuccess);
  EXPECT_EQ(h.log.range({"records/test", 0}).end, 1U);
  EXPECT_EQ(client.publish("swallow/1", "x"), ReasonCode::kSuccess);
  EXPECT_EQ(client.publish("ask/q", "?"), ReasonCode::kSuccess);
  EXPECT_EQ(client.receive().topic, "answer/q");
  EXPECT_TRUE(client.quiet(20));

  // A rule that feeds itself is stopped.
  EXPECT_EQ(client.publish("loop", "1"), ReasonCode::kSuccess);
  eventually([&] { return h.metric("fleetward_broker_refused_total{reason=\"republish_hops\"}") == 1; },
             "the loop is cut");
  EXPECT_EQ(h.hook.seen("loop").size(), Options{}.republish_hops_max + 1);
}

// What a rule made by way of the log is counted as if it were a reply.
TEST(Broker, a_chain_through_the_log_ends_where_a_chain_of_replies_does) {
  Harness h;
  const std::string at = h.listen_plain();
  const auto publish = [&](uint32_t hops, size_t offspring_max) {
    auto message = std::make_shared<Message>();
    message->topic = "loop";
    message->hops = hops;
    message->offspring_max = offspring_max;
    std::promise<Status> answer;
    h.broker->publisher().publish(std::move(message), [&](Status s) { answer.set_value(std::move(s)); });
    return answer.get_future().get();
  };
  const uint32_t most = static_cast<uint32_t>(Options{}.republish_hops_max);
  EXPECT_EQ(publish(most + 1, 100).error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(publish(1, 0).error().code, ErrorCode::kLimitExceeded);
  EXPECT_TRUE(h.hook.seen("loop").empty());
  EXPECT_TRUE(publish(most - 1, 100));
  eventually([&] { return h.metric("fleetward_broker_refused_total{reason=\"republish_hops\"}") == 3; },
             "two were refused, one was followed to the end of its chain");
  EXPECT_EQ(h.hook.seen("loop").size(), 2U);
}

// Ten replies to every reply would be 10^8 messages within the hops.
TEST(Broker, a_rule_that_multiplies_is_stopped_while_it_is_small) {
  Harness h;
  TestClient client(h.listen_plain());
  ASSERT_EQ(client.connect({.client_id = "c"}), ReasonCode::kSuccess);
  EXPECT_EQ(client.publish("bomb", "1"), ReasonCode::kSuccess);
  eventually([&] { return h.metric("fleetward_broker_refused_total{reason=\"republish_hops\"}") == 10'000; },
             "the third generation has no children");
  EXPECT_EQ(h.hook.seen("bomb").size(), 1U + 10 + 100 + 1'000);
}

TEST(Broker, a_refused_publish_of_version_311_is_not_acknowledged) {
  Harness h;
  const std::string at = h.listen_plain();
  const std::vector<std::pair<std::string, std::string>> refused = {
      {"t", std::string(Options{}.payload_bytes_max + 1, 'x')}, {"$aws/things/t/shadow/update", "{}"}};
  for (const auto& [topic, payload] : refused) {
    TestClient client(at);
    ASSERT_EQ(client.connect({.client_id = "c"}), ReasonCode::kSuccess);
    client.send_publish(topic, payload, 1, 7);
    EXPECT_TRUE(client.closed()) << topic;
  }
}

TEST(Broker, a_log_in_trouble_stops_acknowledgements_and_recovers) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient reporter(at), other(at);
  ASSERT_EQ(reporter.connect({.client_id = "r"}), ReasonCode::kSuccess);
  ASSERT_EQ(other.connect({.client_id = "o"}), ReasonCode::kSuccess);
  h.log.set_trouble("No space left on device");
  reporter.send_publish("durable/1", "a", 1, 1);
  EXPECT_TRUE(reporter.quiet(100));
  reporter.send_publish("t", "needs no log, but comes after", 1, 2);
  EXPECT_TRUE(reporter.quiet(50));
  EXPECT_EQ(other.publish("t", "x"), ReasonCode::kSuccess) << "nobody else suffers";
  // An internal publish gets an answer too, whichever shard it goes to.
  std::atomic<bool> answered{false};
  auto message = std::make_shared<Message>();
  message->topic = "internal";
  h.broker->publisher().publish(message, [&](const Status&) { answered = true; });
  eventually([&] { return answered.load(); }, "an answer");
  h.log.set_trouble("");
  h.pass(Duration{1000});
  EXPECT_EQ(reporter.next().ack.packet_id, 1);
  EXPECT_EQ(reporter.next().ack.packet_id, 2);
  EXPECT_EQ(h.log.range({"records/test", 0}).end, 1U);
  EXPECT_EQ(reporter.publish("durable/2", "b"), ReasonCode::kSuccess);
}

TEST(Broker, limits_are_refused_with_the_protocols_own_error) {
  Harness h(Harness::aws_options());
  const std::string at = h.listen_plain();
  const auto fresh = [&](TestClient& client) {
    ASSERT_EQ(client.connect({.client_id = "limits", .version = Version::k5}), ReasonCode::kSuccess);
  };
  const auto refused_with = [](TestClient& client) {
    const mqtt::Packet& last = client.next();
    const ReasonCode reason =
        last.type == mqtt::PacketType::kDisconnect ? last.disconnect.reason : ReasonCode::kSuccess;
    EXPECT_TRUE(client.closed());
    return reason;
  };
  {
    TestClient client(at);
    fresh(client);
    client.send_publish("t", std::string(140'000, 'x'), 0, 0);
    EXPECT_EQ(refused_with(client), ReasonCode::kPacketTooLarge);
  }
  {
    TestClient client(at);
    fresh(client);
    client.send_publish("t", std::string(200'000, 'x'), 0, 0);
    EXPECT_EQ(refused_with(client), ReasonCode::kPacketTooLarge);
  }
  {
    TestClient client(at);
    fresh(client);
    client.send_publish("1/2/3/4/5/6/7/8/9", "x", 0, 0);
    EXPECT_EQ(refused_with(client), ReasonCode::kTopicNameInvalid);
  }
  {
    TestClient client(at);
    fresh(client);
    EXPECT_EQ(client.publish("$aws/things/t/shadow/update", "{}"), ReasonCode::kTopicNameInvalid);
    EXPECT_EQ(refused_with(client), ReasonCode::kTopicNameInvalid);
  }
  TestClient client(at);
  fresh(client);
  EXPECT_EQ(client.subscribe({"$aws/rules/x", "ok"}),
            (std::vector{ReasonCode::kTopicFilterInvalid, ReasonCode::kGrantedQos1}));
  std::vector<std::string> filters = many("f", 7);
  for (int i = 0; i < 7; ++i) {
    client.subscribe(filters);
    for (auto& filter : filters) filter += "x";
  }
  EXPECT_EQ(client.subscribe({"one", "too many"}),
            (std::vector{ReasonCode::kQuotaExceeded, ReasonCode::kQuotaExceeded}));
}

// Each habit in which the service differs from the specifications.
TEST(Broker, behaves_as_the_standards_or_as_the_service) {
  for (const bool aws : {false, true}) {
    Harness h(aws ? Harness::aws_options() : Harness::default_options());
    const std::string at = h.listen_plain();
    TestClient client(at);
    ASSERT_EQ(client.connect({.client_id = "c", .version = Version::k5, .keep_alive_s = 0}),
              ReasonCode::kSuccess);
    EXPECT_EQ(client.server_keep_alive_s, aws ? 1200 : 0);
    client.publish("kept/x", "retained", 1, true);
    EXPECT_EQ(client.subscribe({"a/#"}, 2), (std::vector{static_cast<ReasonCode>(aws ? 1 : 2)}));
    client.publish("a", "parent");
    client.publish("a/b", "child");
    if (!aws) {
      EXPECT_EQ(client.receive().payload, "parent");
    }
    EXPECT_EQ(client.receive().payload, "child");
    client.subscribe({"kept/#"});
    if (!aws) {
      EXPECT_EQ(client.receive().payload, "retained");
    }
    EXPECT_TRUE(client.quiet(20));
    client.subscribe({"kept/x"});
    EXPECT_EQ(client.receive().payload, "retained");
    std::vector<std::string> filters = many("f", 9);
    if (!aws) {
      EXPECT_EQ(client.subscribe(filters).size(), 9U);
      EXPECT_EQ(client.publish("1/2/3/4/5/6/7/8/9", std::string(200'000, 'x'), 2), ReasonCode::kSuccess);
    } else {
      client.send_publish("t", "x", 2, 9);
      EXPECT_EQ(client.next().disconnect.reason, ReasonCode::kQosNotSupported);
    }
    TestClient dollar(at);
    EXPECT_EQ(dollar.connect({.client_id = "$c"}),
              aws ? ReasonCode::kClientIdentifierNotValid : ReasonCode::kSuccess);
    TestClient old(at);
    ASSERT_EQ(old.connect({.client_id = "old"}), ReasonCode::kSuccess);
    EXPECT_EQ(old.subscribe({"t"}, 2).empty(), aws) << "AWS ends the connection";
  }
}

TEST(Broker, slow_readers_lose_qos_0_and_are_cut_at_their_queue) {
  Options options = Harness::default_options();
  options.outbound_bytes_max = 64 * 1024;
  options.queue_messages_max = 20;
  Harness h(options);
  const std::string at = h.listen_plain();
  TestClient slow(at), publisher(at);
  ASSERT_EQ(slow.connect({.client_id = "slow", .version = Version::k5, .receive_maximum = 5}),
            ReasonCode::kSuccess);
  slow.subscribe({"t"}, 1);
  ASSERT_EQ(publisher.connect({.client_id = "p"}), ReasonCode::kSuccess);
  for (int i = 0; i < 25; ++i) EXPECT_EQ(publisher.publish("t", std::to_string(i)), ReasonCode::kSuccess);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(slow.receive(i > 0).payload, std::to_string(i));
  for (int i = 5; i < 9; ++i) EXPECT_EQ(slow.receive(false).payload, std::to_string(i));
  EXPECT_TRUE(slow.quiet(20)) << "its window is full";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(publisher.publish("t", "more"), ReasonCode::kSuccess);
  const mqtt::Packet& last = slow.next();
  ASSERT_EQ(last.type, mqtt::PacketType::kDisconnect);
  EXPECT_EQ(last.disconnect.reason, ReasonCode::kQuotaExceeded);

  TestClient deaf(at);
  ASSERT_EQ(deaf.connect({.client_id = "deaf"}), ReasonCode::kSuccess);
  deaf.subscribe({"t"}, 0);
  for (int i = 0; i < 200; ++i) publisher.publish("t", std::string(100'000, 'x'), 0);
  EXPECT_EQ(publisher.publish("u", "sync"), ReasonCode::kSuccess);
  eventually([&] { return h.metric("fleetward_broker_refused_total{reason=\"slow_reader\"}") > 1; },
             "QoS 0 is dropped");
}

TEST(Broker, lifecycle_events_and_observations) {
  Options options = Harness::default_options();
  options.observation_interval = Duration{5000};
  Harness h(options);
  const std::string at = h.listen_plain();
  TestClient watcher(at);
  ASSERT_EQ(watcher.connect({.client_id = "watcher"}), ReasonCode::kSuccess);
  watcher.subscribe({"$aws/events/presence/+/dev", "$aws/events/subscriptions/+/dev"});
  {
    TestClient device(at);
    ASSERT_EQ(device.connect({.client_id = "dev"}), ReasonCode::kSuccess);
    EXPECT_EQ(watcher.receive().topic, "$aws/events/presence/connected/dev");
    device.subscribe({"x"});
    EXPECT_EQ(watcher.receive().topic, "$aws/events/subscriptions/subscribed/dev");
    device.publish("x", "12345");
    device.receive();
    device.publish("y", "1", 0);
  }
  const Published gone = watcher.receive();
  EXPECT_EQ(gone.topic, "$aws/events/presence/disconnected/dev");
  EXPECT_NE(gone.payload.find("CONNECTION_LOST"), std::string::npos);
  EXPECT_FALSE(h.hook.seen("$aws/events/presence/disconnected/dev").empty()) << "rules see them too";
  h.pass(Duration{2000});
  eventually([&] { return h.sink.total("dev").disconnects == 1; }, "the last delta");
  const Observation total = h.sink.total("dev");
  EXPECT_EQ(total.messages_sent, 2U);
  EXPECT_EQ(total.message_bytes_total, 6U);
  EXPECT_EQ(total.messages_received, 1U);
  EXPECT_EQ(total.connection_attempts, 1U);
  EXPECT_EQ(total.source_addresses, std::vector<std::string>{"127.0.0.1"});
  EXPECT_FALSE(total.connected);
  EXPECT_FALSE(h.sink.total("watcher").connected) << "its interval is not over";
  h.pass(Duration{5000});
  eventually([&] { return h.sink.total("watcher").connected; }, "a delta each interval");
}

TEST(Broker, internal_publishes_reach_subscribers_rules_and_queues) {
  Harness h;
  const std::string at = h.listen_plain();
  {
    TestClient device(at);
    ASSERT_EQ(device.connect({.client_id = "dev", .clean = false}), ReasonCode::kSuccess);
    device.subscribe({"cmd"});
    device.disconnect();
  }
  auto message = std::make_shared<Message>();
  message->topic = "cmd";
  message->payload = "go";
  message->qos = 1;
  message->retain = true;
  std::atomic<int> done{0};
  h.broker->publisher().publish(message, [&](const Status& status) { done = status ? 1 : 2; });
  eventually([&] { return done != 0; }, "done");
  EXPECT_EQ(done, 1);
  EXPECT_EQ(h.hook.seen("cmd").size(), 1U);
  h.restart();
  EXPECT_TRUE(h.broker->get_retained("cmd"));
  TestClient device(h.listen_plain());
  ASSERT_EQ(device.connect({.client_id = "dev", .clean = false}), ReasonCode::kSuccess);
  EXPECT_EQ(device.receive().payload, "go");

  auto bad = std::make_shared<Message>();
  bad->topic = "a/#";
  Status refused;
  h.broker->publisher().publish(bad, [&](Status status) { refused = std::move(status); });
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

TEST(Broker, an_operator_sees_and_ends_a_connection) {
  Harness h;
  TestClient client(h.listen_plain());
  ASSERT_EQ(client.connect({.client_id = "c", .version = Version::k5}), ReasonCode::kSuccess);
  client.subscribe({"a/#"});
  const auto info = h.broker->connection("c");
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->connected);
  EXPECT_EQ(info->source_ip, "127.0.0.1");
  ASSERT_EQ(info->subscriptions.size(), 1U);
  EXPECT_TRUE(h.broker->disconnect("c", true, true));
  EXPECT_EQ(client.next().disconnect.reason, ReasonCode::kAdministrativeAction);
  EXPECT_FALSE(h.broker->connection("c"));
  EXPECT_FALSE(h.broker->disconnect("c", false, false));
}

TEST(Broker, says_goodbye_when_it_stops) {
  Harness h;
  TestClient client(h.listen_plain());
  ASSERT_EQ(client.connect({.client_id = "c", .version = Version::k5}), ReasonCode::kSuccess);
  std::thread stopper([&] { h.broker->stop(Duration{5000}); });
  EXPECT_EQ(client.next().disconnect.reason, ReasonCode::kServerShuttingDown);
  EXPECT_TRUE(client.closed());
  stopper.join();
}

TEST(Broker, a_port_in_use_is_a_conflict_and_a_plain_listener_needs_a_policy) {
  Harness h;
  Listener listener;
  listener.kind = Listener::Kind::kMqtt;
  listener.address = h.listen_plain();
  EXPECT_EQ(h.broker->listen(listener).error().code, ErrorCode::kInvalidArgument);
  listener.plain_policy = "open";
  EXPECT_EQ(h.broker->listen(listener).error().code, ErrorCode::kConflict);
  listener.address = "nonsense";
  EXPECT_EQ(h.broker->listen(listener).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace fleetward::broker
