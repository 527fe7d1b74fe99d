#include "alerts/stage.h"

#include <gtest/gtest.h>

#include "alerts/delivery.h"
#include "test/unit/alerts/stage_fixture.h"

namespace fleetward::alerts {
namespace {

TEST_F(StageTest, OneNotificationToEverySubscriber) {
  subscribe("a", "http", "http://a/hook");
  subscribe("b", "https", "https://b/hook", [](Subscription& s) { s.raw_delivery = true; });
  subscribe("c", "mqtt", "alerts/c");
  subscribe("d", "http", "http://d/", [](Subscription& s) { s.state = Subscription::State::kPending; });
  const std::string id = publish("hello");
  stage->run_once();
  ASSERT_EQ(sender->open.size(), 2u);
  EXPECT_EQ(sender->open[0].second.url, "http://a/hook");
  const auto body = json::parse(sender->open[0].second.body).value().get_object();
  EXPECT_EQ(json::string_or(body, "Message"), "hello");
  EXPECT_EQ(json::string_or(body, "MessageId"), id);
  EXPECT_EQ(json::string_or(body, "UnsubscribeURL"),
            "https://fleet:8443/?Action=Unsubscribe&SubscriptionArn=" + kTopic + ":a");
  EXPECT_EQ(sender->open[1].second.body, "hello");
  ASSERT_EQ(mqtt.size(), 1u);
  EXPECT_EQ(mqtt[0].topic, "alerts/c");
  EXPECT_EQ(stored(), 2u);
  sender->answer(0, 200);
  sender->answer(0, 204);
  stage->run_once();
  EXPECT_EQ(stored(), 0u);
  EXPECT_EQ(log.committed("alerts", {kStream, 0}), 1u);
  EXPECT_EQ(log.range({kStream, 0}).begin, 1u);
}

TEST_F(StageTest, RetriesThenGivesUp) {
  subscribe("a", "http", "http://a/");
  publish("hello");
  std::string message_id;
  for (int attempt = 1; attempt <= 4; ++attempt) {
    stage->run_once();
    ASSERT_EQ(sender->open.size(), 1u) << attempt;
    const auto body = json::parse(sender->open[0].second.body).value().get_object();
    if (message_id.empty()) message_id = json::string_or(body, "MessageId");
    EXPECT_EQ(json::string_or(body, "MessageId"), message_id);
    sender->answer(0, attempt % 2 == 0 ? 500 : 0);
    stage->run_once();
    pass(Duration{19'999});
    stage->run_once();
    EXPECT_TRUE(sender->open.empty());
    pass(Duration{1});
  }
  stage->run_once();
  EXPECT_TRUE(sender->open.empty());
  EXPECT_EQ(stored(), 0u);
  EXPECT_EQ(dropped("exhausted"), 1);
}

TEST_F(StageTest, AClockThatIsSetHoldsNothing) {
  subscribe("a", "http", "http://a/");
  publish("hello");
  stage->run_once();
  sender->answer(0, 500);
  stage->run_once();
  clock.advance(Duration{-7'200'000});
  steady.advance(Duration{20'000});
  stage->run_once();
  ASSERT_EQ(sender->open.size(), 1u);
  sender->answer(0, 500);
  stage->run_once();
  clock.advance(Duration{-7'200'000});
  restart();
  stage->run_once();
  EXPECT_TRUE(sender->open.empty());
  steady.advance(Duration{20'000});
  stage->run_once();
  EXPECT_EQ(sender->open.size(), 1u);
}

TEST_F(StageTest, APermanentRefusalIsFinal) {
  subscribe("a", "http", "http://a/");
  publish("hello");
  stage->run_once();
  sender->answer(0, 410);
  stage->run_once();
  EXPECT_EQ(stored(), 0u);
  EXPECT_EQ(dropped("refused"), 1);
}

// A rule publishes on the topic; the topic's message may be what the rule selects.
TEST_F(StageTest, MqttMessagesSayHowManyRulesMadeThem) {
  subscribe("a", "mqtt", "loop/a");
  subscribe("b", "mqtt", "loop/b");
  subscribe("c", "http", "http://c/");
  ASSERT_TRUE(stage->publish({{.topic_arn = kTopic, .message = "x", .hops = 3, .offspring_max = 9}}));
  ASSERT_TRUE(stage->publish({{.topic_arn = kTopic, .message = "y", .hops = 1, .offspring_max = 1}}));
  ASSERT_TRUE(stage->publish({{.topic_arn = kTopic, .message = "z", .hops = 2, .offspring_max = 1}}));
  publish("of the API");
  for (int i = 0; i < 4; ++i) stage->run_once();
  ASSERT_EQ(mqtt.size(), 8u);
  std::map<std::string, std::pair<uint32_t, size_t>> seen;
  for (const MqttMessage& m : mqtt) {
    for (const char* text : {"x", "y", "z", "of the API"}) {
      if (m.payload.find(std::string("\"Message\":\"") + text + "\"") != std::string::npos)
        seen[text] = {m.hops, m.offspring_max};
    }
  }
  EXPECT_EQ(seen["x"], std::make_pair(3U, size_t{4}));
  EXPECT_EQ(seen["y"], std::make_pair(1U, size_t{1})) << "the first hop always passes";
  EXPECT_EQ(seen["z"], std::make_pair(2U, size_t{0}));
  EXPECT_EQ(seen["of the API"], std::make_pair(0U, size_t{0}));
}

TEST_F(StageTest, WhatTheBrokerRefusesForGoodIsNotTriedAgain) {
  subscribe("a", "mqtt", "loop");
  mqtt_answer = fail(ErrorCode::kLimitExceeded, "rules feed each other");
  publish("x");
  stage->run_once();
  stage->run_once();
  EXPECT_EQ(dropped("refused"), 1);
  mqtt_answer = fail(ErrorCode::kUnavailable, "busy");
  publish("y");
  stage->run_once();
  stage->run_once();
  EXPECT_EQ(dropped("refused"), 1);
  EXPECT_EQ(stored(), 1u);
}

TEST_F(StageTest, ARestartGoesOnWhereItWas) {
  subscribe("a", "http", "http://a/");
  publish("one");
  stage->run_once();
  publish("two");  // not read when the process dies
  restart();
  stage->run_once();
  ASSERT_EQ(sender->open.size(), 2u);
  EXPECT_EQ(json::string_or(json::parse(sender->open[0].second.body)->get_object(), "Message"), "one");
  EXPECT_EQ(json::string_or(json::parse(sender->open[1].second.body)->get_object(), "Message"), "two");
}

TEST_F(StageTest, ASlowEndpointDelaysNobodyElse) {
  subscribe("slow", "http", "http://slow/");
  subscribe("quick", "http", "http://quick/", [](Subscription& s) {
    s.filter_text = R"({"kind":["quick"]})";
    s.filter_on_body = true;
    s.filter = FilterPolicy::parse(s.filter_text, true).value();
  });
  for (int i = 0; i < 4; ++i) publish("slow " + std::to_string(i));
  publish(R"({"kind":"quick"})");
  stage->run_once();
  ASSERT_EQ(sender->open.size(), 3u);  // two of the slow one's
  EXPECT_EQ(sender->open[0].second.url, "http://quick/");
  EXPECT_EQ(stored(), 6u);
  publish("one too many for the slow one");
  stage->run_once();
  EXPECT_EQ(dropped("queue_full"), 1);
}

TEST_F(StageTest, FiltersOnAttributes) {
  subscribe("a", "http", "http://a/", [](Subscription& s) {
    s.filter_text = R"({"level":[{"numeric":[">",3]}]})";
    s.filter = FilterPolicy::parse(s.filter_text, false).value();
  });
  for (const char* level : {"3", "4"}) {
    AlertRecord record{.topic_arn = kTopic, .message = level};
    record.attributes = std::string(R"({"level":{"DataType":"Number","StringValue":")") + level + "\"}}";
    ASSERT_TRUE(stage->publish({record}));
  }
  publish("without");
  stage->run_once();
  ASSERT_EQ(sender->open.size(), 1u);
  const auto body = json::parse(sender->open[0].second.body).value().get_object();
  EXPECT_EQ(json::serialize(body.at("MessageAttributes")), R"({"level":{"Type":"Number","Value":"4"}})");
}

TEST_F(StageTest, TheRoleOfAnAlertIsChecked) {
  subscribe("a", "http", "http://a/");
  AlertRecord record{.topic_arn = kTopic, .role_arn = "arn:aws:iam::123456789012:role/none", .message = "x"};
  ASSERT_TRUE(stage->publish({record}));
  record.role_arn.clear();
  record.topic_arn = kTopic + "-gone";
  ASSERT_TRUE(stage->publish({record}));
  stage->run_once();
  EXPECT_TRUE(sender->open.empty());
  EXPECT_EQ(dropped("role_refused"), 1);
  EXPECT_EQ(dropped("no_topic"), 1);
}

TEST_F(StageTest, ConfirmationsAndSubscriptionsThatEnd) {
  Subscription s;
  s.topic = "alerts";
  s.id = "p";
  subscribe("p", "http", "http://p/", [&](Subscription& p) {
    p.state = Subscription::State::kPending;
    p.token = "t0ken";
    s = p;
  });
  ASSERT_TRUE(stage->confirm(s));
  stage->run_once();
  ASSERT_EQ(sender->open.size(), 1u);
  const auto body = json::parse(sender->open[0].second.body).value().get_object();
  EXPECT_EQ(json::string_or(body, "Type"), "SubscriptionConfirmation");
  EXPECT_EQ(json::string_or(body, "SubscribeURL"),
            "https://fleet:8443/?Action=ConfirmSubscription&TopicArn=" + kTopic + "&Token=t0ken");
  for (const std::string& header : sender->open[0].second.headers) {
    EXPECT_FALSE(header.starts_with("x-amz-sns-subscription-arn"));
  }
  sender->answer(0, 0);
  stage->run_once();
  EXPECT_TRUE(store.transact([&](state::Transaction& change) -> Status {
    change.erase(tables.subscriptions, state::key("alerts", "p"));
    return {};
  }));
  pass(Duration{20'000});
  stage->run_once();
  EXPECT_TRUE(sender->open.empty());
  EXPECT_EQ(dropped("gone"), 1);
  EXPECT_EQ(stored(), 0u);
}

TEST_F(StageTest, AFullDiskStopsItWithoutLoss) {
  subscribe("a", "http", "http://a/");
  publish("one");
  log.set_trouble("No space left on device");
  stage->run_once();
  EXPECT_TRUE(sender->open.empty());
  EXPECT_FALSE(stage->publish({{.topic_arn = kTopic, .message = "two"}}));
  log.set_trouble("");
  pass(Duration{1'000});
  stage->run_once();
  EXPECT_EQ(sender->open.size(), 1u);
  log.set_trouble("No space left on device");
  sender->answer(0, 200);
  stage->run_once();
  log.set_trouble("");
  pass(Duration{1'000});
  stage->run_once();
  EXPECT_EQ(stored(), 0u);
  EXPECT_TRUE(sender->open.empty());
}

TEST_F(StageTest, ARefusedStepThatIsThereIsDeliveredAllTheSame) {
  subscribe("a", "http", "http://a/");
  publish("one");
  log.fail_next_sync("Input/output error");
  stage->run_once();
  EXPECT_TRUE(sender->open.empty());
  log.set_trouble("");
  pass(Duration{1'000});
  stage->run_once();
  EXPECT_EQ(sender->open.size(), 1u);
  EXPECT_EQ(stored(), 1u);
}

TEST(Delivery, ReadsWhatItWrites) {
  Delivery d{.key = "k",
             .kind = NotificationKind::kUnsubscribeConfirmation,
             .topic = "t",
             .subscription = "s",
             .message_id = "m",
             .subject = "su",
             .message = "text",
             .attributes = "{}",
             .token = "tok",
             .created = {5},
             .attempts = 2,
             .next = {7}};
  const auto back = decode_delivery("k", encode_delivery(d));
  ASSERT_TRUE(back);
  EXPECT_EQ(encode_delivery(*back), encode_delivery(d));
  EXPECT_FALSE(decode_delivery("k", "{}"));
  EXPECT_FALSE(decode_delivery("k", "x"));
}

}  // namespace
}  // namespace fleetward::alerts
