#include <thread>

#include <gtest/gtest.h>

#include "broker/lifecycle.h"
#include "broker/mailbox.h"
#include "broker/observed.h"
#include "broker/timer_wheel.h"
#include "broker/topics.h"

namespace fleetward::broker {
namespace {

TEST(TimerWheel, fires_once_never_early_and_at_most_a_granule_late) {
  const Timestamp start{1'000'000};
  TimerWheel<int> wheel(Duration{100}, 64, start);
  std::map<int, Timestamp> deadlines, fired;
  for (int i = 0; i < 500; ++i) {
    deadlines[i] = start + Duration{i * 37};  // up to three times the horizon
    wheel.add(i, deadlines[i]);
  }
  for (Timestamp now = start; now < start + Duration{20'000}; now = now + Duration{50}) {
    wheel.advance(now, [&](int item, Timestamp deadline) {
      EXPECT_EQ(deadline, deadlines[item]);
      EXPECT_TRUE(fired.emplace(item, now).second);
      return Timestamp{};
    });
  }
  ASSERT_EQ(fired.size(), 500U);
  for (const auto& [item, at] : fired) {
    EXPECT_GE(at, deadlines[item]);
    EXPECT_LE(at - deadlines[item], Duration{150});
  }
  EXPECT_EQ(wheel.size(), 0U);
}

TEST(TimerWheel, an_item_may_ask_for_later_and_a_long_pause_is_no_problem) {
  const Timestamp start{0};
  TimerWheel<std::string> wheel(Duration{10}, 16, start);
  wheel.add("a", start + Duration{50});
  int calls = 0;
  const auto due = [&](const std::string&, Timestamp deadline) {
    return ++calls < 3 ? deadline + Duration{1'000'000} : Timestamp{};
  };
  wheel.advance(start + Duration{500'000}, due);
  EXPECT_EQ(calls, 1);
  wheel.advance(start + Duration{1'000'000}, due);
  EXPECT_EQ(calls, 1);
  wheel.advance(start + Duration{1'000'200}, due);
  EXPECT_EQ(calls, 2);
  wheel.advance(start + Duration{9'000'000}, due);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(wheel.size(), 0U);
}

TEST(Mailbox, keeps_the_order_of_each_sender_and_pushes_back) {
  Mailbox<std::pair<int, int>> box(100, [] {});
  constexpr int kSenders = 4, kEach = 2000;
  std::vector<std::thread> senders;
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&box, s] {
      for (int i = 0; i < kEach;) {
        std::vector<std::pair<int, int>> batch;
        for (int k = 0; k < 7 && i + k < kEach; ++k) batch.emplace_back(s, i + k);
        const auto count = static_cast<int>(batch.size());
        if (box.post(batch, batch.size(), [] {})) {
          i += count;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  std::vector<int> next(kSenders, 0);
  std::vector<std::pair<int, int>> mail;
  for (int got = 0; got < kSenders * kEach;) {
    mail.clear();
    box.take(mail);
    if (mail.empty()) std::this_thread::yield();
    EXPECT_LE(mail.size(), 100U + 7U);
    for (const auto& [sender, number] : mail) {
      ASSERT_EQ(number, next[static_cast<size_t>(sender)]++);
      ++got;
    }
  }
  for (auto& sender : senders) sender.join();
}

TEST(Mailbox, tells_the_refused_when_there_is_room) {
  int wakes = 0, rooms = 0;
  Mailbox<int> box(10, [&] { ++wakes; });
  std::vector<int> batch{1, 2};
  EXPECT_TRUE(box.post(batch, 50, [] {}));  // one batch of any size
  EXPECT_TRUE(batch.empty());
  batch = {3};
  EXPECT_FALSE(box.post(batch, 1, [&] { ++rooms; }));
  EXPECT_FALSE(box.try_post(4, 1));
  EXPECT_EQ(batch.size(), 1U);
  box.post_always(5);
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(box.maybe_has_mail());
  std::vector<int> mail;
  box.take(mail);
  EXPECT_EQ(mail, (std::vector<int>{1, 2, 5}));
  EXPECT_EQ(rooms, 1);
  EXPECT_FALSE(box.maybe_has_mail());
  EXPECT_TRUE(box.post(batch, 1, [] {}));
}

TEST(Observations, deltas_start_again_and_absent_clients_leave_early) {
  Observations observations(10);
  Observed& a = observations.of("a", true, {1000});
  a.connected = true;
  ++a.connection_attempts;
  a.address("192.0.2.1");
  a.sent(10, {});
  a.sent(300, {});
  a.received({});
  Observed& stranger = observations.of("stranger", false, {1500});
  ++stranger.connection_attempts;
  stranger.authorization_failed({});

  auto early = observations.collect({2000}, true);
  ASSERT_EQ(early.size(), 1U);
  EXPECT_EQ(early[0].thing, "stranger");
  EXPECT_EQ(early[0].authorization_failures, 1U);
  EXPECT_EQ(early[0].from, Timestamp{1500});
  EXPECT_TRUE(observations.collect({2500}, true).empty());

  auto all = observations.collect({3000}, false);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].messages_sent, 2U);
  EXPECT_EQ(all[0].message_bytes_total, 310U);
  EXPECT_EQ(all[0].message_bytes_min, 10U);
  EXPECT_EQ(all[0].message_bytes_max, 300U);
  EXPECT_EQ(all[0].messages_received, 1U);
  EXPECT_EQ(all[0].connection_attempts, 1U);
  EXPECT_TRUE(all[0].connected);

  // Quiet, but connected: a delta of zeros, still from its address.
  auto quiet = observations.collect({4000}, false);
  ASSERT_EQ(quiet.size(), 1U);
  EXPECT_EQ(quiet[0].messages_sent, 0U);
  EXPECT_EQ(quiet[0].from, Timestamp{3000});
  EXPECT_EQ(quiet[0].source_addresses, std::vector<std::string>{"192.0.2.1"});
}

TEST(Observations, strangers_cannot_grow_the_table_nor_push_out_a_connected_client) {
  Observations observations(10);
  for (int i = 0; i < 50; ++i) observations.of("s" + std::to_string(i), false, {1}).authorization_failed({});
  observations.of("real", true, {1}).connected = true;
  EXPECT_EQ(observations.collect({2}, false).size(), 11U);
}

TEST(Topics, reserved_topics_exist_or_are_refused_by_name) {
  struct Case {
    const char* topic;
    const char* refused;  // a piece of the reason; null: allowed
  };
  for (const Case& c :
       {Case{"a/b", nullptr}, Case{"$aws/rules/r", nullptr}, Case{"$aws/rules/r/a/b", nullptr},
        Case{"$aws/rules/", "reserved"}, Case{"$aws/things/t/defender/metrics/json", nullptr},
        Case{"$aws/things/t/defender/metrics/cbor", nullptr},
        Case{"$aws/things/t/defender/metrics/xml", "reserved"},
        Case{"$aws/things/t/defender/metrics/json/accepted", "reserved"},
        Case{"$aws/things/t/shadow/update", "shadows"}, Case{"$aws/things/t/jobs/get", "jobs"},
        Case{"$aws/certificates/create/json", "provisioning"},
        Case{"$aws/events/presence/connected/x", "reserved"}, Case{"$SYS/broker", "reserved"}}) {
    const auto refusal = publish_refusal(c.topic);
    EXPECT_EQ(refusal.has_value(), c.refused != nullptr) << c.topic;
    if (refusal && c.refused != nullptr) {
      EXPECT_NE(refusal->find(c.refused), std::string_view::npos) << c.topic;
    }
  }
  for (const Case& c : {Case{"#", nullptr}, Case{"$aws/#", nullptr}, Case{"$aws/events/#", nullptr},
                        Case{"$aws/events/presence/+/x", nullptr},
                        Case{"$aws/things/+/defender/metrics/json/accepted", nullptr},
                        Case{"$aws/things/t/#", nullptr}, Case{"$aws/things/t/shadow/#", "shadows"},
                        Case{"$aws/rules/x", "Basic Ingest"}, Case{"$SYS/#", "reserved"}}) {
    const auto refusal = subscribe_refusal(c.topic);
    EXPECT_EQ(refusal.has_value(), c.refused != nullptr) << c.topic;
    if (refusal && c.refused != nullptr) {
      EXPECT_NE(refusal->find(c.refused), std::string_view::npos) << c.topic;
    }
  }
}

TEST(Lifecycle, payloads_are_those_of_the_reference) {
  lifecycle::Subject subject;
  subject.client_id = "dev";
  subject.thing_name = "dev";
  subject.session_id = "s-1";
  subject.principal = "abc";
  subject.version = 3;
  subject.now = {1700000000000};
  const auto up = lifecycle::connected(subject, "192.0.2.9");
  EXPECT_EQ(up->topic, "$aws/events/presence/connected/dev");
  EXPECT_EQ(
      up->payload,
      R"({"clientId":"dev","thingName":"dev","timestamp":1700000000000,"eventType":"connected",)"
      R"("sessionIdentifier":"s-1","principalIdentifier":"abc","ipAddress":"192.0.2.9","versionNumber":3})");
  subject.thing_name = {};
  const auto down = lifecycle::disconnected(subject, false, "CONNECTION_LOST");
  EXPECT_EQ(
      down->payload,
      R"({"clientId":"dev","timestamp":1700000000000,"eventType":"disconnected","sessionIdentifier":"s-1",)"
      R"("principalIdentifier":"abc","clientInitiatedDisconnect":false,)"
      R"("disconnectReason":"CONNECTION_LOST","versionNumber":3})");
  const auto subscribed = lifecycle::subscriptions(subject, true, {"a/#", "b"});
  EXPECT_EQ(subscribed->topic, "$aws/events/subscriptions/subscribed/dev");
  EXPECT_NE(subscribed->payload.find(R"("topics":["a/#","b"])"), std::string::npos);
  EXPECT_FALSE(lifecycle::has_events("a+b"));
}

}  // namespace
}  // namespace fleetward::broker
