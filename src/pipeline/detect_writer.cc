#include "pipeline/detect_writer.h"

#include <algorithm>

#include "alerts/alert_record.h"
#include "export/export_record.h"
#include "pipeline/detect_keys.h"

namespace fleetward::pipeline {
namespace {

using Type = detect::ViolationEvent::Type;

}  // namespace

Status DetectWriter::write(const detect::Engine& engine, const detect::Effects& effects, Timestamp now,
                           log::Batch& batch) const {
  write_values(effects, batch);
  write_exports(effects, now, batch);
  write_states(engine, effects, batch);
  write_updates(effects, batch);
  for (const detect::ViolationEvent& event : effects.events) {
    if (auto ok = write_event(event, now, batch); !ok) return ok;
  }
  return {};
}

void DetectWriter::write_values(const detect::Effects& effects, log::Batch& batch) const {
  std::vector<const detect::RetainedValues*> order;
  for (const detect::RetainedValues& values : effects.retained) order.push_back(&values);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->thing < b->thing; });
  const std::string_view bytes = effects.retained_bytes;
  std::string key;
  size_t prefix = 0;
  int64_t day = -1;
  for (const detect::RetainedValues* values : order) {
    if (const int64_t its = keys::day_of(values->time); its != day) {
      day = its;
      key = keys::values_day(partition_, day);
      prefix = key.size();
    }
    key.resize(prefix);
    keys::put_values_place(values->thing, values->time, values->sequence, key);
    batch.put(key, bytes.substr(values->begin, values->end - values->begin));
  }
}

void DetectWriter::write_exports(const detect::Effects& effects, Timestamp now, log::Batch& batch) const {
  exporting::RecordWriter writer;
  const std::string_view bytes = effects.export_bytes;
  for (const detect::ExportPoint& point : effects.exports) {
    writer.add({point.destination->topic, point.destination->role_arn, point.destination->profile,
                point.series, point.thing, point.combine, point.version, point.time,
                bytes.substr(point.begin, point.end - point.begin)});
  }
  if (!writer.empty()) batch.append({"exports", partition_}, writer.finish(), now);
}

void DetectWriter::write_states(const detect::Engine& engine, const detect::Effects& effects,
                                log::Batch& batch) const {
  std::vector<std::pair<std::string_view, uint32_t>> order;
  for (const uint32_t index : effects.changed) order.emplace_back(engine.thing_name(index), index);
  std::sort(order.begin(), order.end());
  std::string key = keys::thing_prefix(partition_), state;
  const size_t prefix = key.size();
  for (const auto& [thing, index] : order) {
    key.resize(prefix);
    key += thing;
    state.clear();
    engine.encode_thing(index, state);
    batch.put(key, state);
  }
  key.resize(prefix);
  for (const std::string& thing : effects.forgotten) batch.erase(key + thing);
}

void DetectWriter::write_updates(const detect::Effects& effects, log::Batch& batch) const {
  for (const detect::ViolationUpdate& update : effects.updates) {
    const json::object document{{"time", update.time.ms}, {"value", detect::to_json(update.value)}};
    batch.put(keys::last_prefix(partition_) + update.violation_id, json::serialize(document));
  }
}

// The record of an event: a ViolationEvent of the API with times in milliseconds, and what it is filtered by.
Result<json::object> DetectWriter::describe(const detect::ViolationEvent& event,
                                            const log::Batch& batch) const {
  json::object out{{"violationId", event.violation_id}, {"thingName", event.thing}};
  if (event.behavior) {
    out["securityProfileName"] = event.profile->name;
    out["behavior"] = event.behavior->full_document();
  } else {
    // The behaviour left the configuration while the process was down: the violation's record has the copy.
    const std::string key = keys::active(partition_, event.started, event.violation_id);
    std::string text;
    batch.visit_changes([&](const log::Batch::KeyChange& change) {
      if (change.key == key) text = change.value;
    });
    if (text.empty()) {
      auto stored = log_.get(key);
      if (!stored) return fail(stored.error());
      text = stored->value_or("{}");
    }
    const auto active = json::parse(text);
    if (active && active->is_object()) {
      out["securityProfileName"] = json::string_or(active->get_object(), "securityProfileName");
      const json::object* behavior = json::find_object(active->get_object(), "behavior");
      if (behavior != nullptr) out["behavior"] = *behavior;
    }
  }
  if (event.value) out["metricValue"] = detect::to_json(*event.value);
  out["violationEventType"] = detect::to_string(event.type);
  out["violationEventTime"] = event.time.ms;
  return out;
}

Status DetectWriter::write_event(const detect::ViolationEvent& event, Timestamp now,
                                 log::Batch& batch) const {
  auto document = describe(event, batch);
  if (!document) return fail(document.error());
  const std::string active = keys::active(partition_, event.started, event.violation_id);
  if (event.type == Type::kInAlarm) {
    json::object record = *document;
    record.stable_erase("violationEventType");
    record.stable_erase("violationEventTime");
    record["violationStartTime"] = event.started.ms;
    batch.put(active, json::serialize(record));
    std::string started;
    keys::put_be64(started, static_cast<uint64_t>(event.started.ms));
    batch.put(keys::opened_prefix(partition_) + event.violation_id, std::move(started));
  } else {
    batch.erase(active);
    batch.erase(keys::last_prefix(partition_) + event.violation_id);
    batch.put(keys::ended_day(partition_, keys::day_of(event.time)) + event.violation_id, "");
  }
  // An alarm may open and clear within one millisecond: the type keeps the two apart, in their order.
  const std::string place = event.violation_id + std::to_string(static_cast<int>(event.type));
  batch.put(keys::event(partition_, event.time, place), json::serialize(*document));
  send_alert(event, *document, now, batch);
  const std::string_view behavior =
      document->contains("behavior") ? json::string_or(document->at("behavior").get_object(), "name") : "";
  logger_.info("detect.violation", {{"event", detect::to_string(event.type)},
                                    {"thing", event.thing},
                                    {"profile", json::string_or(*document, "securityProfileName")},
                                    {"behavior", behavior},
                                    {"violation", event.violation_id},
                                    {"why", event.explanation}});
  return {};
}

void DetectWriter::send_alert(const detect::ViolationEvent& event, const json::object& document,
                              Timestamp now, log::Batch& batch) const {
  // The copy of a behaviour that went away says so, too.
  const json::object* behavior = json::find_object(document, "behavior");
  if (behavior != nullptr && json::bool_or(*behavior, "suppressAlerts", false)) return;
  const bool to_sns = event.profile && event.profile->alert_target;
  if (!to_sns && !alerts_without_sns_) return;
  // The members and their order as AWS's notification has them.
  json::object message;
  for (const char* name : {"violationEventTime", "thingName", "behavior", "violationEventType", "metricValue",
                           "violationId", "securityProfileName"}) {
    if (const json::value* value = json::find(document, name)) message[name] = *value;
  }
  alerts::AlertRecord record;
  if (to_sns) {
    record.topic_arn = event.profile->alert_target->topic_arn;
    record.role_arn = event.profile->alert_target->role_arn;
    record.source_arn = account_.arn("iot", "securityprofile/" + event.profile->name);
  }
  record.violation = true;
  record.explanation = event.explanation;
  record.message = json::serialize(message);
  batch.append({"alerts", 0}, alerts::encode_alert(record), now);
}

}  // namespace fleetward::pipeline
