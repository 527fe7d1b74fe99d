#include "pipeline/detect_stage.h"

#include <atomic>

#include "alerts/alert_record.h"
#include "detect/history.h"
#include "export/export_record.h"
#include "pipeline/detect_keys.h"
#include "pipeline/observation_sink.h"
#include "test/unit/pipeline/detect_fixture.h"

namespace fleetward::pipeline {
namespace {

constexpr const char* kProfile = R"({"securityProfileName":"base","behaviors":[
  {"name":"strong-signal","metric":"rssi","exportMetric":true,
   "criteria":{"comparisonOperator":"greater-than","value":{"number":-100}}},
  {"name":"quiet","metric":"aws:num-messages-sent","exportMetric":true,"suppressAlerts":true,
   "criteria":{"comparisonOperator":"less-than","value":{"count":10},"durationSeconds":300}}],
  "alertTargets":{"SNS":{"alertTargetArn":"arn:aws:sns:eu-west-1:123456789012:alerts",
                         "roleArn":"arn:aws:iam::123456789012:role/alerts"}},
  "metricsExportConfig":{"mqttTopic":"export/topic","roleArn":"arn:aws:iam::123456789012:role/export"}})";

// Everything the stage wrote, in a form to compare.
std::string dump(const log::Log& log) {
  std::string out;
  for (const auto& entry : scan_all(log, "", "\xff")) {
    out += "key " + json::serialize(json::value(entry.key)) + " " +
           std::to_string(std::hash<std::string>()(entry.value)) + "\n";
  }
  for (const char* stream : {"exports", "alerts", "events"}) {
    for (uint32_t p = 0; p < DetectFixture::kPartitions; ++p) {
      const auto records = log.read({stream, p}, 0, 1 << 30).value();
      const auto range = log.range({stream, p});
      out +=
          std::string(stream) + " " + std::to_string(range.begin) + ".." + std::to_string(range.end) + "\n";
      for (const log::Record& record : records) {
        out += std::to_string(record.offset) + " " + std::to_string(std::hash<std::string>()(record.value)) +
               "\n";
      }
      out += std::to_string(log.committed("detect", {stream, p})) + "\n";
    }
  }
  return out;
}

