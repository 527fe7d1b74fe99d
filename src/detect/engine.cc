#include "detect/engine.h"

#include <algorithm>
#include <bit>
#include <cstdio>

#include <xxhash.h>

#include "detect/engine_impl.h"
#include "detect/history.h"

namespace fleetward::detect {
namespace {

using internal::ThingTable;

std::string violation_text(const std::array<uint64_t, 2>& id) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(id[0]),
                static_cast<unsigned long long>(id[1]));
  return text;
}

uint64_t saturating_add(uint64_t a, uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

std::string explain(const ValueView& value, bool conforms, const PlanBehavior& behavior,
                    const Threshold* threshold, int run, int needed) {
  const Criteria& criteria = *behavior.behavior->criteria;
  std::string out = json::serialize(to_json(Value::copy(value)));
  out += conforms ? " is " : " is not ";
  out += criteria.text();
  if (threshold != nullptr) {
    out += " = " + json::serialize(threshold->value) + " of " + std::to_string(threshold->population) +
           " devices";
  }
  if (behavior.window >= 0 || threshold != nullptr)
    out += " over " + std::to_string(criteria.duration_seconds()) + " s";
  out += ", data point " + std::to_string(run) + " of " + std::to_string(needed) + " in a row";
  return out;
}

}  // namespace

std::string_view to_string(ViolationEvent::Type type) {
  switch (type) {
    case ViolationEvent::Type::kInAlarm:
      return "in-alarm";
    case ViolationEvent::Type::kCleared:
      return "alarm-cleared";
    case ViolationEvent::Type::kInvalidated:
      return "alarm-invalidated";
  }
  return "";
}

void Effects::clear() {
  events.clear();
  updates.clear();
  retained.clear();
  exports.clear();
  changed.clear();
  forgotten.clear();
  populations.clear();
  populations_tick = {};
  retained_bytes.clear();
  export_bytes.clear();
  ++round;
}

Engine::Engine(EngineOptions options) : impl_(std::make_unique<Impl>(options)) {
  impl_->config = std::make_shared<const Config>(
      Config{0, std::make_shared<const Profiles>(), [](std::string_view, std::vector<uint32_t>&) {}});
}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

void Engine::configure(ConfigPtr config) {
  if (config->profiles != impl_->config->profiles) impl_->plans.clear();
  impl_->config = std::move(config);
}

void Engine::apply(const Event& event, uint64_t sequence, Effects& effects) {
  Impl::Step step{event.time, sequence, effects};
  if (event.kind == Event::Kind::kReport) impl_->apply_report(event, step);
  if (event.kind == Event::Kind::kObservation) impl_->apply_observation(event, step);
}

void Engine::prefetch(std::string_view thing) {
  impl_->table.prefetch(thing);
}

PlanPtr Engine::Impl::plan_of(std::string_view thing) {
  scratch.clear();
  config->profiles_of(thing, scratch);
  if (const auto it = plans.find(scratch); it != plans.end()) return it->second;
  if (plans.size() >= kPlansMax) plans.clear();
  PlanPtr plan = compile_plan(*config->profiles, scratch, options);
  plans.emplace(scratch, plan);
  return plan;
}

Engine::Impl::Thing* Engine::Impl::monitored(std::string_view name, Step& step, uint32_t& index) {
  index = table.find(name);
  if (index == ThingTable::kNone) {
    PlanPtr plan = plan_of(name);
    if (plan->empty()) {
      ++counters.unmonitored;
      return nullptr;
    }
    if (table.size() >= options.things_max) {
      ++counters.refused_things;
      return nullptr;
    }
    index = table.insert(name, internal::PlanState::bytes_of(*plan));
    Thing& thing = table.at(index);
    thing.config_version = config->version;
    move_to_plan(thing, std::move(plan), [](const PlanBehavior&, const Alarm&) {});
    return &thing;
  }
  resolve(index, step);
  Thing& thing = table.at(index);
  if (!thing.plan->empty()) return &thing;
  ++counters.unmonitored;
  return nullptr;
}

void Engine::Impl::resolve(uint32_t index, Step& step) {
  Thing& thing = table.at(index);
  if (thing.orphaned) {
    mark_changed(index, step);
    invalidate_orphans(thing, step);
  }
  if (thing.config_version == config->version) return;
  thing.config_version = config->version;
  PlanPtr plan = plan_of(thing.name);
  if (plan == thing.plan) return;
  mark_changed(index, step);
  const PlanPtr old = thing.plan;  // `lost` reads it
  move_to_plan(thing, std::move(plan), [&](const PlanBehavior& behavior, const Alarm& alarm) {
    emit(ViolationEvent::Type::kInvalidated, thing, behavior, alarm, nullptr,
         "the behavior no longer applies to the device", step);
  });
}

