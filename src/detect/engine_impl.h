#pragma once

#include <map>
#include <vector>

#include "detect/engine.h"
#include "detect/thing_state.h"

namespace fleetward::detect {

// Internal: engine.cc has the events, engine_tick.cc the cloud side.
struct Engine::Impl {
  using Thing = internal::Thing;
  using BehaviorState = internal::BehaviorState;
  using Alarm = internal::Alarm;
  using CloudState = internal::CloudState;

  // Of the event being applied.
  struct Step {
    Timestamp time;
    uint64_t sequence = 0;
    Effects& effects;
    const Threshold* threshold = nullptr;  // by which is judged
  };

  explicit Impl(EngineOptions o) : options(o) {}

  // The thing, up to date with the configuration; nullptr if no profile reaches it (or there is no room).
  Thing* monitored(std::string_view name, Step& step, uint32_t& index);
  void resolve(uint32_t index, Step& step);
  PlanPtr plan_of(std::string_view thing);
  void invalidate_orphans(Thing& thing, Step& step);
  void mark_changed(uint32_t index, Step& step);

  void apply_report(const Event& event, Step& step);
  bool is_duplicate(Thing& thing, int64_t report_id);
  void apply_observation(const Event& event, Step& step);

  void keep(const Thing& thing, const PlanMetric& metric, const ValueView& value, Step& step);
  void begin_keep(const Thing& thing, Step& step);
  void end_keep(Step& step);
  void export_value(const Thing& thing, const PlanMetric& metric, const ValueView& value, ExportClass combine,
                    uint32_t version, Step& step);

  // Moves the window to the bucket of `bucket_time`, adds, and answers nothing; sums are read by window_sum.
  void add_to_windows(Thing& thing, const PlanMetric& metric, uint64_t count, int64_t bucket_time_ms);
  uint64_t window_sum(const Thing& thing, const PlanWindow& window) const;
  void judge(Thing& thing, const PlanMetric& metric, const ValueView& value, Step& step);
  void judge_one(Thing& thing, uint32_t behavior, const ValueView& value, bool conforms, Step& step);
  void emit(ViolationEvent::Type type, Thing& thing, const PlanBehavior& behavior, const Alarm& alarm,
            const ValueView* value, std::string explanation, Step& step);

  void tick_thing(uint32_t index, Step& step);
  void tick_cloud(Thing& thing, Step& step);
  void tick_counter(Thing& thing, const PlanMetric& metric, Step& step);
  void tick_message_size(Thing& thing, const PlanMetric& metric, Step& step);
  void tick_addresses(Thing& thing, const PlanMetric& metric, Step& step);
  void disconnect_duration(Thing& thing, const PlanMetric& metric, bool exported, Step& step);
  void connection_changed(Thing& thing, Step& step);
  void connection_lost(uint32_t index, Step& step);
  bool invalidate_silent(Thing& thing, Step& step);

  // Statistical criteria (engine_statistics.cc).
  bool contribute(Thing& thing, Step& step);
  void contribute_again(const Thing& thing);
  std::optional<uint64_t> value_at_tick(const Thing& thing, uint32_t behavior, Step& step) const;
  uint64_t window_sum_until(const Thing& thing, const PlanWindow& window, int64_t end_ms) const;
  void add_to_population(const PlanBehavior& behavior, uint64_t value);
  void finish_populations(Step& step);
  bool judge_remembered(Thing& thing, const std::vector<Threshold>& thresholds, Step& step);

  static constexpr size_t kPlansMax = 4096;  // compiled plans that are remembered

  EngineOptions options;
  ConfigPtr config;
  std::map<std::vector<uint32_t>, PlanPtr> plans;
  std::vector<uint32_t> scratch;
  internal::ThingTable table;
  EngineCounters counters;
  Timestamp tick_time;  // of the tick under way
  uint32_t tick_cursor = 0;
  std::map<uint64_t, Population> populations;  // of the tick under way, by behaviour
  // Of the thresholds or the restart under way.
  uint64_t pass_sequence = UINT64_MAX;
  uint32_t pass_cursor = 0;
  void begin_pass(uint64_t sequence) {
    if (pass_sequence == sequence) return;
    pass_sequence = sequence;
    pass_cursor = 0;
  }
};

}  // namespace fleetward::detect