std::vector<std::string> exported(const log::Log& log) {
  std::vector<std::string> out;
  for (uint32_t p = 0; p < DetectFixture::kPartitions; ++p) {
    for (const log::Record& record : read_all(log, {"exports", p})) {
      EXPECT_TRUE(exporting::read_record(record.value, [&](const exporting::Point& point) {
        std::string_view bytes = point.value;
        out.push_back(std::string(point.thing) + " " + std::string(point.series) + " " +
                      json::serialize(detect::to_json(*detect::decode_value(bytes))));
      }));
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

class DetectStageTest : public DetectFixture {
 protected:
  void SetUp() override {
    put_custom_metric("rssi", detect::ValueKind::kNumber);
    put_group("fleet");
    put_group("child", "fleet");
    put_thing("pump-1", "child");
    put_thing("pump-2", "fleet");
    put_thing("other");
    put_profile(kProfile);
    attach("base", "thinggroup/fleet");
  }
  static std::string rssi(double value) {
    return R"("custom_metrics":{"rssi":[{"number":)" + std::to_string(value) + "}]}";
  }
  void observe(log::Log& log, const std::string& thing, int64_t at_ms, uint64_t sent) {
    LogObservationSink sink(kPartitions, log, logger_, metrics_);
    broker::Observation seen;
    seen.thing = thing;
    seen.to = {kStart + at_ms};
    seen.messages_sent = sent;
    seen.message_bytes_min = seen.message_bytes_max = 10;
    seen.message_bytes_total = 10 * sent;
    seen.connected = true;
    seen.source_addresses = {"192.0.2.1"};
    sink.on_observations({seen});
  }
  // The events of the story: two things, an alarm that clears, one that stays, a tick.
  void play(log::Log& log) {
    report_id_ = 0;
    report(log, "pump-1", 1000, rssi(-50));
    report(log, "pump-2", 1500, rssi(-60));
    observe(log, "pump-1", 2000, 3);
    observe(log, "pump-2", 2000, 30);
    report(log, "pump-1", 3000, rssi(-102));
    report(log, "other", 3500, rssi(-102));
    report(log, "pump-1", 4000, rssi(-103));
    tick(log, kTick);
    report(log, "pump-1", kTick + 1000, rssi(-70));
    report(log, "pump-1", kTick + 2000, rssi(-120));
    tick(log, 2 * kTick);
  }
};

TEST_F(DetectStageTest, AReportBecomesAValueAnExportAndAnAlert) {
  log::MemoryLog log;
  const auto stage = this->stage(log, options());
  play(log);
  drain(*stage);
  EXPECT_EQ(exported(log),
            (std::vector<std::string>{
                R"(pump-1 aws:num-messages-sent {"count":0})", R"(pump-1 aws:num-messages-sent {"count":3})",
                R"(pump-1 rssi {"number":-102})", R"(pump-1 rssi {"number":-103})",
                R"(pump-1 rssi {"number":-120})", R"(pump-1 rssi {"number":-50})",
                R"(pump-1 rssi {"number":-70})", R"(pump-2 aws:num-messages-sent {"count":0})",
                R"(pump-2 aws:num-messages-sent {"count":30})", R"(pump-2 rssi {"number":-60})"}));
  // The suppressed behaviour's violation is recorded, but nobody is told.
  std::vector<std::string> alerts;
  for (const log::Record& record : read_all(log, {"alerts", 0})) {
    const auto alert = alerts::decode_alert(record.value);
    ASSERT_TRUE(alert);
    EXPECT_EQ(alert->source_arn, "arn:aws:iot:eu-west-1:123456789012:securityprofile/base");
    auto message = json::parse(alert->message).value().get_object();
    message.erase("violationId");
    alerts.push_back(json::serialize(message));
  }
  const std::string behavior =
      R"({"name":"strong-signal","metric":"rssi","criteria":{"comparisonOperator":"greater-than","value":)"
      R"({"number":-100},"consecutiveDatapointsToAlarm":1,"consecutiveDatapointsToClear":1},"exportMetric":true})";
  EXPECT_EQ(
      alerts[0],
      R"({"violationEventTime":1767225603000,"thingName":"pump-1","behavior":)" + behavior +
          R"(,"violationEventType":"in-alarm","metricValue":{"number":-102},"securityProfileName":"base"})");
  ASSERT_EQ(alerts.size(), 3U);
  EXPECT_NE(alerts[1].find("alarm-cleared"), std::string::npos);
  size_t active = 0, last = 0;
  for (uint32_t p = 0; p < kPartitions; ++p) {
    active += scan_all(log, keys::active_prefix(p), keys::after_prefix(keys::active_prefix(p))).size();
    last += scan_all(log, keys::last_prefix(p), keys::after_prefix(keys::last_prefix(p))).size();
  }
  EXPECT_EQ(active, 1U);  // pump-1's second; pump-2's flood has cleared with the next tick
  EXPECT_EQ(last, 0U);
}

TEST_F(DetectStageTest, TheServersOwnTargetsAreToldOfProfilesWithoutATopicToo) {
  std::string without = kProfile;
  const size_t begin = without.find("\"alertTargets\""), end = without.find("\"metricsExportConfig\"");
  put_profile(without.erase(begin, end - begin));
  for (const bool own_targets : {false, true}) {
    log::MemoryLog log;
    DetectStageOptions with = options();
    with.alerts_without_sns = own_targets;
    const auto stage = this->stage(log, with);
    play(log);
    drain(*stage);
    const auto records = read_all(log, {"alerts", 0});
    ASSERT_EQ(records.size(), own_targets ? 3U : 0U);  // the suppressed behaviour is told to nobody
    for (const log::Record& record : records) {
      const auto alert = alerts::decode_alert(record.value);
      ASSERT_TRUE(alert);
      EXPECT_TRUE(alert->violation);
      EXPECT_EQ(alert->topic_arn, "");
      EXPECT_EQ(alert->message.find("\"quiet\""), std::string::npos);
    }
    if (!own_targets) continue;
    EXPECT_EQ(alerts::decode_alert(records[0].value)->explanation,
              "{\"number\":-102} is not greater-than -100, data point 1 of 1 in a row");
  }
}

TEST_F(DetectStageTest, ACrashAtAnyWriteLosesAndRepeatsNothing) {
  DetectStageOptions small = options();
  small.read_bytes_max = 1;  // a step for each record
  small.tick_things_max = 1;
  log::MemoryLog whole;
  play(whole);
  drain(*stage(whole, small));
  const std::string expected = dump(whole);
  int crashes = 0;
  for (const bool after : {false, true}) {
    for (int at = 0;; ++at) {
      log::MemoryLog log;
      play(log);
      DyingLog dying(log);
      dying.die_at = at;
      dying.after = after;
      {
        const auto first = stage(dying, small);
        auto more = first->step();
        while (more && *more) more = first->step();
      }
      if (!dying.dead) break;
      ++crashes;
      drain(*stage(log, small));
      ASSERT_EQ(dump(log), expected) << "write " << at << (after ? " applied" : " lost");
    }
  }
  EXPECT_GT(crashes, 20);
}

TEST_F(DetectStageTest, ARefusingLogIsTriedAgainWithTheSameOutcome) {
  log::MemoryLog whole;
  play(whole);
  drain(*stage(whole, options()));
  log::MemoryLog log;
  play(log);
  const auto stage = this->stage(log, options());
  log.set_trouble("No space left on device");
  EXPECT_FALSE(stage->step());
  EXPECT_FALSE(stage->step());
  log.set_trouble("");
  drain(*stage);
  EXPECT_EQ(dump(log), dump(whole));
}

// Also a slice of a tick, which commits no offset.
TEST_F(DetectStageTest, ARefusedStepThatIsThereIsNotRepeated) {
  DetectStageOptions small = options();
  small.read_bytes_max = 1;
  small.tick_things_max = 1;
  log::MemoryLog whole;
  play(whole);
  drain(*stage(whole, small));
  bool more = true;
  for (int at = 0; more; ++at) {
    log::MemoryLog log;
    play(log);
    const auto stage = this->stage(log, small);
    for (int i = 0; i < at && more; ++i) more = stage->step().value();
    if (!more) break;
    log.fail_next_sync("Input/output error");
    if (stage->step()) break;  // nothing was left to write
    EXPECT_FALSE(stage->step());
    log.set_trouble("");
    drain(*stage);
    ASSERT_EQ(dump(log), dump(whole)) << "step " << at;
    EXPECT_LT(at, 100);
  }
}

TEST_F(DetectStageTest, ARefusedTickThatIsThereIsAppendedOnce) {
  log::MemoryLog log;
  const auto stage = this->stage(log, options());
  clock_.advance(Duration{kTick});
  log.fail_next_sync("Input/output error");
  EXPECT_FALSE(stage->append_due_ticks());
  log.set_trouble("");
  clock_.advance(Duration{kTick});
  EXPECT_TRUE(stage->append_due_ticks());
  EXPECT_EQ(log.range({"events", 0}).end, 1U);
  EXPECT_TRUE(stage->append_due_ticks());
  EXPECT_EQ(log.range({"events", 0}).end, 2U);
}

// The process dies and begins anew at every write; a device that was connected before never comes back.
TEST_F(DetectStageTest, WhoWasConnectedWhenTheServerDiedIsAwayFromItsNextStart) {
  put_profile(R"({"securityProfileName":"away","behaviors":[
    {"name":"back-soon","metric":"aws:disconnect-duration",
     "criteria":{"comparisonOperator":"less-than-equals","value":{"count":5}}}]})");
  attach("away", "thinggroup/fleet");
  const auto values = [](const log::Log& log) {
    std::vector<std::string> out;
    for (const auto& entry : scan_all(log, "detect/", "detect0")) {
      if (entry.key.find("/values/") == std::string::npos) continue;
      EXPECT_TRUE(detect::visit_row(entry.value, [&](std::string_view series, std::string_view encoded) {
        if (series != "aws:disconnect-duration") return;
        out.push_back(json::serialize(detect::to_json(*detect::decode_value(encoded))));
      }));
    }
    return out;
  };
  for (int at = 0;; ++at) {
    ASSERT_LT(at, 100);
    clock_.set({kStart + 10'000});
    log::MemoryLog log;
    observe(log, "pump-1", 2000, 1);
    drain(*stage(log, options()));  // and dies
    DyingLog dying(log);
    dying.die_at = at;
    dying.after = at % 2 == 1;
    auto again = stage(dying, options());
    while (!again->append_restart()) {  // never written: the next start is the one that counts
      dying.dead = false;
      again = stage(dying, options());
    }
    for (int64_t boundary = 1; boundary <= 3; ++boundary) tick(log, boundary * kTick);
    auto more = again->step();
    while (more && *more) more = again->step();
    if (dying.dead) drain(*stage(log, options()));
    ASSERT_EQ(values(log), (std::vector<std::string>{R"({"count":0})", R"({"count":0})", R"({"count":290})",
                                                     R"({"count":590})", R"({"count":890})"}))
        << at;
    size_t alarms = 0;
    for (const auto& entry : scan_all(log, "detect/", "detect0")) {
      alarms += entry.key.find("/active/") != std::string::npos ? 1 : 0;
    }
    ASSERT_EQ(alarms, 1U) << at;
    if (!dying.dead) break;
  }
}

TEST_F(DetectStageTest, ProfilesFollowTheControlPlane) {
  log::MemoryLog log;
  const auto stage = this->stage(log, options());
  report(log, "pump-1", 0, rssi(-110));
  report(log, "other", 0, rssi(-110));
  drain(*stage);
  EXPECT_EQ(exported(log).size(), 1U);
  attach("base", "all/things");
  report(log, "other", 1, rssi(-1));
  report(log, "stranger", 1, rssi(-1));
  drain(*stage);
  EXPECT_EQ(exported(log).size(), 3U);
  detach("base", "all/things");
  detach("base", "thinggroup/fleet");
  attach("base", "all/unregistered-things");
  for (const char* thing : {"pump-1", "other", "stranger"}) report(log, thing, 2, rssi(-1));
  tick(log, kTick);  // pump-1 is not monitored any more: its violation is invalidated
  drain(*stage);
  EXPECT_EQ(exported(log).size(), 4U);
  size_t invalidated = 0;
  for (uint32_t p = 0; p < kPartitions; ++p) {
    for (const auto& entry : scan_all(log, keys::events_day(p, 0), keys::events_day(p, 99999))) {
      if (entry.value.find("alarm-invalidated") != std::string::npos) ++invalidated;
    }
  }
  EXPECT_EQ(invalidated, 1U);
}

TEST_F(DetectStageTest, AlarmsEndWhenTheirThingLeavesWithoutAnEventOfIt) {
  log::MemoryLog log;
  auto with = options();
  with.tick_things_max = 1;  // every slice finds at most one
  const auto stage = this->stage(log, with);
  for (const char* thing : {"pump-2", "pump-3", "pump-4"}) {
    put_thing(thing, "fleet");
    report(log, thing, 0, rssi(-110));
  }
  drain(*stage);
  const auto invalidated = [&] {
    size_t count = 0;
    for (uint32_t p = 0; p < kPartitions; ++p) {
      for (const auto& entry : scan_all(log, keys::events_day(p, 0), keys::events_day(p, 99999))) {
        if (entry.value.find("alarm-invalidated") != std::string::npos) ++count;
      }
    }
    return count;
  };
  EXPECT_EQ(invalidated(), 0U);
  change([&](state::Transaction& t) {
    for (const char* thing : {"pump-2", "pump-4"})
      t.erase(registry_.thing_groups, state::key(thing, "fleet"));
  });
  clock_.advance(Duration{1000});
  drain(*stage);
  EXPECT_EQ(invalidated(), 2U);
  const std::string before = dump(log);
  clock_.advance(Duration{1000});
  drain(*stage);
  EXPECT_EQ(dump(log), before) << "nothing is said twice";
}

// The wall clock was set back after a day had been folded: what comes to that day is folded, too.
TEST_F(DetectStageTest, ValuesThatComeLateAreFolded) {
  constexpr int64_t kDay = 24LL * 3600 * 1000;
  log::MemoryLog log;
  const auto stage = this->stage(log, options());
  const auto fold = [&] {
    while (stage->fold().value()) {
    }
    size_t rows = 0, chunks = 0;
    for (const auto& entry : scan_all(log, "detect/", "detect0")) {
      rows += entry.key.find("/values/") != std::string::npos ? 1 : 0;
      chunks += entry.key.find("/history/") != std::string::npos ? 1 : 0;
    }
    return std::pair(rows, chunks);
  };
  clock_.advance(Duration{kDay + 3600'000});
  for (size_t i = 1; i <= 3; ++i) {
    report(log, "pump-1", static_cast<int64_t>(i) * 1000, rssi(-50));
    drain(*stage);
    EXPECT_EQ(fold(), std::pair(size_t{0}, i));
  }
  report(log, "pump-1", kDay + 1, rssi(-50));
  drain(*stage);
  EXPECT_EQ(fold(), std::pair(size_t{1}, size_t{3})) << "that day is not over";
}

// Each step finds that more has come meanwhile.
TEST_F(DetectStageTest, TicksHaveTheirTurnHoweverMuchThereIsToRead) {
  log::MemoryLog log;
  DyingLog busy(log);
  std::atomic<bool> ticked = false;
  busy.before_write = [&] {
    for (uint32_t p = 0; p < kPartitions; ++p) {
      for (const log::Record& record : read_all(log, {"events", p})) {
        detect::Event event;
        if (detect::decode_event(record.value, event) && event.kind == detect::Event::Kind::kTick)
          ticked = true;
      }
    }
    observe(log, "pump-1", 1000, 1);
    clock_.advance(Duration{kTick / 10});
  };
  auto with = options();
  with.appends_ticks = true;
  const auto stage = this->stage(busy, with);
  drain(*stage);
  for (int i = 0; i < 2; ++i) observe(log, "pump-1", 1000, 1);
  stage->start();
  while (!ticked) std::this_thread::yield();
  stage->stop();
}

TEST_F(DetectStageTest, OldValuesAndViolationsExpire) {
  log::MemoryLog log;
  DetectStageOptions with = options();
  with.appends_ticks = true;
  const auto stage = this->stage(log, with);
  report(log, "pump-1", 0, rssi(-110));
  report(log, "pump-1", 1, rssi(-10));
  drain(*stage);
  const auto count = [&](const char* kind) {
    size_t n = 0;
    for (const auto& entry : scan_all(log, "detect/", "detect0")) {
      n += entry.key.find(kind) != std::string::npos ? 1 : 0;
    }
    return n;
  };
  EXPECT_EQ(count("/values/"), 2U);
  EXPECT_EQ(count("/events/"), 2U);
  clock_.advance(Duration{13LL * 24 * 3600 * 1000});
  ASSERT_TRUE(stage->expire());
  EXPECT_EQ(count("/values/"), 2U);
  EXPECT_TRUE(stage->fold().value());
  EXPECT_EQ(count("/values/"), 0U);
  EXPECT_EQ(count("/history/"), 1U);
  clock_.advance(Duration{3LL * 24 * 3600 * 1000});
  ASSERT_TRUE(stage->expire());
  EXPECT_EQ(count("/history/"), 0U);
  EXPECT_EQ(count("/opened/"), 1U);
  EXPECT_EQ(count("/events/"), 2U);
  clock_.advance(Duration{20LL * 24 * 3600 * 1000});
  ASSERT_TRUE(stage->expire());
  EXPECT_EQ(count("/events/"), 0U);
  EXPECT_EQ(count("/ended/"), 0U);
  EXPECT_EQ(count("/opened/"), 0U);
}

TEST_F(DetectStageTest, TicksAreAppendedAtTheirBoundary) {
  log::MemoryLog log;
  const auto stage = this->stage(log, options());
  clock_.advance(Duration{kTick - 1});
  ASSERT_TRUE(stage->append_due_ticks());
  EXPECT_EQ(log.range({"events", 0}).end, 0U);
  clock_.advance(Duration{1});
  ASSERT_TRUE(stage->append_due_ticks());
  ASSERT_TRUE(stage->append_due_ticks());
  EXPECT_EQ(log.range({"events", 0}).end, 1U);
  EXPECT_EQ(log.range({"events", 1}).end, 1U);
  // A wall clock that is set back by a day: the next boundary has its tick again.
  clock_.set(clock_.now() - std::chrono::hours(24));
  ASSERT_TRUE(stage->append_due_ticks());
  clock_.advance(Duration{kTick});
  ASSERT_TRUE(stage->append_due_ticks());
  EXPECT_EQ(log.range({"events", 0}).end, 2U);
}

TEST_F(DetectStageTest, TheThreadWakesWithTheLog) {
  log::MemoryLog log;
  const auto stage = this->stage(log, options());
  stage->start();
  std::mutex mutex;
  std::condition_variable seen;
  bool alert = false;
  const auto subscription = log.subscribe("alerts", [&](const log::Partition&) {
    const std::lock_guard lock(mutex);
    alert = true;
    seen.notify_one();
  });
  report(log, "pump-1", 0, rssi(-110));
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(seen.wait_for(lock, std::chrono::seconds(10), [&] { return alert; }));
  }
  stage->stop();
}

TEST_F(DetectStageTest, TheNumberOfPartitionsIsFixed) {
  log::MemoryLog log;
  EXPECT_EQ(settle_partitions(log, 4).value(), 4U);
  EXPECT_EQ(settle_partitions(log, 16).value(), 4U);
}

}  // namespace
}  // namespace fleetward::pipeline