void Engine::Impl::invalidate_orphans(Thing& thing, Step& step) {
  const auto& known = thing.plan->behaviors;
  std::erase_if(*thing.alarms, [&](const Alarm& alarm) {
    const bool there = std::any_of(known.begin(), known.end(), [&](const PlanBehavior& behavior) {
      return behavior.key == alarm.behavior_key;
    });
    if (there) return false;
    ViolationEvent event;
    event.type = ViolationEvent::Type::kInvalidated;
    event.time = step.time;
    event.started = {alarm.started_ms};
    event.violation_id = violation_text(alarm.violation);
    event.thing = thing.name;
    event.explanation = "the behavior no longer applies to the device";
    step.effects.events.push_back(std::move(event));
    return true;
  });
  thing.orphaned = false;
}

void Engine::Impl::mark_changed(uint32_t index, Step& step) {
  Thing& thing = table.at(index);
  if (thing.changed_round == step.effects.round) return;
  thing.changed_round = step.effects.round;
  step.effects.changed.push_back(index);
}

bool Engine::Impl::is_duplicate(Thing& thing, int64_t report_id) {
  const auto& ids = thing.report_ids;
  if (std::find(ids.begin(), ids.end(), report_id) != ids.end()) return true;
  thing.report_ids[thing.next_report_id] = report_id;
  thing.next_report_id = static_cast<uint8_t>((thing.next_report_id + 1) % Thing::kReportIdsRemembered);
  return false;
}

void Engine::Impl::apply_report(const Event& event, Step& step) {
  uint32_t index = 0;
  Thing* thing = monitored(event.thing, step, index);
  if (thing == nullptr) return;
  const Report& report = event.report;
  if (is_duplicate(*thing, report.id)) {
    ++counters.duplicate_reports;
    return;
  }
  ++counters.reports;
  const bool same_time = thing->last_report_ms == step.time.ms;
  thing->same_time_reports = same_time ? thing->same_time_reports + 1 : 0;
  thing->last_report_ms = thing->last_event_ms = step.time.ms;
  mark_changed(index, step);
  begin_keep(*thing, step);
  size_t customs_used = 0;
  for (const PlanMetric& metric : thing->plan->device) {
    ValueView value;
    if (metric.builtin != nullptr) {
      if (!report.has(metric.builtin->id)) continue;
      value = report.value(metric.builtin->id);
    } else {
      const auto it = std::find_if(report.customs.begin(), report.customs.end(),
                                   [&](const CustomReading& r) { return r.name == metric.name; });
      if (it == report.customs.end()) continue;
      if (it->kind != metric.kind) continue;
      ++customs_used;
      value = report.value(*it);
    }
    keep(*thing, metric, value, step);
    export_value(*thing, metric, value, ExportClass::kAsIs, thing->same_time_reports + 1, step);
    if (metric.windows_begin != metric.windows_end) {
      add_to_windows(*thing, metric, value.count, step.time.ms);
    }
    judge(*thing, metric, value, step);
  }
  end_keep(step);
  counters.dropped_custom += report.customs.size() - customs_used + report.dropped;
}

void Engine::Impl::begin_keep(const Thing& thing, Step& step) {
  const size_t at = step.effects.retained_bytes.size();
  step.effects.retained.push_back({thing.name, step.time, step.sequence, at, at});
}

void Engine::Impl::end_keep(Step& step) {
  RetainedValues& group = step.effects.retained.back();
  group.end = step.effects.retained_bytes.size();
  if (group.begin == group.end) step.effects.retained.pop_back();
}

void Engine::Impl::keep(const Thing&, const PlanMetric& metric, const ValueView& value, Step& step) {
  ++counters.data_points;
  put_row_value(metric.row_code, metric.series, value, step.effects.retained_bytes);
}

void Engine::Impl::export_value(const Thing& thing, const PlanMetric& metric, const ValueView& value,
                                ExportClass combine, uint32_t version, Step& step) {
  if (metric.destinations.empty()) return;
  const size_t begin = step.effects.export_bytes.size();
  encode_value(value, step.effects.export_bytes);
  const size_t end = step.effects.export_bytes.size();
  for (const uint32_t destination : metric.destinations) {
    step.effects.exports.push_back({&thing.plan->destinations[destination], metric.series, thing.name,
                                    combine, version, step.time, begin, end});
  }
}

void Engine::Impl::add_to_windows(Thing& thing, const PlanMetric& metric, uint64_t count,
                                  int64_t bucket_time_ms) {
  for (uint32_t w = metric.windows_begin; w < metric.windows_end; ++w) {
    const PlanWindow& window = thing.plan->windows[w];
    uint64_t* cells = thing.state.cells() + window.offset;
    const auto bucket = static_cast<uint64_t>(bucket_time_ms / window.width_ms);
    uint64_t& newest = cells[0];
    if (bucket > newest) {
      const uint64_t steps = std::min<uint64_t>(bucket - newest, window.buckets);
      for (uint64_t i = 0; i < steps; ++i) cells[1 + (bucket - i) % window.buckets] = 0;
      newest = bucket;
    }
    if (newest - bucket >= window.buckets) continue;  // older than the window: the clock went back
    uint64_t& cell = cells[1 + bucket % window.buckets];
    cell = saturating_add(cell, count);
  }
}

