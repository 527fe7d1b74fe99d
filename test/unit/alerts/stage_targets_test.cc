#include <gtest/gtest.h>

#include "alerts/delivery.h"
#include "alerts/stage.h"
#include "alerts/webhook.h"
#include "test/unit/alerts/stage_fixture.h"

namespace fleetward::alerts {
namespace {

// The example of AWS's notification.
const std::string kMessage =
    R"({"violationEventTime":1767226500000,"thingName":"pump-17","behavior":{"name":"few-auth-failures",)"
    R"("metric":"aws:num-authorization-failures","criteria":{"comparisonOperator":"less-than","value":{"count":5},)"
    R"("durationSeconds":300,"consecutiveDatapointsToAlarm":1,"consecutiveDatapointsToClear":1}},)"
    R"("violationEventType":"in-alarm","metricValue":{"count":9},)"
    R"("violationId":"0f5c2a6b9d1e4c7f8a3b2c1d0e9f8a7b","securityProfileName":"fleet-baseline"})";
const std::string kPayload =
    kMessage.substr(0, kMessage.size() - 1) +
    R"(,"fleetward":{"explanation":"{\"count\":9} is not less-than 5","accountId":"123456789012","region":"eu-west-1"}})";

Target target(Target::Kind kind, const std::string& name) {
  Target out;
  out.kind = kind;
  out.name = name;
  out.topic = "alerts/${profile}/${thing}";
  out.qos = 0;
  out.url = "https://" + name + ".example/";
  out.secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  out.address = "logs.example:6514";
  EXPECT_TRUE(prepare(out));
  return out;
}

class StageTargetsTest : public StageTest {
 protected:
  void configure(std::vector<Target> to) {
    targets = std::move(to);
    restart();
  }
  void alarm(const std::string& message = kMessage, const std::string& topic = "") {
    AlertRecord record;
    record.topic_arn = topic;
    record.message = message;
    record.violation = true;
    record.explanation = R"({"count":9} is not less-than 5)";
    log::Batch batch;
    batch.append({kStream, 0}, encode_alert(record), clock.now());
    ASSERT_TRUE(log.write(std::move(batch)));
  }
  static std::string cleared() {
    std::string out = kMessage;
    out.replace(out.find("in-alarm"), 8, "alarm-cleared");
    return out;
  }
};

TEST_F(StageTargetsTest, AViolationGoesToEveryTargetAndToItsTopicAsAwsHasIt) {
  configure({target(Target::Kind::kMqtt, "m"), target(Target::Kind::kWebhook, "w"),
             target(Target::Kind::kSyslog, "s")});
  subscribe("a", "http", "http://a/", [](Subscription& s) { s.raw_delivery = true; });
  alarm(kMessage, kTopic);
  stage->run_once();
  ASSERT_EQ(mqtt.size(), 1u);
  EXPECT_EQ(mqtt[0].topic, "alerts/fleet-baseline/pump-17");
  EXPECT_EQ(mqtt[0].payload, kPayload);
  ASSERT_EQ(sender->open.size(), 2u);
  const HttpPost& post = sender->open[0].second;
  EXPECT_EQ(post.url, "https://w.example/");
  EXPECT_EQ(post.body, kPayload);
  EXPECT_EQ(post.headers[2], "webhook-id: 0f5c2a6b9d1e4c7f8a3b2c1d0e9f8a7b-in-alarm");
  EXPECT_EQ(sender->open[1].second.url, "http://a/");
  EXPECT_EQ(sender->open[1].second.body, kMessage);
  ASSERT_EQ(syslog->open.size(), 1u);
  EXPECT_EQ(syslog->open[0].target, "s");
  EXPECT_EQ(
      syslog->open[0].message,
      R"(<132>1 2026-01-01T00:15:00.000Z fleet.example fleetward - in-alarm [violation@32473 )"
      R"(violationId="0f5c2a6b9d1e4c7f8a3b2c1d0e9f8a7b" violationEventType="in-alarm" thingName="pump-17" )"
      R"(securityProfileName="fleet-baseline" behavior="few-auth-failures" )"
      R"(metric="aws:num-authorization-failures" metricValue="{\"count\":9}" accountId="123456789012" )"
      R"(region="eu-west-1"] pump-17 in-alarm, fleet-baseline/few-auth-failures: {"count":9} is not less-than 5)");
  EXPECT_EQ(stored(), 3u);  // the broker has it already
  sender->answer(0, 200);
  sender->answer(0, 200);
  syslog->answer(0);
  stage->run_once();
  EXPECT_EQ(stored(), 0u);
  for (const char* name : {"m", "w", "s"}) {
    EXPECT_EQ(metric("fleetward_alerts_delivered_total{target=\"" + std::string(name) + "\"} "), 1) << name;
  }
  EXPECT_EQ(metric("fleetward_alerts_delivered_total "), 1);
}

TEST_F(StageTargetsTest, WhatIsNoViolationGoesToNoTarget) {
  configure({target(Target::Kind::kWebhook, "w")});
  publish(kMessage);
  stage->run_once();
  EXPECT_TRUE(sender->open.empty());
}

TEST_F(StageTargetsTest, ProfilesAndEventsAreChosen) {
  Target other = target(Target::Kind::kWebhook, "other");
  other.profiles = {"other-*"};
  Target ends = target(Target::Kind::kWebhook, "ends");
  ends.events = {"alarm-cleared"};
  configure({other, ends});
  alarm();
  alarm(cleared());
  stage->run_once();
  ASSERT_EQ(sender->open.size(), 1u);
  EXPECT_EQ(sender->open[0].second.url, "https://ends.example/");
  EXPECT_NE(sender->open[0].second.headers[2].find("-alarm-cleared"), std::string::npos);
}

