#include <algorithm>
#include <bit>
#include <optional>

#include "detect/engine_impl.h"

// Statistical criteria: values gathered at a tick, judged when the percentile of all devices is known.
namespace fleetward::detect {
namespace {

// Counts beyond 2^53 lose their last digits: a percentile of such is what it is.
double number_of(const Behavior& behavior, uint64_t value) {
  return behavior.kind == ValueKind::kNumber ? std::bit_cast<double>(value) : static_cast<double>(value);
}

ValueView view_of(const Behavior& behavior, uint64_t value) {
  ValueView view;
  view.kind = behavior.kind;
  if (view.kind == ValueKind::kNumber) {
    view.number = std::bit_cast<double>(value);
  } else {
    view.count = value;
  }
  return view;
}

}  // namespace

// The sum of the window that ends at `end_ms`, exclusively, whatever has come after it.
uint64_t Engine::Impl::window_sum_until(const Thing& thing, const PlanWindow& window, int64_t end_ms) const {
  const uint64_t* cells = thing.state.cells() + window.offset;
  const uint64_t newest = cells[0];
  const auto last = static_cast<uint64_t>((end_ms - 1) / window.width_ms);
  uint64_t sum = 0;
  for (uint32_t i = 0; i < window.buckets - (window.spare ? 1 : 0) && i <= last; ++i) {
    const uint64_t bucket = last - i;
    if (bucket > newest || bucket + window.buckets <= newest) continue;
    const uint64_t cell = cells[1 + bucket % window.buckets];
    sum = sum > UINT64_MAX - cell ? UINT64_MAX : sum + cell;
  }
  return sum;
}

// What the thing contributes at the tick; nullopt if it was not active in the window.
std::optional<uint64_t> Engine::Impl::value_at_tick(const Thing& thing, uint32_t index, Step& step) const {
  const PlanBehavior& behavior = thing.plan->behaviors[index];
  BehaviorState& state = thing.state.behaviors()[index];
  const int64_t from_ms =
      step.time.ms - behavior.behavior->criteria->duration_seconds() * options.duration_second_ms;
  const bool cloud_side = behavior.behavior->builtin != nullptr && behavior.behavior->builtin->cloud_side;
  if (cloud_side) {
    if (!thing.cloud) return std::nullopt;
    const uint64_t sum =
        window_sum_until(thing, thing.plan->windows[static_cast<size_t>(behavior.window)], step.time.ms);
    // A device that sends nothing has no message size; of a counter it has zero.
    const bool active = behavior.behavior->builtin->id == Builtin::kMessageByteSize
                            ? sum > 0
                            : thing.cloud->connected || thing.cloud->last_active_ms > from_ms;
    if (!active) return std::nullopt;
    state.last_point_ms = step.time.ms;
    return sum;
  }
  if (state.last_point_ms <= from_ms || state.last_point_ms == 0) return std::nullopt;
  if (behavior.window < 0) return thing.state.cells()[behavior.values];  // a gauge: the latest
  const uint64_t sum =
      window_sum_until(thing, thing.plan->windows[static_cast<size_t>(behavior.window)], step.time.ms);
  // Its only report came between the boundary and the tick's record: the next tick has it.
  if (sum == 0 && state.last_point_ms >= step.time.ms) return std::nullopt;
  return sum;
}

// True if there is something to remember, be it that a value of an earlier tick is not to be judged any more.
bool Engine::Impl::contribute(Thing& thing, Step& step) {
  bool any = false;
  for (const uint32_t index : thing.plan->statistical) {
    const std::optional<uint64_t> value = value_at_tick(thing, index, step);
    any = any || thing.state.behaviors()[index].contributed;
    thing.state.behaviors()[index].contributed = value.has_value();
    if (!value) continue;
    const PlanBehavior& behavior = thing.plan->behaviors[index];
    thing.state.cells()[behavior.values + 1] = *value;
    add_to_population(behavior, *value);
    any = true;
  }
  return any;
}

// After a crash in the middle of the tick: what the thing contributed was in memory only.
void Engine::Impl::contribute_again(const Thing& thing) {
  for (const uint32_t index : thing.plan->statistical) {
    const PlanBehavior& behavior = thing.plan->behaviors[index];
    if (thing.state.behaviors()[index].contributed) {
      add_to_population(behavior, thing.state.cells()[behavior.values + 1]);
    }
  }
}

void Engine::Impl::add_to_population(const PlanBehavior& behavior, uint64_t value) {
  ++counters.contributions;
  Population& population = populations[behavior.key];
  if (population.behavior_key == 0) {
    population.behavior_key = behavior.key;
    population.profile = behavior.profile->name;
    population.behavior = behavior.behavior->name;
    population.percent = behavior.behavior->criteria->statistic()->percent;
  }
  population.values.add(number_of(*behavior.behavior, value));
}

void Engine::Impl::finish_populations(Step& step) {
  const auto& profiles = config->profiles->profiles;
  const bool wanted = std::any_of(profiles.begin(), profiles.end(), [](const SecurityProfilePtr& profile) {
    return std::any_of(profile->behaviors.begin(), profile->behaviors.end(), [](const BehaviorPtr& behavior) {
      return behavior->criteria && behavior->criteria->statistic() != nullptr;
    });
  });
  if (!wanted && populations.empty()) return;
  step.effects.populations_tick = step.time;
  for (auto& [key, population] : populations) step.effects.populations.push_back(std::move(population));
  populations.clear();
}

bool Engine::judge(const Event& event, uint64_t sequence, size_t things_max, Effects& effects) {
  Impl& impl = *impl_;
  impl.begin_pass(sequence);
  Impl::Step step{event.time, sequence, effects};
  for (; things_max > 0 && impl.pass_cursor < impl.table.slots(); ++impl.pass_cursor) {
    Impl::Thing& thing = impl.table.at(impl.pass_cursor);
    if (!impl.table.used(impl.pass_cursor) || thing.last_tick_ms != event.time.ms) continue;
    --things_max;
    impl.resolve(impl.pass_cursor, step);
    if (impl.judge_remembered(thing, event.thresholds, step)) impl.mark_changed(impl.pass_cursor, step);
  }
  return impl.pass_cursor >= impl.table.slots();
}

// True if there is something new to remember: a conforming value in a quiet time leaves the state that was
// written with the tick, and judging it again after a crash says the same.
bool Engine::Impl::judge_remembered(Thing& thing, const std::vector<Threshold>& thresholds, Step& step) {
  bool changed = false;
  for (const uint32_t index : thing.plan->statistical) {
    BehaviorState& state = thing.state.behaviors()[index];
    if (!state.contributed) continue;
    state.contributed = false;
    const PlanBehavior& behavior = thing.plan->behaviors[index];
    const auto it = std::lower_bound(thresholds.begin(), thresholds.end(), behavior.key,
                                     [](const Threshold& t, uint64_t key) { return t.behavior_key < key; });
    if (it == thresholds.end() || it->behavior_key != behavior.key) continue;
    const uint64_t value = thing.state.cells()[behavior.values + 1];
    const bool conforms =
        behavior.behavior->criteria->conforms_to(number_of(*behavior.behavior, value), it->value);
    changed = changed || !conforms || state.in_alarm || state.violating_run != 0;
    step.threshold = &*it;
    judge_one(thing, index, view_of(*behavior.behavior, value), conforms, step);
  }
  step.threshold = nullptr;
  return changed;
}

}  // namespace fleetward::detect
