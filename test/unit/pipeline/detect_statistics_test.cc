#include "pipeline/detect_keys.h"
#include "pipeline/threshold_maker.h"
#include "test/unit/pipeline/detect_fixture.h"

// Statistical criteria through the log: populations of both partitions, thresholds back to both.
namespace fleetward::pipeline {
namespace {

class DetectStatisticsTest : public DetectFixture {
 protected:
  void SetUp() override {
    put_custom_metric("load", detect::ValueKind::kNumber);
    put_profile(R"({"securityProfileName":"base","behaviors":[{"name":"b","metric":"load","criteria":{
      "comparisonOperator":"less-than-equals","statisticalThreshold":{"statistic":"p50"},
      "consecutiveDatapointsToAlarm":2}}]})");
    attach("base", "all/things");
  }
  // Eight things in both partitions; two are beyond the median.
  void round(log::Log& log, int64_t number) {
    for (int i = 0; i < 8; ++i) {
      report(log, "pump-" + std::to_string(i), number * kTick + 1000 + i,
             R"("custom_metrics":{"load":[{"number":)" + std::to_string(i < 6 ? 10 : 90 + i) + "}]}");
    }
    tick(log, (number + 1) * kTick);
  }
  // What a user can see and what must not be repeated.
  std::string violations(const log::Log& log) {
    std::string out;
    for (uint32_t p = 0; p < kPartitions; ++p) {
      for (const auto& entry : scan_all(log, keys::events_day(p, 0), keys::events_day(p, 99'999))) {
        const auto event = json::parse(entry.value).value().get_object();
        out += std::string(json::string_or(event, "thingName")) + " " +
               std::string(json::string_or(event, "violationEventType")) + " " +
               json::serialize(event.at("metricValue")) + "\n";
      }
    }
    return out;
  }
};

TEST_F(DetectStatisticsTest, PopulationsOfAllPartitionsBecomeThresholds) {
  log::MemoryLog log;
  const auto stage = this->stage(log, options());
  for (int64_t number = 0; number < 2; ++number) {
    round(log, number);
    drain(*stage);
  }
  const std::string seen = violations(log);
  EXPECT_NE(seen.find("pump-6 in-alarm {\"number\":96}"), std::string::npos) << seen;
  EXPECT_NE(seen.find("pump-7 in-alarm {\"number\":97}"), std::string::npos) << seen;
  EXPECT_EQ(std::count(seen.begin(), seen.end(), '\n'), 2);
  const auto range = log.range({ThresholdMaker::kStream, 0});
  EXPECT_EQ(range.begin, range.end);  // used up
  EXPECT_EQ(range.end, 4U);           // a record per partition and tick
}

TEST_F(DetectStatisticsTest, ACrashAtAnyWriteLosesAndRepeatsNothing) {
  DetectStageOptions small = options();
  small.read_bytes_max = 1;  // a step for each record
  small.tick_things_max = 1;
  int crashes = 0;
  for (const bool after : {false, true}) {
    for (int at = 0;; ++at) {
      log::MemoryLog log;
      DyingLog dying(log);
      dying.die_at = at;
      dying.after = after;
      // The second tick comes when the first is judged, whoever was alive for it.
      report_id_ = 0;
      bool died = false;
      {
        const auto first = stage(dying, small);
        for (int64_t number = 0; number < 2; ++number) {
          round(log, number);
          auto more = first->step();
          while (more && *more) more = first->step();
          if (!dying.dead) continue;
          died = true;
          const auto second = stage(log, small);
          drain(*second);
          if (number == 0) {
            round(log, 1);
            drain(*second);
          }
          break;
        }
      }
      const std::string seen = violations(log);
      ASSERT_EQ(std::count(seen.begin(), seen.end(), '\n'), 2) << at << after << "\n" << seen;
      ASSERT_NE(seen.find("pump-6 in-alarm"), std::string::npos);
      ASSERT_NE(seen.find("pump-7 in-alarm"), std::string::npos);
      if (!died) break;
      ++crashes;
    }
  }
  EXPECT_GT(crashes, 40);
}

// The disk fails in the middle of each write in turn, and the write turns out to be there.
TEST_F(DetectStatisticsTest, NothingIsSaidTwiceAfterARefusedWriteThatIsThere) {
  const auto said = [this](const log::Log& log) {
    std::string out = violations(log) + std::to_string(log.range({"alerts", 0}).end);
    for (uint32_t p = 0; p < kPartitions; ++p) {
      out += " " + std::to_string(log.range({"events", p}).end);
      out += " " + std::to_string(log.range({"exports", p}).end);
    }
    return out + " " + std::to_string(log.range({ThresholdMaker::kStream, 0}).end);
  };
  auto small = options();
  small.read_bytes_max = 1;
  small.tick_things_max = 2;
  small.alerts_without_sns = true;
  log::MemoryLog whole;
  const auto unhindered = stage(whole, small);
  for (int64_t number = 0; number < 2; ++number) {
    round(whole, number);
    drain(*unhindered);
  }
  for (int at = 0;; ++at) {
    ASSERT_LT(at, 200);
    log::MemoryLog log;
    DyingLog counting(log);
    counting.before_write = [&] {
      if (counting.writes == at) log.fail_next_sync("Input/output error");
    };
    const auto hindered = stage(counting, small);
    for (int64_t number = 0; number < 2; ++number) {
      round(log, number);
      while (true) {
        const auto more = hindered->step();
        log.set_trouble("");
        if (more && !*more) break;
      }
    }
    ASSERT_EQ(said(log), said(whole)) << "write " << at;
    if (counting.writes <= at) break;
  }
}

std::string part(Timestamp tick, uint32_t partition, std::initializer_list<double> values) {
  detect::PopulationsRecord record{tick, partition, {}};
  if (values.size() > 0) {
    record.populations.emplace_back();
    record.populations[0].behavior_key = 7;
    record.populations[0].percent = 100;
    for (const double value : values) record.populations[0].values.add(value);
  }
  std::string out;
  encode_populations(record, out);
  return out;
}

class ThresholdMakerTest : public ::testing::Test {
 protected:
  void append(std::string record) {
    log::Batch batch;
    batch.append({ThresholdMaker::kStream, 0}, std::move(record), {0});
    ASSERT_TRUE(log_.write(std::move(batch)));
  }
  // "<tick> <threshold>/<population>" of partition 0's new events.
  std::string made() {
    maker_.load();
    while (maker_.step({0}).value()) {
    }
    std::string out;
    const auto records = log_.read({"events", 0}, seen_, 1 << 20);
    for (const log::Record& record : *records) {
      detect::Event event;
      EXPECT_TRUE(detect::decode_event(record.value, event));
      EXPECT_EQ(event.thresholds.size(), 1U);
      out += std::to_string(event.time.ms) + " " + json::serialize(event.thresholds[0].value) + "/" +
             std::to_string(event.thresholds[0].population) + ";";
    }
    seen_ = log_.range({"events", 0}).end;
    return out;
  }

  log::MemoryLog log_;
  Logger logger_ = Logger::none();
  Metrics metrics_;
  ThresholdMaker maker_{2, 2, log_, logger_, metrics_};
  log::Offset seen_ = 0;
};

TEST_F(ThresholdMakerTest, WaitsForAllPartitions) {
  append(part({100}, 0, {1, 2}));
  EXPECT_EQ(made(), "");
  append(part({100}, 1, {5}));
  EXPECT_EQ(made(), "100 5/3;");
  append(part({200}, 1, {}));
  append(part({200}, 0, {4, 4}));
  EXPECT_EQ(made(), "200 4/2;");
  EXPECT_EQ(log_.range({"events", 1}).end, 2U);
}

TEST_F(ThresholdMakerTest, ALaterTickSupersedesOneThatIsNotComplete) {
  append(part({100}, 0, {1, 2}));
  append(part({200}, 0, {3, 4}));
  append(part({200}, 1, {1}));
  EXPECT_EQ(made(), "200 4/3;");
  append(part({100}, 1, {9}));  // too late
  append(part({300}, 0, {1, 1}));
  EXPECT_EQ(made(), "");
  append(part({300}, 1, {6}));
  EXPECT_EQ(made(), "300 6/3;");
  const auto range = log_.range({ThresholdMaker::kStream, 0});
  EXPECT_EQ(range.begin, range.end);
}

TEST_F(ThresholdMakerTest, APartitionThatNeverComesIsNotWaitedForWithoutBound) {
  for (int64_t tick = 1; tick <= 100; ++tick) append(part({tick}, 0, {1, 2}));
  append("nonsense");
  EXPECT_EQ(made(), "");
  const auto range = log_.range({ThresholdMaker::kStream, 0});
  EXPECT_EQ(range.end - range.begin, ThresholdMaker::kPendingTicksMax + 1);
}

}  // namespace
}  // namespace fleetward::pipeline
