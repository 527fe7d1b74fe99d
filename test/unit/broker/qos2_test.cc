// QoS 2 through the broker: once, whatever ends in the middle.
#include <algorithm>

#include "broker/session_store.h"
#include "broker/subscription_index.h"
#include "test/unit/broker/harness.h"

namespace fleetward::broker {
namespace {

using mqtt::PacketType;
using mqtt::ReasonCode;
using mqtt::Version;

ConnectOptions kept(const std::string& id, uint16_t receive_maximum = 0) {
  return {.client_id = id,
          .version = Version::k5,
          .clean = false,
          .session_expiry_s = 3000,
          .receive_maximum = receive_maximum};
}

// Keys of the log that QoS 2 leaves behind: 'p', 'q' and 'r' of sessions, and what is between shards.
size_t leftovers(const Harness& h) {
  const auto keys = h.log.scan("session/", "session0", 1000, false);
  const auto of_qos2 = std::count_if(keys->begin(), keys->end(), [](const log::KeyValue& pair) {
    const size_t zero = pair.key.find('\0');
    return std::string_view("pqr").find(pair.key[zero + 1]) != std::string_view::npos;
  });
  return static_cast<size_t>(of_qos2) + h.log.scan("routed/", "routed0", 1000, false)->size();
}

TEST(Qos2, reaches_each_subscriber_at_the_lower_of_both) {
  Harness h;
  const std::string at = h.listen_plain();
  std::vector<std::unique_ptr<TestClient>> subscribers;
  for (int i = 0; i < 6; ++i) {
    subscribers.push_back(std::make_unique<TestClient>(at));
    auto options = kept("s" + std::to_string(i));
    if (i < 3) options = {.client_id = options.client_id, .version = i == 0 ? Version::k311 : Version::k5};
    ASSERT_EQ(subscribers.back()->connect(options), ReasonCode::kSuccess);
    EXPECT_EQ(subscribers.back()->subscribe({"t"}, static_cast<uint8_t>(i % 3)),
              (std::vector{static_cast<ReasonCode>(i % 3)}));
  }
  for (const Version version : {Version::k311, Version::k5}) {
    TestClient publisher(at);
    ASSERT_EQ(publisher.connect({.client_id = "p", .version = version}), ReasonCode::kSuccess);
    for (int qos = 0; qos < 3; ++qos) {
      EXPECT_EQ(publisher.publish("t", std::to_string(qos), static_cast<uint8_t>(qos)), ReasonCode::kSuccess);
      for (int i = 0; i < 6; ++i) {
        const Published got = subscribers[static_cast<size_t>(i)]->receive();
        EXPECT_EQ(got.payload, std::to_string(qos));
        EXPECT_EQ(got.qos, std::min(qos, i % 3));
      }
    }
  }
  for (auto& subscriber : subscribers) EXPECT_TRUE(subscriber->quiet(20));
  eventually([&] { return leftovers(h) == 0; }, "nothing is left of it in the log");
}

TEST(Qos2, wills_retained_messages_and_shared_subscriptions) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient a(at), b(at), publisher(at);
  ASSERT_EQ(a.connect(kept("a")), ReasonCode::kSuccess);
  ASSERT_EQ(b.connect({.client_id = "b"}), ReasonCode::kSuccess);
  a.subscribe({"will", "$share/g/job"}, 2);
  b.subscribe({"$share/g/job"}, 2);
  {
    TestClient dying(at);
    ConnectOptions options{.client_id = "dying", .version = Version::k5};
    options.will = Published{.topic = "will", .payload = "gone", .qos = 2, .retain = true};
    ASSERT_EQ(dying.connect(options), ReasonCode::kSuccess);
  }
  EXPECT_EQ(a.receive().qos, 2);
  b.subscribe({"will"}, 2);
  const Published retained = b.receive();
  EXPECT_EQ(retained.qos, 2);
  EXPECT_TRUE(retained.retain);

  ASSERT_EQ(publisher.connect(kept("p")), ReasonCode::kSuccess);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(publisher.publish("job", std::to_string(i), 2), ReasonCode::kSuccess);
  std::vector<std::string> got;
  for (TestClient* worker : {&a, &a, &b, &b}) got.push_back(worker->receive().payload);
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, (std::vector<std::string>{"0", "1", "2", "3"}));
}

