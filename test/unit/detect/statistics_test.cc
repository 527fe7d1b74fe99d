#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "core/json.h"
#include "detect/engine.h"

// Statistical criteria over several partitions, each an engine of its own.
namespace fleetward::detect {
namespace {

constexpr int64_t kTickMs = 300'000;
constexpr int64_t kStart = 1'767'225'600'000;  // a multiple of the tick

class StatisticsTest : public ::testing::Test {
 protected:
  static constexpr size_t kPartitions = 3;

  void behavior(const std::string& metric, const std::string& criteria) {
    const auto document = json::parse(R"({"securityProfileName":"base","behaviors":[{"name":"b","metric":")" +
                                      metric + R"(","criteria":{)" + criteria + "}}]}");
    auto parsed = profile_from_json(document->get_object());
    ASSERT_TRUE(parsed) << parsed.error().message;
    auto profiles = std::make_shared<Profiles>();
    profiles->profiles.push_back(std::make_shared<const SecurityProfile>(std::move(*parsed)));
    profiles->custom_metrics = {{"temperature", ValueKind::kNumber}};
    config_ = std::make_shared<const Config>(
        Config{++version_, profiles, [](std::string_view, std::vector<uint32_t>& out) { out.push_back(0); }});
    for (Engine& engine : engines_) engine.configure(config_);
  }
  Engine& of(const std::string& thing) { return engines_[std::hash<std::string>()(thing) % kPartitions]; }
  Effects& effects_of(const std::string& thing) {
    return effects_[std::hash<std::string>()(thing) % kPartitions];
  }

  void report(const std::string& thing, int64_t at_ms, const std::string& body) {
    Event event;
    event.kind = Event::Kind::kReport;
    event.time = {kStart + at_ms};
    event.thing = thing;
    const std::string text =
        R"({"header":{"report_id":)" + std::to_string(++report_id_) + R"(,"version":"1.0"},)" + body + "}";
    ASSERT_TRUE(parser_.parse(ReportFormat::kJson, text, event.report));
    of(thing).apply(event, ++sequence_, effects_of(thing));
  }
  void bytes_out(const std::string& thing, int64_t at_ms, uint64_t count) {
    report(thing, at_ms, R"("metrics":{"ns":{"bo":)" + std::to_string(count) + "}}");
  }
  void temperature(const std::string& thing, int64_t at_ms, double number) {
    report(thing, at_ms, R"("custom_metrics":{"temperature":[{"number":)" + std::to_string(number) + "}]}");
  }
  void observe(const std::string& thing, int64_t at_ms, uint64_t sent, uint64_t bytes,
               bool connected = true) {
    Event event;
    event.kind = Event::Kind::kObservation;
    event.time = event.observation.to = {kStart + at_ms};
    event.thing = thing;
    event.observation.messages_sent = sent;
    event.observation.message_bytes_total = event.observation.message_bytes_max = bytes;
    event.observation.connected = connected;
    of(thing).apply(event, ++sequence_, effects_of(thing));
  }

  // A tick, in slices, and what its populations say. Answers the thresholds: "p=42/3".
  std::string tick(int64_t at_ms, bool restart_between = false) {
    std::vector<Population> all;
    for (size_t p = 0; p < kPartitions; ++p) {
      effects_[p].clear();
      while (!engines_[p].tick({kStart + at_ms}, sequence_ + 1, 2, effects_[p])) {
        EXPECT_EQ(effects_[p].populations_tick.ms, 0);
        if (restart_between) restart(p);
      }
      for (Population& population : effects_[p].populations) all.push_back(std::move(population));
    }
    ++sequence_;
    skipped_.clear();
    thresholds_ = make_thresholds(std::move(all), 2, [&](const Population& population, std::string_view why) {
      skipped_ = population.profile + "/" + population.behavior + ": " + std::string(why);
    });
    std::string out;
    for (const Threshold& threshold : thresholds_) {
      out += "p=" + json::serialize(threshold.value) + "/" + std::to_string(threshold.population);
    }
    return out;
  }
  // "pump-1 in-alarm {"count":9}; ..." by thing.
  std::string judge(int64_t at_ms) {
    Event event;
    event.kind = Event::Kind::kThresholds;
    event.time = {kStart + at_ms};
    event.thresholds = thresholds_;
    std::vector<std::string> lines;
    ++sequence_;
    for (size_t p = 0; p < kPartitions; ++p) {
      effects_[p].clear();
      while (!engines_[p].judge(event, sequence_, 2, effects_[p])) {
      }
      for (const ViolationEvent& change : effects_[p].events) {
        explanation_ = change.explanation;
        lines.push_back(change.thing + " " + std::string(to_string(change.type)) +
                        (change.value ? " " + json::serialize(to_json(*change.value)) : ""));
      }
    }
    std::sort(lines.begin(), lines.end());
    std::string out;
    for (const std::string& line : lines) out += (out.empty() ? "" : "; ") + line;
    return out;
  }
  std::string tick_and_judge(int64_t at_ms) {
    tick(at_ms);
    return judge(at_ms);
  }
  // The process ends and comes back with what was written.
  void restart(size_t p) {
    Engine fresh{EngineOptions{}};
    fresh.configure(config_);
    for (const std::string& thing : things_) {
      if (std::hash<std::string>()(thing) % kPartitions != p) continue;
      for (uint32_t i = 0; i < engines_[p].things(); ++i) {
        if (engines_[p].thing_name(i) != thing) continue;
        std::string bytes;
        engines_[p].encode_thing(i, bytes);
        ASSERT_TRUE(fresh.restore_thing(thing, bytes));
      }
    }
    engines_[p] = std::move(fresh);
  }

  std::vector<std::string> things_ = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
  Engine engines_[kPartitions] = {Engine{EngineOptions{}}, Engine{EngineOptions{}}, Engine{EngineOptions{}}};
  Effects effects_[kPartitions];
  ConfigPtr config_;
  std::vector<Threshold> thresholds_;
  std::string skipped_, explanation_;
  ReportParser parser_;
  uint64_t version_ = 0, sequence_ = 0;
  int64_t report_id_ = 0;
};