uint64_t Engine::Impl::window_sum(const Thing& thing, const PlanWindow& window) const {
  uint64_t sum = 0;
  for (uint32_t i = 1; i <= window.buckets; ++i)
    sum = saturating_add(sum, thing.state.cells()[window.offset + i]);
  return sum;
}

void Engine::Impl::judge(Thing& thing, const PlanMetric& metric, const ValueView& value, Step& step) {
  for (uint32_t b = metric.behaviors_begin; b < metric.behaviors_end; ++b) {
    const PlanBehavior& behavior = thing.plan->behaviors[b];
    ValueView judged = value;
    if (behavior.values >= 0) {  // statistical: judged when the percentile is known
      thing.state.behaviors()[b].last_point_ms = step.time.ms;
      thing.state.cells()[behavior.values] =
          value.kind == ValueKind::kNumber ? std::bit_cast<uint64_t>(value.number) : value.count;
      continue;
    }
    if (behavior.window >= 0) {
      judged.count = window_sum(thing, thing.plan->windows[static_cast<size_t>(behavior.window)]);
    }
    judge_one(thing, b, judged, behavior.behavior->criteria->conforms(judged), step);
  }
}

void Engine::Impl::judge_one(Thing& thing, uint32_t index, const ValueView& value, bool conforms,
                             Step& step) {
  const PlanBehavior& behavior = thing.plan->behaviors[index];
  const Criteria& criteria = *behavior.behavior->criteria;
  BehaviorState& state = thing.state.behaviors()[index];
  // The values behind a percentile are older than the moment in which it is known.
  if (step.threshold == nullptr) state.last_point_ms = step.time.ms;
  ++counters.judgements;
  if (!state.in_alarm) {
    if (conforms) {
      state.violating_run = 0;
    } else if (++state.violating_run >= criteria.to_alarm()) {
      const std::string identity = thing.name + '\0' + behavior.profile->name + '\0' +
                                   behavior.behavior->name + '\0' + std::to_string(step.time.ms) + '\0' +
                                   std::to_string(step.sequence);
      const XXH128_hash_t hash = XXH3_128bits(identity.data(), identity.size());
      const Alarm alarm{behavior.key, step.time.ms, {hash.high64, hash.low64}};
      emit(ViolationEvent::Type::kInAlarm, thing, behavior, alarm, &value,
           explain(value, false, behavior, step.threshold, state.violating_run, criteria.to_alarm()), step);
      thing.open_alarm(alarm);
      state.in_alarm = true;
      state.violating_run = state.clear_run = 0;
    }
    return;
  }
  if (!conforms) {
    state.clear_run = 0;
    step.effects.updates.push_back(
        {violation_text(thing.alarm(behavior.key).violation), step.time, Value::copy(value)});
  } else if (++state.clear_run >= criteria.to_clear()) {
    emit(ViolationEvent::Type::kCleared, thing, behavior, thing.take_alarm(behavior.key), &value,
         explain(value, true, behavior, step.threshold, state.clear_run, criteria.to_clear()), step);
    state.in_alarm = false;
    state.violating_run = state.clear_run = 0;
  }
}

void Engine::Impl::emit(ViolationEvent::Type type, Thing& thing, const PlanBehavior& behavior,
                        const Alarm& alarm, const ValueView* value, std::string explanation, Step& step) {
  ViolationEvent event;
  event.type = type;
  event.time = step.time;
  event.started = {alarm.started_ms};
  event.violation_id = violation_text(alarm.violation);
  event.thing = thing.name;
  event.profile = behavior.profile;
  event.behavior = behavior.behavior;
  if (value != nullptr) event.value = Value::copy(*value);
  event.explanation = std::move(explanation);
  step.effects.events.push_back(std::move(event));
}

std::string_view Engine::thing_name(uint32_t index) const {
  return impl_->table.at(index).name;
}

void Engine::encode_thing(uint32_t index, std::string& out) const {
  internal::encode_thing(impl_->table.at(index), out);
}

Status Engine::restore_thing(std::string_view name, std::string_view bytes) {
  if (name.empty()) return fail(ErrorCode::kCorrupt, "state of a thing without a name");
  PlanPtr plan = impl_->plan_of(name);
  uint32_t index = impl_->table.find(name);
  if (index == ThingTable::kNone) index = impl_->table.insert(name, internal::PlanState::bytes_of(*plan));
  internal::Thing& thing = impl_->table.at(index);
  thing.config_version = impl_->config->version;
  move_to_plan(thing, std::move(plan), [](const PlanBehavior&, const internal::Alarm&) {});
  auto ok = internal::decode_thing(bytes, thing);
  if (!ok) impl_->table.erase(index);
  return ok;
}

size_t Engine::things() const {
  return impl_->table.size();
}

size_t Engine::memory_bytes() const {
  size_t total = 0;
  for (uint32_t i = 0; i < impl_->table.slots(); ++i) {
    if (impl_->table.used(i)) total += impl_->table.at(i).memory_bytes();
  }
  return total;
}

const EngineCounters& Engine::counters() const {
  return impl_->counters;
}

}  // namespace fleetward::detect
