#include "test/model/fleet.h"

#include <set>

#include "detect/history.h"
#include "detect/population.h"

namespace fleetward::model {
namespace {

using detect::Engine;
using detect::Event;

json::array decoded(std::string_view metric, std::string_view thing, Timestamp time,
                    std::string_view& value) {
  auto decoded = detect::decode_value(value);
  return {json::value(metric), json::value(thing), json::value(time.ms),
          decoded ? json::value(detect::to_json(*decoded)) : json::value("corrupt")};
}

void append(json::object& answer, std::string_view member, json::value entry) {
  json::value& list = answer[member];
  if (!list.is_array()) list = json::array();
  list.get_array().push_back(std::move(entry));
}

uint64_t count_of(const json::object& command, std::string_view name) {
  return static_cast<uint64_t>(json::int_or(command, name, 0));
}

Status read_messages(const json::object& from, detect::MessageCounters& into,
                     std::vector<detect::IpAddress>& addresses) {
  into.messages_sent = count_of(from, "sent");
  into.messages_received = count_of(from, "received");
  into.authorization_failures = count_of(from, "failures");
  if (const json::array* sizes = json::find_array(from, "sizes"); sizes != nullptr && sizes->size() == 3) {
    uint64_t* const parts[] = {&into.message_bytes_total, &into.message_bytes_min, &into.message_bytes_max};
    for (size_t i = 0; i < 3; ++i) {
      if ((*sizes)[i].is_int64()) *parts[i] = static_cast<uint64_t>((*sizes)[i].get_int64());
    }
  }
  const json::array* list = json::find_array(from, "addresses");
  if (list == nullptr) return {};
  for (const json::value& text : *list) {
    detect::IpAddress address;
    if (!text.is_string() || !detect::IpAddress::parse(text.get_string(), address)) {
      return fail(ErrorCode::kInvalidArgument, "not an address");
    }
    addresses.push_back(address);
  }
  return {};
}

}  // namespace

json::object Fleet::run(const json::object& command) {
  json::object answer;
  const std::string_view op = json::string_or(command, "op");
  Status status;
  if (op == "fleet") {
    status = start(command);
  } else if (op == "configure") {
    status = configure(command);
  } else if (op == "report") {
    status = report(command, answer);
  } else if (op == "observe") {
    status = observe(command);
  } else if (op == "tick") {
    status = tick(command, answer);
  } else if (op == "thresholds") {
    status = thresholds(command, answer);
  } else if (op == "restart") {
    status = restart();
  } else {
    status = fail(ErrorCode::kInvalidArgument, "no such op");
  }
  if (!status) return {{"error", status.error().message}};
  for (Partition& partition : partitions_) take_effects(partition, answer);
  return answer;
}

Status Fleet::start(const json::object& command) {
  options_ = {};
  options_.tick = Duration{json::int_or(command, "tick_ms", options_.tick.count())};
  options_.silence = Duration{json::int_or(command, "silence_ms", options_.silence.count())};
  options_.forget = Duration{json::int_or(command, "forget_ms", options_.forget.count())};
  options_.population_min = static_cast<uint64_t>(json::int_or(command, "population_min", 2));
  config_.reset();
  partitions_.clear();
  populations_.clear();
  if (options_.tick < Duration{1000}) return fail(ErrorCode::kInvalidArgument, "tick_ms: at least 1000");
  const auto count = static_cast<size_t>(json::int_or(command, "partitions", 1));
  if (count == 0 || count > 64) return fail(ErrorCode::kInvalidArgument, "partitions: 1 to 64");
  for (size_t i = 0; i < count; ++i) partitions_.emplace_back().engine = Engine(options_);
  return {};
}

Status Fleet::configure(const json::object& command) {
  if (partitions_.empty()) return fail(ErrorCode::kInvalidArgument, "no fleet yet");
  auto profiles = std::make_shared<detect::Profiles>();
  if (const json::object* customs = json::find_object(command, "custom_metrics")) {
    for (const auto& [name, type] : *customs) {
      const auto kind = type.is_string() ? detect::parse_custom_type(type.get_string()) : std::nullopt;
      if (!kind) return fail(ErrorCode::kInvalidArgument, "no such type of custom metric");
      profiles->custom_metrics.emplace(name, *kind);
    }
  }
  std::set<std::string> names;
  if (const json::array* list = json::find_array(command, "profiles")) {
    for (const json::value& document : *list) {
      if (!document.is_object()) return fail(ErrorCode::kInvalidArgument, "a profile is an object");
      auto profile = detect::profile_from_json(document.get_object());
      if (!profile) return fail(profile.error());
      // Names are what the API sees to; a stored profile is trusted.
      bool unique = names.insert(profile->name).second;
      for (const detect::BehaviorPtr& behavior : profile->behaviors) {
        unique = names.insert(profile->name + '\0' + behavior->name).second && unique;
      }
      if (!unique) return fail(ErrorCode::kInvalidArgument, "a name is there twice");
      profiles->profiles.push_back(std::make_shared<const detect::SecurityProfile>(std::move(*profile)));
    }
  }
  std::map<std::string, std::vector<uint32_t>, std::less<>> members;
  if (const json::object* given = json::find_object(command, "members")) {
    for (const auto& [thing, indexes] : *given) {
      if (!indexes.is_array()) return fail(ErrorCode::kInvalidArgument, "members: lists of indexes");
      for (const json::value& index : indexes.get_array()) {
        if (!index.is_int64() || index.get_int64() < 0 ||
            static_cast<size_t>(index.get_int64()) >= profiles->profiles.size()) {
          return fail(ErrorCode::kInvalidArgument, "members: no profile of that index");
        }
        members[thing].push_back(static_cast<uint32_t>(index.get_int64()));
      }
    }
  }
  config_ = std::make_shared<const detect::Config>(
      detect::Config{++version_, profiles,
                     [members = std::move(members)](std::string_view thing, std::vector<uint32_t>& out) {
                       const auto it = members.find(thing);
                       if (it != members.end()) out.insert(out.end(), it->second.begin(), it->second.end());
                     }});
  for (Partition& partition : partitions_) partition.engine.configure(config_);
  return {};
}

Fleet::Partition& Fleet::partition_of(std::string_view thing) {
  return partitions_[std::hash<std::string_view>()(thing) % partitions_.size()];
}

// Every event goes through its form in the log.
Status Fleet::apply(std::string_view thing, std::string_view encoded, bool crash) {
  if (partitions_.empty()) return fail(ErrorCode::kInvalidArgument, "no fleet yet");
  Partition& partition = partition_of(thing);
  Event event;
  if (auto ok = detect::decode_event(encoded, event); !ok) return ok;
  ++partition.sequence;
  if (crash) {
    partition.engine.apply(event, partition.sequence, partition.effects);
    if (auto ok = restart(partition); !ok) return ok;
  }
  partition.engine.apply(event, partition.sequence, partition.effects);
  return {};
}

Status Fleet::report(const json::object& command, json::object& answer) {
  const std::string_view thing = json::string_or(command, "thing");
  const json::value* body = json::find(command, "body");
  if (body == nullptr) return fail(ErrorCode::kInvalidArgument, "no body");
  detect::Report report;
  const auto parsed = parser_.parse(detect::ReportFormat::kJson, json::serialize(*body), report);
  if (!parsed) {
    answer["rejected"] = parsed.error().message;
    return {};
  }
  std::string record;
  detect::encode_report_event(thing, {json::int_or(command, "time", 0)}, report, record);
  return apply(thing, record, command.contains("crash"));
}

Status Fleet::observe(const json::object& command) {
  detect::Observation seen;
  seen.from = seen.to = {json::int_or(command, "time", 0)};
  if (auto ok = read_messages(command, seen, seen.addresses); !ok) return ok;
  seen.connection_attempts = count_of(command, "attempts");
  seen.disconnects = count_of(command, "disconnects");
  seen.connected = json::bool_or(command, "connected", false);
  seen.disconnected_since = {json::int_or(command, "disconnected_since", 0)};
  if (const json::object* dimensions = json::find_object(command, "dimensions")) {
    for (const auto& [name, counted] : *dimensions) {
      const std::string_view text = name;
      const size_t bar = text.find('|');
      const auto op =
          bar < text.size() ? detect::parse_dimension_operator(text.substr(bar + 1)) : std::nullopt;
      if (!op || !counted.is_object()) return fail(ErrorCode::kInvalidArgument, "dimensions: \"name|IN\"");
      detect::DimensionCounters counters;
      counters.dimension = {std::string(text.substr(0, bar)), *op};
      if (auto ok = read_messages(counted.get_object(), counters, counters.addresses); !ok) return ok;
      seen.dimensions.push_back(std::move(counters));
    }
  }
  const std::string_view thing = json::string_or(command, "thing");
  std::string record;
  detect::encode_observation_event(thing, seen, record);
  return apply(thing, record, command.contains("crash"));
}

Status Fleet::tick(const json::object& command, json::object& answer) {
  std::string record;
  detect::encode_tick_event({json::int_or(command, "time", 0)}, record);
  Event event;
  if (auto ok = detect::decode_event(record, event); !ok) return ok;
  const auto things_max = static_cast<size_t>(json::int_or(command, "slice", 1000));
  for (Partition& partition : partitions_) {
    const uint64_t sequence = ++partition.sequence;
    const auto slice = [&](Partition& p) {
      return p.engine.tick(event.time, sequence, things_max, p.effects);
    };
    if (auto ok = in_slices(command, partition, slice, answer); !ok) return ok;
  }
  return {};
}

// As the threshold maker of the server does: the latest complete tick, earlier ones are given up.
Status Fleet::thresholds(const json::object& command, json::object& answer) {
  while (!populations_.empty() && populations_.rbegin()->second.size() < partitions_.size()) {
    populations_.erase(std::prev(populations_.end()));
  }
  if (populations_.empty()) return {};
  const auto [tick, records] = *populations_.rbegin();
  populations_.clear();
  std::vector<detect::Population> all;
  for (const std::string& record : records) {
    auto part = detect::decode_populations(record);
    if (!part) return fail(part.error());
    all.insert(all.end(), part->populations.begin(), part->populations.end());
  }
  const auto made =
      detect::make_thresholds(std::move(all), options_.population_min, [](const auto&, std::string_view) {});
  if (made.empty()) return {};
  std::string record;
  detect::encode_thresholds_event({tick}, made, record);
  Event event;
  if (auto ok = detect::decode_event(record, event); !ok) return ok;
  const auto things_max = static_cast<size_t>(json::int_or(command, "slice", 1000));
  for (Partition& partition : partitions_) {
    const uint64_t sequence = ++partition.sequence;
    const auto slice = [&](Partition& p) { return p.engine.judge(event, sequence, things_max, p.effects); };
    if (auto ok = in_slices(command, partition, slice, answer); !ok) return ok;
  }
  return {};
}

Status Fleet::in_slices(const json::object& command, Partition& partition, const Slice& slice,
                        json::object& answer) {
  if (json::int_or(command, "slice", 1) <= 0) return fail(ErrorCode::kInvalidArgument, "slice: at least 1");
  int64_t slices_to_crash = json::int_or(command, "crash", -1);
  for (bool done = false; !done;) {
    done = slice(partition);
    if (slices_to_crash-- == 0) {
      if (auto ok = restart(partition); !ok) return ok;
      done = false;
    } else {
      take_effects(partition, answer);
    }
  }
  return {};
}

Status Fleet::restart() {
  for (Partition& partition : partitions_) {
    if (auto ok = restart(partition); !ok) return ok;
  }
  return {};
}

// Effects that were not taken are lost, as those of a batch that was not written.
Status Fleet::restart(Partition& partition) {
  partition.engine = Engine(options_);
  if (config_) partition.engine.configure(config_);
  partition.effects = {};
  for (const auto& [thing, state] : partition.stored) {
    if (auto ok = partition.engine.restore_thing(thing, state); !ok) return ok;
  }
  return {};
}

// What a stage would write, and what it would send on.
void Fleet::take_effects(Partition& partition, json::object& answer) {
  detect::Effects& effects = partition.effects;
  if (effects.populations_tick.ms != 0) {
    const auto index = static_cast<uint32_t>(&partition - partitions_.data());
    detect::PopulationsRecord record{effects.populations_tick, index, std::move(effects.populations)};
    detect::encode_populations(record, populations_[record.tick.ms].emplace_back());
  }
  for (const std::string& thing : effects.forgotten) partition.stored.erase(thing);
  for (const uint32_t index : effects.changed) {
    std::string& state = partition.stored[std::string(partition.engine.thing_name(index))];
    state.clear();
    partition.engine.encode_thing(index, state);
  }
  for (const detect::ViolationEvent& event : effects.events) {
    append(answer, "events",
           json::object{{"type", detect::to_string(event.type)},
                        {"time", event.time.ms},
                        {"started", event.started.ms},
                        {"id", event.violation_id},
                        {"thing", event.thing},
                        {"profile", event.profile ? json::value(event.profile->name) : json::value()},
                        {"behavior", event.behavior ? json::value(event.behavior->name) : json::value()},
                        {"value", event.value ? json::value(detect::to_json(*event.value)) : json::value()},
                        {"explanation", event.explanation}});
  }
  for (const detect::RetainedValues& group : effects.retained) {
    const auto row = std::string_view(effects.retained_bytes).substr(group.begin, group.end - group.begin);
    const auto read = detect::visit_row(row, [&](std::string_view metric, std::string_view encoded) {
      append(answer, "kept", decoded(metric, group.thing, group.time, encoded));
    });
    if (!read) append(answer, "kept", json::value("corrupt"));
  }
  for (const detect::ExportPoint& point : effects.exports) {
    std::string_view value =
        std::string_view(effects.export_bytes).substr(point.begin, point.end - point.begin);
    json::array entry = decoded(point.series, point.thing, point.time, value);
    entry.push_back(json::value(point.destination->topic));
    entry.push_back(json::value(static_cast<int>(point.combine)));
    append(answer, "exported", std::move(entry));
  }
  effects.clear();
}

}  // namespace fleetward::model