constexpr const char* kAtMostP90 =
    R"("comparisonOperator":"less-than-equals","statisticalThreshold":{"statistic":"p90"})";

TEST_F(StatisticsTest, EveryPercentileAndOperator) {
  for (const Statistic& statistic : kStatistics) {
    for (const char* op : {"less-than", "less-than-equals", "greater-than", "greater-than-equals"}) {
      behavior("aws:all-bytes-out", R"("comparisonOperator":")" + std::string(op) +
                                        R"(","statisticalThreshold":{"statistic":")" +
                                        std::string(statistic.name) + R"("},"durationSeconds":300)");
      const int64_t at = static_cast<int64_t>(++report_id_) * kTickMs;
      std::string violators;
      const double rank = std::max(1.0, std::ceil(statistic.percent / 100 * 10 - 1e-9));
      for (int i = 0; i < 10; ++i) {
        const double value = i + 1;
        bytes_out(things_[static_cast<size_t>(i)], at - 1000, static_cast<uint64_t>(value));
        const std::string_view o = op;
        const bool normal = o == "less-than"          ? value < rank
                            : o == "less-than-equals" ? value <= rank
                            : o == "greater-than"     ? value > rank
                                                      : value >= rank;
        if (normal) continue;
        violators += (violators.empty() ? "" : "; ") + things_[static_cast<size_t>(i)] +
                     " in-alarm {\"count\":" + std::to_string(i + 1) + "}";
      }
      EXPECT_EQ(tick(at), "p=" + std::to_string(static_cast<int>(rank)) + "/10") << statistic.name;
      EXPECT_EQ(judge(at), violators) << statistic.name << " " << op;
      for (Engine& engine : engines_) engine = Engine{EngineOptions{}};
    }
  }
}

TEST_F(StatisticsTest, TheExplanationNamesAll) {
  behavior("aws:all-bytes-out", kAtMostP90);
  for (int i = 0; i < 10; ++i) bytes_out(things_[static_cast<size_t>(i)], 1000, i == 4 ? 900 : 10);
  EXPECT_EQ(tick_and_judge(kTickMs), R"(e in-alarm {"count":900})");
  EXPECT_EQ(explanation_,
            "{\"count\":900} is not less-than-equals p90 = 10 of 10 devices over 300 s, data point 1 of 1 in "
            "a row");
}

TEST_F(StatisticsTest, RunsAndClearing) {
  behavior("temperature", std::string(kAtMostP90) + R"(,"consecutiveDatapointsToAlarm":2,
           "consecutiveDatapointsToClear":2)");
  const auto round = [&](int64_t tick, double of_b) {
    for (int i = 0; i < 10; ++i) {
      temperature(things_[static_cast<size_t>(i)], tick * kTickMs - 1000, i == 1 ? of_b : 20);
    }
    return tick_and_judge(tick * kTickMs);
  };
  EXPECT_EQ(round(1, 50), "");
  EXPECT_EQ(round(2, 50), R"(b in-alarm {"number":50})");
  EXPECT_EQ(round(3, 50), "");
  EXPECT_EQ(round(4, 20), "");
  EXPECT_EQ(round(5, 20), R"(b alarm-cleared {"number":20})");
  // A tick without its thresholds is no data point.
  EXPECT_EQ(round(6, 50), "");
  for (int i = 0; i < 10; ++i) temperature(things_[static_cast<size_t>(i)], 7 * kTickMs - 1000, 20);
  tick(7 * kTickMs);
  EXPECT_EQ(round(8, 50), R"(b in-alarm {"number":50})");
  // Those of an older tick than the latest judge nobody.
  for (int i = 0; i < 10; ++i) temperature(things_[static_cast<size_t>(i)], 9 * kTickMs - 1000, 20);
  tick(9 * kTickMs);
  EXPECT_EQ(judge(8 * kTickMs), "");
}

