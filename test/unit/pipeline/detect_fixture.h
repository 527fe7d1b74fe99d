#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/json.h"
#include "detect/event.h"
#include "log/memory_log.h"
#include "pipeline/detect_stage.h"
#include "pipeline/report_intake.h"
#include "registry/groups.h"
#include "registry/tables.h"
#include "registry/things.h"

namespace fleetward::pipeline {

inline std::vector<log::KeyValue> scan_all(const log::Log& log, std::string_view begin,
                                           std::string_view end) {
  return log.scan(begin, end, 100'000).value();
}
inline std::vector<log::Record> read_all(const log::Log& log, const log::Partition& partition) {
  return log.read(partition, 0, 1 << 30).value();
}

// A log that dies at its n-th write, before or after that write is applied; then everything is refused, as if
// the process were gone.
class DyingLog final : public log::Log {
 public:
  explicit DyingLog(log::Log& under) : under_(under) {}
  int die_at = -1;     // number of the write; -1: never
  bool after = false;  // the write that kills is durable
  int writes = 0;
  bool dead = false;
  std::function<void()> before_write;

  void submit(log::Batch batch, log::CommitCallback done) override {
    if (before_write) before_write();
    if (!dead && writes++ == die_at) {
      dead = true;
      if (after) {
        EXPECT_TRUE(under_.write(std::move(batch)));
      }
    } else if (!dead) {
      return under_.submit(std::move(batch), std::move(done));
    }
    done(fail(ErrorCode::kUnavailable, "dead"));
  }
  log::Committed write(log::Batch batch) override {
    log::Committed result;
    submit(std::move(batch), [&](log::Committed committed) { result = std::move(committed); });
    return result;
  }
  Result<std::vector<log::Record>> read(const log::Partition& partition, log::Offset from,
                                        size_t bytes_max) const override {
    if (dead) return fail(ErrorCode::kUnavailable, "dead");
    return under_.read(partition, from, bytes_max);
  }
  Range range(const log::Partition& partition) const override { return under_.range(partition); }
  log::Offset committed(const std::string& consumer, const log::Partition& partition) const override {
    return under_.committed(consumer, partition);
  }
  std::vector<log::Partition> partitions(std::string_view prefix) const override {
    return under_.partitions(prefix);
  }
  Result<std::optional<std::string>> get(std::string_view key) const override { return under_.get(key); }
  Result<std::vector<log::KeyValue>> scan(std::string_view begin, std::string_view end, size_t count_max,
                                          bool reverse) const override {
    return under_.scan(begin, end, count_max, reverse);
  }
  Subscription subscribe(std::string prefix, std::function<void(const log::Partition&)> wake) override {
    return under_.subscribe(std::move(prefix), std::move(wake));
  }
  std::string trouble() const override { return dead ? "dead" : ""; }

 private:
  log::Log& under_;
};

// A control store with registered things, groups and one profile, and the events of a small fleet.
class DetectFixture : public testing::Test {
 public:
  static constexpr int64_t kStart = 1'767'225'600'000;
  static constexpr int64_t kTick = 300'000;

  DetectFixture() { EXPECT_TRUE(store_.open(":memory:")); }

  DetectStageOptions options() const {
    DetectStageOptions out;
    out.partitions = kPartitions;
    out.appends_ticks = false;
    return out;
  }
  std::unique_ptr<DetectStage> stage(log::Log& log, DetectStageOptions with) {
    auto out = std::make_unique<DetectStage>(with, log, store_, tables_, registry_, scope_, clock_, logger_,
                                             metrics_);
    EXPECT_TRUE(out->load());
    return out;
  }
  void drain(DetectStage& stage) {
    auto more = stage.step();
    while (more && *more) more = stage.step();
    EXPECT_TRUE(more) << more.error().message;
  }

  void put_profile(std::string_view text) {
    auto profile = detect::profile_from_json(json::parse(text).value().get_object());
    ASSERT_TRUE(profile) << profile.error().message;
    change([&](state::Transaction& t) { t.put(tables_.profiles, profile->name, *profile); });
  }
  void put_custom_metric(const std::string& name, detect::ValueKind type) {
    change([&](state::Transaction& t) {
      t.put(tables_.custom_metrics, name, CustomMetric{name, type, "", "", {}, {}});
    });
  }
  void attach(const std::string& profile, const std::string& resource) {
    const std::string arn = scope_.arn("iot", resource);
    change([&](state::Transaction& t) {
      t.put(tables_.profile_targets, state::key(profile, arn), ProfileTarget{});
      t.put(tables_.target_profiles, state::key(arn, profile), ProfileTarget{});
    });
  }
  void detach(const std::string& profile, const std::string& resource) {
    const std::string arn = scope_.arn("iot", resource);
    change([&](state::Transaction& t) {
      t.erase(tables_.profile_targets, state::key(profile, arn));
      t.erase(tables_.target_profiles, state::key(arn, profile));
    });
  }
  void put_thing(const std::string& name, const std::string& group = "") {
    change([&](state::Transaction& t) {
      registry::Thing thing;
      thing.name = name;
      t.put(registry_.things, name, thing);
      if (group.empty()) return;
      t.put(registry_.thing_groups, state::key(name, group), registry::Link{});
      t.put(registry_.group_things, state::key(group, name), registry::Link{});
    });
  }
  void put_group(const std::string& name, const std::string& parent = "") {
    change([&](state::Transaction& t) {
      registry::ThingGroup group;
      group.name = name;
      group.parent = parent;
      t.put(registry_.groups, name, group);
    });
  }
  void change(const std::function<void(state::Transaction&)>& make) {
    EXPECT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      make(t);
      return {};
    }));
  }

  // Through the intake, as a publish would.
  void report(log::Log& log, const std::string& thing, int64_t at_ms, const std::string& body) {
    const std::string text =
        R"({"header":{"report_id":)" + std::to_string(++report_id_) + R"(,"version":"1.0"},)" + body + "}";
    log::Batch batch;
    std::vector<broker::MessagePtr> replies;
    intake_->on_report(thing, detect::ReportFormat::kJson, text, {kStart + at_ms}, batch, replies);
    ASSERT_EQ(batch.appends.size(), 1U) << replies.at(0)->payload;
    ASSERT_TRUE(log.write(std::move(batch)));
  }
  void tick(log::Log& log, int64_t at_ms) {
    log::Batch batch;
    for (uint32_t p = 0; p < kPartitions; ++p) {
      std::string record;
      detect::encode_tick_event({kStart + at_ms}, record);
      batch.append({"events", p}, std::move(record), {kStart + at_ms});
    }
    ASSERT_TRUE(log.write(std::move(batch)));
  }

  static constexpr uint32_t kPartitions = 2;
  state::Store store_;
  registry::Tables registry_ = registry::Tables::add_to(store_);
  DetectTables tables_ = DetectTables::add_to(store_);
  AccountScope scope_{AccountId::trusted("123456789012"), "eu-west-1"};
  ManualClock clock_{{kStart}};
  Logger logger_ = Logger::none();
  Metrics metrics_;
  std::unique_ptr<ReportIntake> intake_ =
      make_report_intake({.partitions = kPartitions, .limits = {}, .minimum_delay = Duration{0}}, metrics_);
  int64_t report_id_ = 0;
};

}  // namespace fleetward::pipeline