TEST(Qos2, a_publish_is_taken_once_over_reconnects_and_restarts) {
  Harness h;
  std::string at = h.listen_plain();
  const auto records = [&] { return h.log.range({"records/test", 0}).end; };
  {
    TestClient device(at);
    ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
    device.send_publish("durable/1", "a", 2, 7);
    ASSERT_TRUE(device.answered(PacketType::kPubrec, 7));
    EXPECT_EQ(records(), 1U);
    device.send_publish("durable/1", "a", 2, 7, false, true);
    ASSERT_TRUE(device.answered(PacketType::kPubrec, 7));
  }
  for (const bool restart : {false, true}) {
    if (restart) {
      h.restart();
      at = h.listen_plain();
    }
    TestClient device(at);
    ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
    EXPECT_TRUE(device.session_present);
    device.send_publish("durable/1", "a", 2, 7, false, true);
    ASSERT_TRUE(device.answered(PacketType::kPubrec, 7));
    EXPECT_EQ(records(), 1U);
  }
  TestClient device(at);
  ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
  device.send_ack(PacketType::kPubrel, 7);
  ASSERT_TRUE(device.answered(PacketType::kPubcomp, 7));
  EXPECT_EQ(leftovers(h), 0U) << "forgotten before the PUBCOMP";
  device.send_publish("durable/1", "another", 2, 7);
  ASSERT_TRUE(device.answered(PacketType::kPubrec, 7));
  EXPECT_EQ(records(), 2U);
  device.send_ack(PacketType::kPubrel, 9);
  const mqtt::Packet& unknown = device.next();
  EXPECT_EQ(unknown.type, PacketType::kPubcomp);
  EXPECT_EQ(unknown.ack.reason, ReasonCode::kPacketIdentifierNotFound);
}

TEST(Qos2, a_retained_value_is_set_again_by_a_repetition_after_a_restart) {
  Harness h;
  std::string at = h.listen_plain();
  {
    TestClient device(at);
    ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
    device.send_publish("r", "a", 2, 7, true);
    ASSERT_TRUE(device.answered(PacketType::kPubrec, 7));
  }
  // As if the owner of the topic had been killed before its commit.
  h.broker->stop(Duration{0});
  log::Batch batch;
  session_store::erase_retained(batch, "r");
  ASSERT_TRUE(h.log.write(std::move(batch)));
  h.restart();
  TestClient device(h.listen_plain());
  ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
  device.send_publish("r", "a", 2, 7, true, true);
  ASSERT_TRUE(device.answered(PacketType::kPubrec, 7));
  EXPECT_TRUE(h.broker->get_retained("r"));
  EXPECT_TRUE(*h.log.get("retained/r"));
}

TEST(Qos2, a_refused_publish_is_not_remembered) {
  Harness h;
  const std::string at = h.listen_plain();
  for (int i = 0; i < 2; ++i) {
    TestClient device(at);
    ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
    device.send_publish("$aws/things/t/shadow/update", "{}", 2, 7, false, i == 1);
    const mqtt::Packet& answer = device.next();
    EXPECT_EQ(answer.type, PacketType::kPubrec);
    EXPECT_EQ(answer.ack.reason, ReasonCode::kTopicNameInvalid);
  }
  ConnectOptions old{.client_id = "old", .clean = false};
  for (int i = 0; i < 2; ++i) {
    TestClient device(at);
    ASSERT_EQ(device.connect(old), ReasonCode::kSuccess);
    device.send_publish("$aws/things/t/shadow/update", "{}", 2, 7, false, i == 1);
    EXPECT_TRUE(device.closed());
  }
}

