#include "pipeline/detect_tables.h"

#include <algorithm>
#include <unordered_map>

namespace fleetward::pipeline {
namespace {

json::object metric_to_json(const CustomMetric& metric) {
  return {{"metricName", metric.name},          {"metricType", detect::custom_type_name(metric.type)},
          {"displayName", metric.display_name}, {"creationToken", metric.creation_token},
          {"creationDate", metric.created.ms},  {"lastModifiedDate", metric.modified.ms}};
}

Result<CustomMetric> metric_from_json(const json::object& document) {
  CustomMetric metric;
  metric.name = json::string_or(document, "metricName");
  const auto type = detect::parse_custom_type(json::string_or(document, "metricType"));
  if (!type) return fail(ErrorCode::kCorrupt, "custom metric " + metric.name + " has no type");
  metric.type = *type;
  metric.display_name = json::string_or(document, "displayName");
  metric.creation_token = json::string_or(document, "creationToken");
  metric.created.ms = json::int_or(document, "creationDate", 0);
  metric.modified.ms = json::int_or(document, "lastModifiedDate", 0);
  return metric;
}

json::object dimension_to_json(const Dimension& dimension) {
  json::array values;
  for (const std::string& value : dimension.values) values.emplace_back(value);
  return {{"name", dimension.name},
          {"stringValues", std::move(values)},
          {"clientRequestToken", dimension.request_token},
          {"creationDate", dimension.created.ms},
          {"lastModifiedDate", dimension.modified.ms}};
}

Result<Dimension> dimension_from_json(const json::object& document) {
  Dimension dimension;
  dimension.name = json::string_or(document, "name");
  if (const json::array* values = json::find_array(document, "stringValues")) {
    for (const json::value& value : *values) {
      if (value.is_string()) dimension.values.emplace_back(std::string_view(value.get_string()));
    }
  }
  dimension.request_token = json::string_or(document, "clientRequestToken");
  dimension.created.ms = json::int_or(document, "creationDate", 0);
  dimension.modified.ms = json::int_or(document, "lastModifiedDate", 0);
  return dimension;
}

json::object target_to_json(const ProfileTarget& target) {
  return {{"since", target.since.ms}};
}
Result<ProfileTarget> target_from_json(const json::object& document) {
  return ProfileTarget{{json::int_or(document, "since", 0)}};
}

// Whom the profiles reach, as the engine asks it. Lives in the Config's function.
struct Reach {
  state::SnapshotPtr snapshot;
  registry::Tables registry;
  std::vector<uint32_t> all, registered, unregistered;
  std::unordered_map<std::string, std::vector<uint32_t>> groups;

  static constexpr int kGroupDepthMax = 8;  // the registry allows 7

