#include <algorithm>

#include "detect/engine_impl.h"

namespace fleetward::detect {
namespace {

ValueView count_view(uint64_t count) {
  ValueView view;
  view.count = count;
  return view;
}

uint64_t counter_of(const internal::CloudState& cloud, const PlanMetric& metric) {
  const internal::CloudCounters& counters = cloud.of(metric.dimension);
  switch (metric.builtin->id) {
    case Builtin::kNumMessagesSent:
      return counters.messages_sent;
    case Builtin::kNumMessagesReceived:
      return counters.messages_received;
    case Builtin::kNumAuthorizationFailures:
      return counters.authorization_failures;
    case Builtin::kNumConnectionAttempts:
      return cloud.connection_attempts;
    default:
      return cloud.disconnects;
  }
}

// What was counted for dimensions that the thing's profiles do not use is dropped.
void add_dimensions(internal::CloudState& cloud, const std::vector<uint64_t>& used,
                    const std::vector<DimensionCounters>& seen) {
  if (used.empty()) return;
  for (const DimensionCounters& counters : seen) {
    const uint64_t key = counters.dimension.key();
    if (std::find(used.begin(), used.end(), key) == used.end()) continue;
    auto& known = cloud.dimensions;
    auto it = std::find_if(known.begin(), known.end(), [&](const auto& k) { return k.dimension == key; });
    if (it == known.end()) {
      it = known.emplace(known.end());
      it->dimension = key;
    }
    it->add(counters, counters.addresses);
  }
}

void start_next_period(internal::CloudState& cloud) {
  cloud.all = {};
  cloud.dimensions.clear();
  cloud.connection_attempts = cloud.disconnects = 0;
  cloud.active = false;
}

bool is_less(Operator op) {
  return op == Operator::kLessThan || op == Operator::kLessThanEquals;
}

}  // namespace

void Engine::Impl::apply_observation(const Event& event, Step& step) {
  uint32_t index = 0;
  Thing* thing = monitored(event.thing, step, index);
  if (thing == nullptr) return;
  if (thing->plan->cloud.empty()) return;  // nothing to remember, so not that it was seen either
  thing->last_event_ms = step.time.ms;
  ++counters.observations;
  mark_changed(index, step);
  if (!thing->cloud) thing->cloud = std::make_unique<CloudState>();
  CloudState& cloud = *thing->cloud;
  const Observation& seen = event.observation;
  cloud.all.add(seen, seen.addresses);
  add_dimensions(cloud, thing->plan->dimensions, seen.dimensions);
  cloud.connection_attempts += seen.connection_attempts;
  cloud.disconnects += seen.disconnects;
  cloud.active = true;
  cloud.last_active_ms = step.time.ms;
  const bool changed = seen.connected != cloud.connected || seen.disconnects > 0;
  cloud.connected = seen.connected;
  cloud.tracked = cloud.tracked || seen.connected || seen.disconnects > 0;
  if (seen.connected) {
    cloud.disconnected_since_ms = 0;
  } else if (seen.disconnected_since.ms != 0) {
    cloud.disconnected_since_ms = seen.disconnected_since.ms;
  } else if (cloud.disconnected_since_ms == 0) {
    cloud.disconnected_since_ms = step.time.ms;  // else: a refused attempt of a device that is away
  }
  if (changed && cloud.tracked) connection_changed(*thing, step);
}

void Engine::Impl::connection_changed(Thing& thing, Step& step) {
  for (const PlanMetric& metric : thing.plan->cloud) {
    if (metric.builtin->id != Builtin::kDisconnectDuration) continue;
    begin_keep(thing, step);
    disconnect_duration(thing, metric, true, step);
    end_keep(step);
  }
}

bool Engine::restart(Timestamp time, uint64_t sequence, size_t things_max, Effects& effects) {
  Impl& impl = *impl_;
  impl.begin_pass(sequence);
  Impl::Step step{time, sequence, effects};
  for (; things_max > 0 && impl.pass_cursor < impl.table.slots(); ++impl.pass_cursor) {
    const Impl::Thing& thing = impl.table.at(impl.pass_cursor);
    if (!thing.cloud || !thing.cloud->connected) continue;
    --things_max;
    impl.connection_lost(impl.pass_cursor, step);
  }
  return impl.pass_cursor >= impl.table.slots();
}

void Engine::Impl::connection_lost(uint32_t index, Step& step) {
  resolve(index, step);
  mark_changed(index, step);
  Thing& thing = table.at(index);
  CloudState& cloud = *thing.cloud;
  cloud.connected = false;
  ++cloud.disconnects;
  cloud.active = true;
  thing.last_event_ms = cloud.last_active_ms = cloud.disconnected_since_ms = step.time.ms;
  connection_changed(thing, step);
}

// Zero while connected, else the seconds since the disconnect.
void Engine::Impl::disconnect_duration(Thing& thing, const PlanMetric& metric, bool exported, Step& step) {
  const CloudState& cloud = *thing.cloud;
  uint64_t seconds = 0;
  if (!cloud.connected && step.time.ms > cloud.disconnected_since_ms) {
    seconds = static_cast<uint64_t>(step.time.ms - cloud.disconnected_since_ms) / 1000;
  }
  const ValueView value = count_view(seconds);
  keep(thing, metric, value, step);
  if (exported) export_value(thing, metric, value, ExportClass::kLatest, 1, step);
  for (uint32_t b = metric.behaviors_begin; b < metric.behaviors_end; ++b) {
    const Criteria& criteria = *thing.plan->behaviors[b].behavior->criteria;
    judge_one(thing, b, value, criteria.conforms_scaled(seconds, options.disconnect_threshold_seconds), step);
  }
}

bool Engine::tick(Timestamp time, uint64_t sequence, size_t things_max, Effects& effects) {
  Impl::Step step{time, sequence, effects};
  if (impl_->tick_time != time) {
    impl_->tick_time = time;
    impl_->tick_cursor = 0;
    impl_->populations.clear();
  }
  for (; things_max > 0 && impl_->tick_cursor < impl_->table.slots(); ++impl_->tick_cursor) {
    if (!impl_->table.used(impl_->tick_cursor)) continue;
    // Ticks of a partition come in order; a later one than this was made before the wall clock was set back.
    if (const Impl::Thing& thing = impl_->table.at(impl_->tick_cursor); thing.last_tick_ms == time.ms) {
      impl_->contribute_again(thing);
      continue;
    }
    --things_max;
    impl_->tick_thing(impl_->tick_cursor, step);
  }
  if (impl_->tick_cursor < impl_->table.slots()) return false;
  impl_->finish_populations(step);
  return true;
}

uint32_t Engine::settle(uint32_t from, Timestamp time, uint64_t sequence, size_t things_max,
                        Effects& effects) {
  Impl::Step step{time, sequence, effects};
  for (; from < impl_->table.slots(); ++from) {
    if (things_max-- == 0) return from;
    if (impl_->table.used(from) && impl_->table.at(from).any_alarm()) impl_->resolve(from, step);
  }
  return 0;
}

void Engine::Impl::tick_thing(uint32_t index, Step& step) {
  Thing& thing = table.at(index);
  resolve(index, step);
  const bool connected = thing.cloud && thing.cloud->connected;
  const bool idle = thing.last_event_ms < (step.time - options.forget).ms && !connected;
  if ((thing.plan->empty() || idle) && !thing.any_alarm()) {
    // What this round wrote of the thing is taken back with it.
    step.effects.forgotten.push_back(thing.name);
    std::erase(step.effects.changed, index);
    table.erase(index);
    return;
  }
  bool changed = invalidate_silent(thing, step) || (thing.cloud && thing.cloud->active);
  const uint64_t judged_before = counters.judgements, points_before = counters.data_points;
  if (thing.cloud) tick_cloud(thing, step);
  changed = contribute(thing, step) || changed;
  changed = changed || counters.judgements != judged_before || counters.data_points != points_before;
  if (!changed) return;  // nothing to remember: another tick of the same time would change nothing either
  thing.last_tick_ms = step.time.ms;
  mark_changed(index, step);
}

bool Engine::Impl::invalidate_silent(Thing& thing, Step& step) {
  bool any = false;
  for (size_t b = 0; b < thing.plan->behaviors.size(); ++b) {
    BehaviorState& state = thing.state.behaviors()[b];
    if (!state.in_alarm || state.last_point_ms >= (step.time - options.silence).ms) continue;
    const std::string days = std::to_string(options.silence.count() / 3'600'000);
    emit(ViolationEvent::Type::kInvalidated, thing, thing.plan->behaviors[b],
         thing.take_alarm(thing.plan->behaviors[b].key), nullptr,
         "no value of the metric for more than " + days + " hours", step);
    state = BehaviorState();
    any = true;
  }
  return any;
}

void Engine::Impl::tick_cloud(Thing& thing, Step& step) {
  CloudState& cloud = *thing.cloud;
  begin_keep(thing, step);
  for (const PlanMetric& metric : thing.plan->cloud) {
    switch (metric.builtin->id) {
      case Builtin::kMessageByteSize:
        tick_message_size(thing, metric, step);
        break;
      case Builtin::kSourceIpAddress:
        tick_addresses(thing, metric, step);
        break;
      case Builtin::kDisconnectDuration:
        if (cloud.tracked) {
          constexpr int64_t kHourMs = 3'600'000;
          const bool hourly = step.time.ms / kHourMs != thing.last_tick_ms / kHourMs;
          disconnect_duration(thing, metric, hourly, step);
        }
        break;
      default:
        tick_counter(thing, metric, step);
    }
  }
  end_keep(step);
  start_next_period(cloud);
}

// A point, 0 included, while the device was active in the period or is connected; of a window, while it was
// active in the window.
void Engine::Impl::tick_counter(Thing& thing, const PlanMetric& metric, Step& step) {
  const CloudState& cloud = *thing.cloud;
  const uint64_t count = counter_of(cloud, metric);
  const bool point = cloud.active || cloud.connected;
  if (metric.windows_begin != metric.windows_end) {
    add_to_windows(thing, metric, count, step.time.ms - 1);  // the period ends at the tick, exclusively
  }
  if (point) {
    keep(thing, metric, count_view(count), step);
    export_value(thing, metric, count_view(count), ExportClass::kSum, 1, step);
  }
  for (uint32_t b = metric.behaviors_begin; b < metric.behaviors_end; ++b) {
    const PlanBehavior& behavior = thing.plan->behaviors[b];
    if (behavior.values >= 0) continue;  // statistical: contribute()
    ValueView judged = count_view(count);
    bool has_point = point;
    if (behavior.window >= 0) {
      const PlanWindow& window = thing.plan->windows[static_cast<size_t>(behavior.window)];
      judged.count = window_sum(thing, window);
      has_point = point || step.time.ms - cloud.last_active_ms < window.width_ms * window.buckets;
    }
    if (has_point) judge_one(thing, b, judged, behavior.behavior->criteria->conforms(judged), step);
  }
}

// A static threshold looks at each message: the extreme that could break it speaks for all of the period. The
// value that is kept is the largest message's size.
void Engine::Impl::tick_message_size(Thing& thing, const PlanMetric& metric, Step& step) {
  const internal::CloudCounters& seen = thing.cloud->of(metric.dimension);
  if (seen.messages_sent == 0) return;
  add_to_windows(thing, metric, seen.message_bytes_total, step.time.ms - 1);
  keep(thing, metric, count_view(seen.message_bytes_max), step);
  export_value(thing, metric, count_view(seen.message_bytes_min), ExportClass::kSizeMin, 1, step);
  export_value(thing, metric, count_view(seen.message_bytes_max), ExportClass::kSizeMax, 1, step);
  export_value(thing, metric, count_view(seen.message_bytes_total), ExportClass::kSizeTotal, 1, step);
  for (uint32_t b = metric.behaviors_begin; b < metric.behaviors_end; ++b) {
    if (thing.plan->behaviors[b].values >= 0) continue;  // statistical: contribute()
    const Criteria& criteria = *thing.plan->behaviors[b].behavior->criteria;
    const ValueView value =
        count_view(is_less(criteria.op()) ? seen.message_bytes_max : seen.message_bytes_min);
    judge_one(thing, b, value, criteria.conforms(value), step);
  }
}

void Engine::Impl::tick_addresses(Thing& thing, const PlanMetric& metric, Step& step) {
  const internal::CloudCounters& seen = thing.cloud->of(metric.dimension);
  if (seen.addresses.empty()) return;
  ValueView value;
  value.kind = ValueKind::kCidrs;
  value.addresses = seen.addresses;
  keep(thing, metric, value, step);
  export_value(thing, metric, value, ExportClass::kUnion, 1, step);
  judge(thing, metric, value, step);
}

}  // namespace fleetward::detect