TEST_F(StageTargetsTest, TheEndOfAnAlarmIsANotice) {
  configure({target(Target::Kind::kSyslog, "s")});
  alarm(cleared());
  stage->run_once();
  ASSERT_EQ(syslog->open.size(), 1u);
  EXPECT_TRUE(syslog->open[0].message.starts_with("<133>1 "));
}

TEST_F(StageTargetsTest, EachAttemptIsSignedWithItsOwnTimeAndTheSameId) {
  configure({target(Target::Kind::kWebhook, "w")});
  alarm();
  stage->run_once();
  const HttpPost first = sender->open[0].second;
  sender->answer(0, 404);
  stage->run_once();
  pass(Duration{4'999});
  stage->run_once();
  EXPECT_TRUE(sender->open.empty());
  pass(Duration{1});
  stage->run_once();
  ASSERT_EQ(sender->open.size(), 1u);
  const HttpPost second = sender->open[0].second;
  EXPECT_EQ(second.headers[2], first.headers[2]);
  EXPECT_NE(second.headers[3], first.headers[3]);
  EXPECT_NE(second.headers[4], first.headers[4]);
  EXPECT_EQ(second.body, first.body);
  EXPECT_EQ(metric("fleetward_alerts_retried_total{target=\"w\"} "), 1);
}

TEST_F(StageTargetsTest, GivenUpAtItsAge) {
  Target t = target(Target::Kind::kSyslog, "s");
  t.give_up_after = Duration{12'000};
  configure({t});
  alarm();
  for (const int64_t pause : {0, 5'000}) {  // the third would be 15 s after the alarm
    pass(Duration{pause});
    stage->run_once();
    ASSERT_EQ(syslog->open.size(), 1u);
    syslog->answer(0, "connect: Connection refused");
    stage->run_once();
  }
  EXPECT_EQ(dropped("expired", "s"), 1);
  EXPECT_EQ(stored(), 0u);
}

TEST_F(StageTargetsTest, AFullQueueDropsTheNewestAndStopsNobodyElse) {
  Target t = target(Target::Kind::kWebhook, "w");
  t.queue_max = 3;
  deliveries_max = 2;
  configure({t});
  subscribe("a", "http", "http://a/", [](Subscription& s) { s.raw_delivery = true; });
  for (int i = 0; i < 5; ++i) alarm();
  stage->run_once();
  EXPECT_EQ(stored(), 3u);
  EXPECT_EQ(dropped("queue_full", "w"), 2);
  EXPECT_EQ(metric("fleetward_alerts_pending{target=\"w\"} "), 3);
  publish("for SNS");  // although more wait than SNS may have
  stage->run_once();
  ASSERT_EQ(sender->open.size(), 3u);
  EXPECT_EQ(sender->open[2].second.body, "for SNS");
}

TEST_F(StageTargetsTest, ARestartGoesOnAndARemovedTargetIsForgotten) {
  configure({target(Target::Kind::kWebhook, "w"), target(Target::Kind::kSyslog, "s")});
  alarm();
  alarm(cleared());
  stage->run_once();
  EXPECT_EQ(stored(), 4u);
  configure({target(Target::Kind::kWebhook, "w")});
  stage->run_once();
  EXPECT_EQ(sender->open.size(), 2u);
  EXPECT_EQ(stored(), 2u);
  EXPECT_EQ(dropped("target_removed", "s"), 2);
}

TEST_F(StageTargetsTest, SyslogMessagesGoTogetherInOrder) {
  configure({target(Target::Kind::kSyslog, "s")});
  for (int i = 0; i < 120; ++i) alarm(i % 2 == 0 ? kMessage : cleared());
  stage->run_once();
  ASSERT_EQ(syslog->open.size(), 100u);
  EXPECT_NE(syslog->open[0].message.find("in-alarm"), std::string::npos);
  EXPECT_NE(syslog->open[99].message.find("alarm-cleared"), std::string::npos);
  while (!syslog->open.empty()) syslog->answer(0);
  stage->run_once();
  stage->run_once();
  EXPECT_EQ(syslog->open.size(), 20u);
}

TEST_F(StageTargetsTest, ABrokerThatRefusesIsTriedAgain) {
  configure({target(Target::Kind::kMqtt, "m")});
  mqtt_answer = fail(ErrorCode::kUnavailable, "stopping");
  alarm();
  stage->run_once();
  EXPECT_EQ(stored(), 1u);
  mqtt_answer = {};
  pass(Duration{5'000});
  stage->run_once();
  EXPECT_EQ(mqtt.size(), 2u);
  EXPECT_EQ(stored(), 0u);
}

TEST_F(StageTargetsTest, AMessageThatIsNoViolationIsCorrupt) {
  configure({target(Target::Kind::kWebhook, "w")});
  alarm("text");
  stage->run_once();
  EXPECT_EQ(dropped("corrupt"), 1);
  EXPECT_EQ(log.committed("alerts", {kStream, 0}), 1u);
}

TEST(AlertRecord, ReadsWhatItWrites) {
  AlertRecord record;
  record.message = "m";
  record.violation = true;
  record.explanation = "why";
  const auto back = decode_alert(encode_alert(record));
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->violation);
  EXPECT_EQ(back->explanation, "why");
  record.violation = false;
  EXPECT_FALSE(decode_alert(encode_alert(record)));  // for nobody
}

}  // namespace
}  // namespace fleetward::alerts