  void append(std::string_view thing, std::vector<uint32_t>& out) const {
    out.insert(out.end(), all.begin(), all.end());
    const bool known = snapshot->get(registry.things).find(thing) != nullptr;
    const auto& by_registration = known ? registered : unregistered;
    out.insert(out.end(), by_registration.begin(), by_registration.end());
    if (known && !groups.empty()) append_groups(thing, out);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
  }
  void append_groups(std::string_view thing, std::vector<uint32_t>& out) const {
    const auto& by_name = snapshot->get(registry.groups);
    const std::string prefix = state::key(thing, "");
    snapshot->get(registry.dynamic_thing_groups).visit_prefix(prefix, [&](const auto& entry) {
      const std::string name(state::key_tail(entry.key));
      // One that was deleted may still be listed for a moment.
      const auto it = by_name.find(name) == nullptr ? groups.end() : groups.find(name);
      if (it != groups.end()) out.insert(out.end(), it->second.begin(), it->second.end());
      return true;
    });
    snapshot->get(registry.thing_groups).visit_prefix(prefix, [&](const auto& entry) {
      std::string name(state::key_tail(entry.key));
      for (int depth = 0; depth < kGroupDepthMax && !name.empty(); ++depth) {
        if (const auto it = groups.find(name); it != groups.end()) {
          out.insert(out.end(), it->second.begin(), it->second.end());
        }
        const registry::ThingGroup* group = by_name.find(name);
        name = group == nullptr ? std::string() : group->parent;
      }
      return true;
    });
  }
};

std::shared_ptr<const detect::Profiles> collect_profiles(const state::Snapshot& snapshot,
                                                         const DetectTables& tables) {
  auto profiles = std::make_shared<detect::Profiles>();
  snapshot.get(tables.profiles).visit_from("", [&](const auto& entry) {
    profiles->profiles.push_back(entry.value);
    return true;
  });
  snapshot.get(tables.custom_metrics).visit_from("", [&](const auto& entry) {
    profiles->custom_metrics.emplace(entry.key, entry.value->type);
    return true;
  });
  return profiles;
}

}  // namespace

DetectTables DetectTables::add_to(state::Store& store) {
  DetectTables tables;
  tables.profiles = store.add_table<detect::SecurityProfile>(
      {"security_profiles", detect::to_json, detect::profile_from_json});
  tables.custom_metrics = store.add_table<CustomMetric>({"custom_metrics", metric_to_json, metric_from_json});
  tables.dimensions = store.add_table<Dimension>({"dimensions", dimension_to_json, dimension_from_json});
  tables.profile_targets =
      store.add_table<ProfileTarget>({"security_profile_targets", target_to_json, target_from_json});
  tables.target_profiles =
      store.add_table<ProfileTarget>({"target_security_profiles", target_to_json, target_from_json});
  return tables;
}

detect::AccountLookup account_lookup(const state::Snapshot& snapshot, const DetectTables& tables) {
  return {
      [&map =
           snapshot.get(tables.custom_metrics)](std::string_view name) -> std::optional<detect::ValueKind> {
        const CustomMetric* metric = map.find(name);
        if (metric == nullptr) return std::nullopt;
        return metric->type;
      },
      [&map = snapshot.get(tables.dimensions)](std::string_view name) { return map.find(name) != nullptr; }};
}

DetectConfigBuilder::DetectConfigBuilder(DetectTables tables, registry::Tables registry, AccountScope account)
    : tables_(tables), registry_(registry), account_(std::move(account)) {}

bool DetectConfigBuilder::same_profiles(const state::Snapshot& snapshot) const {
  return &snapshot.get(tables_.profiles) == &last_->get(tables_.profiles) &&
         &snapshot.get(tables_.custom_metrics) == &last_->get(tables_.custom_metrics);
}

bool DetectConfigBuilder::same_reach(const state::Snapshot& snapshot) const {
  return &snapshot.get(tables_.target_profiles) == &last_->get(tables_.target_profiles) &&
         &snapshot.get(registry_.things) == &last_->get(registry_.things) &&
         &snapshot.get(registry_.groups) == &last_->get(registry_.groups) &&
         &snapshot.get(registry_.thing_groups) == &last_->get(registry_.thing_groups) &&
         &snapshot.get(registry_.dynamic_thing_groups) == &last_->get(registry_.dynamic_thing_groups);
}

detect::ConfigPtr DetectConfigBuilder::refresh(state::SnapshotPtr snapshot) {
  if (snapshot == last_) return nullptr;
  const bool profiles_stay = last_ && same_profiles(*snapshot);
  const bool nothing = profiles_stay && same_reach(*snapshot);
  last_ = snapshot;
  if (nothing) return nullptr;
  if (!profiles_stay) profiles_ = collect_profiles(*snapshot, tables_);

  auto reach = std::make_shared<Reach>();
  reach->snapshot = snapshot;
  reach->registry = registry_;
  const std::string all = account_.arn("iot", "all/");
  const std::string group = account_.arn("iot", "thinggroup/");
  snapshot->get(tables_.target_profiles).visit_from("", [&](const auto& entry) {
    const std::string_view profile = state::key_tail(entry.key);
    const std::string_view target =
        std::string_view(entry.key).substr(0, entry.key.size() - profile.size() - 1);
    const auto& list = profiles_->profiles;
    const auto it = std::find_if(list.begin(), list.end(), [&](const auto& p) { return p->name == profile; });
    if (it == list.end()) return true;
    const auto index = static_cast<uint32_t>(it - list.begin());
    if (target == all + "things") reach->all.push_back(index);
    if (target == all + "registered-things") reach->registered.push_back(index);
    if (target == all + "unregistered-things") reach->unregistered.push_back(index);
    if (target.starts_with(group)) reach->groups[std::string(target.substr(group.size()))].push_back(index);
    return true;
  });
  auto config = std::make_shared<detect::Config>();
  config->version = snapshot->version();
  config->profiles = profiles_;
  config->profiles_of = [reach](std::string_view thing, std::vector<uint32_t>& out) {
    reach->append(thing, out);
  };
  return config;
}

}  // namespace fleetward::pipeline