// The packet identifier is the same, the state goes on from where it was, nothing comes twice.
TEST(Qos2, a_delivery_goes_on_over_reconnects_and_restarts) {
  for (const bool restart : {false, true}) {
    Harness h;
    std::string at = h.listen_plain();
    const auto again = [&] {
      if (!restart) return;
      h.restart();
      at = h.listen_plain();
    };
    {
      TestClient device(at);
      ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
      device.subscribe({"t"}, 2);
    }
    TestClient publisher(at);
    ASSERT_EQ(publisher.connect({.client_id = "p"}), ReasonCode::kSuccess);
    for (const char* payload : {"a", "b", "c"}) {
      EXPECT_EQ(publisher.publish("t", payload, 2), ReasonCode::kSuccess);
    }
    std::vector<Published> first;
    {
      TestClient device(at);
      ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
      for (int i = 0; i < 3; ++i) first.push_back(device.receive(false));
      EXPECT_FALSE(first[0].dup);
      device.send_ack(PacketType::kPubrec, first[1].packet_id);
      ASSERT_TRUE(device.answered(PacketType::kPubrel, first[1].packet_id));
    }
    again();
    {
      TestClient device(at);
      ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
      EXPECT_TRUE(device.session_present);
      std::vector<Published> second{device.receive(false)};
      second.push_back(device.receive(false));
      ASSERT_TRUE(device.answered(PacketType::kPubrel, first[1].packet_id));
      for (size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(second[i].payload, first[2 * i].payload);
        EXPECT_EQ(second[i].packet_id, first[2 * i].packet_id);
        EXPECT_TRUE(second[i].dup);
      }
      device.send_ack(PacketType::kPubcomp, first[1].packet_id);
      device.send_ack(PacketType::kPubrec, first[0].packet_id);
      ASSERT_TRUE(device.answered(PacketType::kPubrel, first[0].packet_id));
      device.publish("sync", "");
    }
    again();
    TestClient device(at);
    ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
    const Published last = device.receive(false);
    EXPECT_EQ(last.payload, "c");
    ASSERT_TRUE(device.answered(PacketType::kPubrel, first[0].packet_id));
    device.send_ack(PacketType::kPubcomp, first[0].packet_id);
    device.send_ack(PacketType::kPubrec, last.packet_id);
    ASSERT_TRUE(device.answered(PacketType::kPubrel, last.packet_id));
    device.send_ack(PacketType::kPubcomp, last.packet_id);
    EXPECT_EQ(device.publish("t", "new", 2), ReasonCode::kSuccess);
    EXPECT_EQ(device.receive().payload, "new");
    EXPECT_TRUE(device.quiet(20));
    eventually([&] { return leftovers(h) == 0; }, "all is done");
  }
}

TEST(Qos2, a_narrower_window_takes_what_was_sent_one_by_one) {
  Harness h;
  const std::string at = h.listen_plain();
  {
    TestClient device(at);
    ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
    device.subscribe({"t"}, 2);
    for (const char* payload : {"a", "b", "c"}) device.publish("t", payload, 2);
    for (int i = 0; i < 3; ++i) device.receive(false);
    device.publish("t", "d", 2);
  }
  TestClient device(at);
  ASSERT_EQ(device.connect(kept("dev", 1)), ReasonCode::kSuccess);
  for (const char* payload : {"a", "b", "c", "d"}) {
    const Published got = device.receive(false);
    EXPECT_EQ(got.payload, payload);
    EXPECT_TRUE(device.quiet(20)) << "its window is full";
    device.send_ack(PacketType::kPubrec, got.packet_id);
    ASSERT_TRUE(device.answered(PacketType::kPubrel, got.packet_id));
    EXPECT_TRUE(device.quiet(20)) << "still";
    device.send_ack(PacketType::kPubcomp, got.packet_id);
  }
  EXPECT_TRUE(device.quiet(20));
}