TEST_F(StatisticsTest, OnlyDevicesActiveInTheWindow) {
  behavior("temperature", std::string(kAtMostP90) + R"(,"durationSeconds":600)");
  for (const char* thing : {"a", "b", "c"}) temperature(thing, 1000, 20);
  temperature("d", kTickMs + 1000, 30);
  EXPECT_EQ(tick(kTickMs), "p=30/4");
  EXPECT_EQ(judge(kTickMs), "");
  EXPECT_EQ(tick(2 * kTickMs), "p=30/4");
  EXPECT_EQ(judge(2 * kTickMs), "");
  EXPECT_EQ(tick(3 * kTickMs), "");  // d alone is too few
  EXPECT_EQ(skipped_, "base/b: fewer devices than a percentile is made of");
  EXPECT_EQ(judge(3 * kTickMs), "");
  EXPECT_EQ(tick(4 * kTickMs), "");
  EXPECT_EQ(skipped_, "");
}

TEST_F(StatisticsTest, WindowsSumAndEndAtTheTick) {
  behavior("aws:all-bytes-out", std::string(kAtMostP90) + R"(,"durationSeconds":900)");
  bytes_out("b", 1000, 1);
  for (int64_t minute = 0; minute < 15; ++minute) bytes_out("a", minute * 60'000 + 1, 10);
  bytes_out("a", 3 * kTickMs + 5, 1000);  // before the record of the tick, after its boundary
  EXPECT_EQ(tick(3 * kTickMs), "p=150/2");
  EXPECT_EQ(tick(4 * kTickMs), "");  // b was silent for 900 s
}

TEST_F(StatisticsTest, CloudSideMetrics) {
  behavior("aws:num-messages-sent", std::string(kAtMostP90) + R"(,"durationSeconds":600)");
  observe("a", 1000, 5, 10);
  observe("b", 1000, 7, 10);
  observe("c", 1000, 1, 10, false);
  EXPECT_EQ(tick(kTickMs), "p=7/3");
  observe("a", kTickMs + 1, 3, 10);
  EXPECT_EQ(tick(2 * kTickMs), "p=8/3");
  EXPECT_EQ(tick(3 * kTickMs), "p=3/2");  // c is gone, b is connected and sends nothing
}

TEST_F(StatisticsTest, MessageSizeIsTheTotalOfTheWindow) {
  behavior("aws:message-byte-size", std::string(kAtMostP90) + R"(,"durationSeconds":600)");
  observe("a", 1000, 2, 100);
  observe("b", 1000, 1, 40);
  observe("c", 1000, 0, 0);
  EXPECT_EQ(tick(kTickMs), "p=100/2");
  observe("a", kTickMs + 1, 1, 11);
  EXPECT_EQ(tick(2 * kTickMs), "p=111/2");
  EXPECT_EQ(judge(2 * kTickMs), "");
}

TEST_F(StatisticsTest, NegativeValuesAreNotJudged) {
  behavior("temperature", kAtMostP90);
  temperature("a", 1000, 90);
  temperature("b", 1000, 1);
  temperature("c", 1000, -0.5);
  EXPECT_EQ(tick(kTickMs), "");
  EXPECT_EQ(skipped_, "base/b: a negative value: percentiles are of metrics without any");
  EXPECT_EQ(judge(kTickMs), "");
}

TEST_F(StatisticsTest, ARestartAnywhereLosesNothing) {
  behavior("temperature", kAtMostP90);
  for (int i = 0; i < 10; ++i) temperature(things_[static_cast<size_t>(i)], 1000, i == 3 ? 40 : 20);
  EXPECT_EQ(tick(kTickMs, true), "p=20/10");
  for (size_t p = 0; p < kPartitions; ++p) restart(p);
  EXPECT_EQ(judge(kTickMs), R"(d in-alarm {"number":40})");
}

TEST_F(StatisticsTest, AnAlarmEndsAfterTwoDaysWithoutTheMetric) {
  behavior("temperature", kAtMostP90);
  for (int i = 0; i < 10; ++i) temperature(things_[static_cast<size_t>(i)], 1000, i == 3 ? 40 : 20);
  EXPECT_NE(tick_and_judge(kTickMs), "");
  constexpr int64_t kTwoDays = 48LL * 3'600'000;
  tick(kTwoDays);
  EXPECT_TRUE(effects_of("d").events.empty());
  tick(kTwoDays + kTickMs);
  ASSERT_EQ(effects_of("d").events.size(), 1U);
  EXPECT_EQ(effects_of("d").events[0].type, ViolationEvent::Type::kInvalidated);
}

}  // namespace
}  // namespace fleetward::detect