TEST(Qos2, what_was_sent_once_is_brought_to_its_end_even_expired_or_too_large_now) {
  Harness h;
  const std::string at = h.listen_plain();
  Published expiring, large;
  {
    TestClient device(at);
    ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
    device.subscribe({"t"}, 2);
    TestClient publisher(at);
    ASSERT_EQ(publisher.connect({.client_id = "p", .version = Version::k5}), ReasonCode::kSuccess);
    mqtt::Publish packet;
    packet.topic = "t";
    packet.payload = "x";
    packet.qos = 2;
    packet.packet_id = 900;
    packet.properties.set(mqtt::Property::kMessageExpiry, uint32_t{5});
    std::string bytes;
    mqtt::encode(bytes, Version::k5, packet);
    publisher.send(bytes);
    ASSERT_TRUE(publisher.answered(PacketType::kPubrec, 900));
    publisher.publish("t", std::string(500, 'y'), 2);
    expiring = device.receive(false);
    large = device.receive(false);
  }
  h.pass(Duration{10'000});
  auto options = kept("dev");
  options.packet_bytes_max = 100;
  TestClient device(at);
  ASSERT_EQ(device.connect(options), ReasonCode::kSuccess);
  const Published again = device.receive(false);
  EXPECT_EQ(again.packet_id, expiring.packet_id);
  EXPECT_EQ(again.expiry_s, 0U);
  ASSERT_TRUE(device.answered(PacketType::kPubrel, large.packet_id));
}

TEST(Qos2, nothing_leaves_before_the_log_has_it) {
  Harness h;
  const std::string at = h.listen_plain();
  TestClient device(at), publisher(at), live(at);
  ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
  ASSERT_EQ(publisher.connect(kept("p")), ReasonCode::kSuccess);
  ASSERT_EQ(live.connect({.client_id = "live"}), ReasonCode::kSuccess);
  device.subscribe({"t"}, 2);
  live.subscribe({"u"}, 2);
  h.log.set_trouble("No space left on device");
  publisher.send_publish("t", "x", 2, 1);
  EXPECT_TRUE(publisher.quiet(50));
  EXPECT_TRUE(device.quiet(50));
  // A session that ends with its connection has no need of the log.
  EXPECT_EQ(live.publish("u", "y", 2), ReasonCode::kSuccess);
  EXPECT_EQ(live.receive().payload, "y");
  h.log.set_trouble("");
  h.pass(Duration{1000});
  ASSERT_TRUE(publisher.answered(PacketType::kPubrec, 1));
  const Published got = device.receive(false);
  EXPECT_EQ(got.payload, "x");

  h.log.set_trouble("No space left on device");
  device.send_ack(PacketType::kPubrec, got.packet_id);
  EXPECT_TRUE(device.quiet(50));
  publisher.send_ack(PacketType::kPubrel, 1);
  EXPECT_TRUE(publisher.quiet(50));
  h.log.set_trouble("");
  h.pass(Duration{1000});
  ASSERT_TRUE(device.answered(PacketType::kPubrel, got.packet_id));
  ASSERT_TRUE(publisher.answered(PacketType::kPubcomp, 1));
}

// Killed after the shard of the publisher had committed and before the others had: whoever owns the sessions
// now, each one that the message was on its way to gets it, once.
TEST(Qos2, what_was_between_shards_arrives_after_a_restart) {
  Harness h;
  std::string at = h.listen_plain();
  std::vector<std::string> ids;
  for (int i = 0; i < 12; ++i) ids.push_back("s" + std::to_string(i));
  for (const std::string& id : ids) {
    TestClient device(at);
    ASSERT_EQ(device.connect(kept(id)), ReasonCode::kSuccess);
    device.subscribe({"t", "$share/g/j", "#"}, 2);
  }
  h.broker->stop(Duration{0});
  auto message = std::make_shared<Message>();
  message->topic = "t";
  message->payload = "x";
  message->qos = 2;
  auto job = std::make_shared<Message>(*message);
  job->topic = "j";
  log::Batch batch;
  session_store::put_routed(batch, {3, 1, 3, true, {}, message});
  session_store::put_routed(batch, {9, 0, 3, false, {{"g", "j"}, {"nobody", "j"}}, job});
  ASSERT_TRUE(h.log.write(std::move(batch)));
  h.restart();
  h.restart();
  at = h.listen_plain();
  size_t jobs = 0;
  for (const std::string& id : ids) {
    TestClient device(at);
    ASSERT_EQ(device.connect(kept(id)), ReasonCode::kSuccess);
    const bool wanted = TextHash()(id) % 3 == 1;
    bool got = false;
    while (!device.quiet(20)) {
      const Published each = device.receive();
      if (each.topic == "j") {
        ++jobs;
      } else {
        EXPECT_FALSE(got);
        got = true;
      }
    }
    EXPECT_EQ(got, wanted) << id;
  }
  EXPECT_EQ(jobs, 1U);
  TestClient publisher(at);
  ASSERT_EQ(publisher.connect(kept("p")), ReasonCode::kSuccess);
  EXPECT_EQ(publisher.publish("t", "later", 2), ReasonCode::kSuccess);
  eventually([&] { return h.log.scan("routed/", "routed0", 10, false)->empty(); }, "it has arrived");
}

TEST(Qos2, a_clean_start_forgets_both_directions) {
  Harness h;
  const std::string at = h.listen_plain();
  {
    TestClient device(at);
    ASSERT_EQ(device.connect(kept("dev")), ReasonCode::kSuccess);
    device.subscribe({"t"}, 2);
    device.publish("t", "x", 2);
    device.receive(false);
    device.send_publish("u", "y", 2, 77);
    ASSERT_TRUE(device.answered(PacketType::kPubrec, 77));
  }
  auto options = kept("dev");
  options.clean = true;
  TestClient device(at);
  ASSERT_EQ(device.connect(options), ReasonCode::kSuccess);
  EXPECT_FALSE(device.session_present);
  EXPECT_TRUE(device.quiet(20));
  device.send_ack(PacketType::kPubrel, 77);
  EXPECT_EQ(device.next().ack.reason, ReasonCode::kPacketIdentifierNotFound);
  eventually([&] { return leftovers(h) == 0; }, "all is gone");
}

}  // namespace
}  // namespace fleetward::broker
