#include "detect/profile.h"

#include <algorithm>
#include <set>

#include <xxhash.h>

#include "core/encoding.h"

namespace fleetward::detect {
namespace {

auto invalid(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

struct MetricRef {
  const MetricInfo* builtin = nullptr;
  ValueKind kind = ValueKind::kCount;
};

// "behaviors.3" and "criteria.value is required" are "behaviors.3.criteria.value is required"; a message
// about the thing itself begins with a space.
Error at(std::string path, Error error) {
  error.message = path + (error.message.starts_with(' ') ? "" : ".") + error.message;
  return error;
}
std::string element(std::string_view list, size_t index) {
  return std::string(list) + "." + std::to_string(index + 1);
}

// The errors are about the member `metric`.
Result<MetricRef> find_metric(std::string_view name, const AccountLookup& account) {
  if (name.empty()) return invalid(" is required");
  if (const MetricInfo* info = find_builtin(name)) return MetricRef{info, info->kind};
  if (name.starts_with("aws:"))
    return invalid(" names the metric " + std::string(name) + ", which does not exist");
  if (const auto kind = account.custom_metric(name)) return MetricRef{nullptr, *kind};
  return invalid(" names the custom metric " + std::string(name) + ", which does not exist");
}

Result<bool> boolean(const json::object& document, std::string_view name) {
  const json::value* value = json::find(document, name);
  if (value == nullptr || value->is_null()) return false;
  if (!value->is_bool()) return invalid(std::string(name) + " must be true or false");
  return value->get_bool();
}

// The member metricDimension of a behaviour or a metric to retain; absent is an empty one.
Result<MetricDimension> dimension_of(const json::object& document, std::string_view metric,
                                     const MetricInfo* builtin, const AccountLookup& account) {
  MetricDimension out;
  const json::value* value = json::find(document, "metricDimension");
  if (value == nullptr || value->is_null()) return out;
  if (!value->is_object()) return invalid("metricDimension must be an object");
  const json::object& members = value->get_object();
  for (const auto& [key, member] : members) {
    if (key != "dimensionName" && key != "operator") {
      return invalid("metricDimension has no member '" + std::string(key) + "'");
    }
    if (!member.is_string() && !member.is_null()) {
      return invalid("metricDimension." + std::string(key) + " must be a string");
    }
  }
  if (builtin == nullptr || !builtin->dimension_allowed) {
    return invalid("metricDimension cannot be used with the metric " + std::string(metric));
  }
  out.name = json::string_or(members, "dimensionName");
  if (!is_resource_name(out.name)) {
    return invalid("metricDimension.dimensionName must be 1 to 128 of [a-zA-Z0-9:_-]");
  }
  const std::string_view op_text = json::string_or(members, "operator", "IN");
  const auto op = parse_dimension_operator(op_text);
  if (!op) return invalid("metricDimension.operator must be IN or NOT_IN");
  out.op = *op;
  if (!account.dimension(out.name)) {
    return invalid("metricDimension.dimensionName names the dimension " + out.name +
                   ", which does not exist");
  }
  return out;
}

// Copies the members of `document` that are named, in that order.
json::object known_members(const json::object& document, std::initializer_list<std::string_view> names) {
  json::object out;
  for (const std::string_view name : names) {
    const json::value* value = json::find(document, name);
    if (value != nullptr && !value->is_null()) out[name] = *value;
  }
  return out;
}

bool is_arn_length(std::string_view text) {
  return text.size() >= 20 && text.size() <= 2048;
}

// The kind of a stored custom behaviour: told by the key of its value.
ValueKind stored_kind(const json::object& behavior) {
  const json::object* criteria = json::find_object(behavior, "criteria");
  const json::object* value = criteria == nullptr ? nullptr : json::find_object(*criteria, "value");
  for (const ValueKind kind : {ValueKind::kNumbers, ValueKind::kStrings, ValueKind::kCidrs}) {
    if (value != nullptr && value->contains(to_string(kind))) return kind;
  }
  return ValueKind::kNumber;
}

}  // namespace

bool is_resource_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' ||
           c == '_' || c == '-';
  });
}

Result<Behavior> Behavior::parse(const json::value& value, const AccountLookup& account) {
  if (!value.is_object()) return invalid(" must be an object");
  const json::object& document = value.get_object();
  Behavior out;
  out.name = json::string_or(document, "name");
  if (!is_resource_name(out.name)) return invalid("name must be 1 to 128 of [a-zA-Z0-9:_-]");
  out.metric = json::string_or(document, "metric");
  auto metric = find_metric(out.metric, account);
  if (!metric) return fail(at("metric", metric.error()));
  out.builtin = metric->builtin;
  out.kind = metric->kind;
  auto dimension = dimension_of(document, out.metric, out.builtin, account);
  if (!dimension) return fail(dimension.error());
  out.dimension = std::move(*dimension);
  auto suppress = boolean(document, "suppressAlerts");
  auto exported = boolean(document, "exportMetric");
  if (!suppress) return fail(suppress.error());
  if (!exported) return fail(exported.error());
  out.suppress_alerts = *suppress;
  out.export_metric = *exported;
  out.document = known_members(document, {"name", "metric", "metricDimension"});
  std::string identity = series_name(out.metric, out.dimension);
  const json::value* criteria = json::find(document, "criteria");
  if (criteria != nullptr && !criteria->is_null()) {
    if (!criteria->is_object()) return invalid("criteria must be an object");
    auto parsed = Criteria::parse(criteria->get_object(), out.metric, out.builtin, out.kind);
    if (!parsed) return fail(at("criteria", parsed.error()));
    json::object kept = known_members(
        criteria->get_object(), {"comparisonOperator", "value", "statisticalThreshold", "durationSeconds"});
    kept["consecutiveDatapointsToAlarm"] = parsed->to_alarm();
    kept["consecutiveDatapointsToClear"] = parsed->to_clear();
    identity += '\0' + json::serialize(kept);
    out.document["criteria"] =
        known_members(criteria->get_object(),
                      {"comparisonOperator", "value", "durationSeconds", "consecutiveDatapointsToAlarm",
                       "consecutiveDatapointsToClear", "statisticalThreshold"});
    out.criteria = std::move(*parsed);
  }
  for (const auto& [name, flag] : known_members(document, {"suppressAlerts", "exportMetric"})) {
    out.document[name] = flag;
  }
  out.fingerprint = XXH3_64bits(identity.data(), identity.size());
  return out;
}

json::object Behavior::full_document() const {
  json::object out = document;
  if (json::value* shown = out.if_contains("metricDimension")) {
    shown->get_object()["operator"] = to_string(dimension.op);
  }
  if (json::value* shown = out.if_contains("criteria"); shown != nullptr && criteria) {
    shown->get_object()["consecutiveDatapointsToAlarm"] = criteria->to_alarm();
    shown->get_object()["consecutiveDatapointsToClear"] = criteria->to_clear();
  }
  return out;
}

Result<std::vector<BehaviorPtr>> parse_behaviors(const json::array& list, const AccountLookup& account) {
  if (list.size() > account.behaviors_max) {
    return invalid("behaviors must have at most " + std::to_string(account.behaviors_max) + " elements");
  }
  std::vector<BehaviorPtr> out;
  std::set<std::string_view> names;
  size_t elements = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    auto behavior = Behavior::parse(list[i], account);
    if (!behavior) return fail(at(element("behaviors", i), behavior.error()));
    if (behavior->criteria) elements += behavior->criteria->value_elements();
    out.push_back(std::make_shared<const Behavior>(std::move(*behavior)));
    if (!names.insert(out.back()->name).second) {
      return invalid(element("behaviors", i) + ".name " + out.back()->name + " is used twice");
    }
  }
  if (elements > account.value_elements_max) {
    return invalid("behaviors: the values of all criteria have more than " +
                   std::to_string(account.value_elements_max) + " elements");
  }
  return out;
}

std::vector<std::string> validate_behaviors(const json::array& list, const AccountLookup& account) {
  std::vector<std::string> errors;
  for (size_t i = 0; i < list.size(); ++i) {
    if (auto behavior = Behavior::parse(list[i], account); !behavior) {
      errors.push_back(at(element("behaviors", i), behavior.error()).message);
    }
  }
  if (errors.empty()) {
    if (auto all = parse_behaviors(list, account); !all) errors.push_back(all.error().message);
  }
  return errors;
}

Result<std::vector<std::string>> parse_retain(const json::array& list, const AccountLookup& account) {
  constexpr std::string_view kMember = "additionalMetricsToRetain";
  std::vector<std::string> out;
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_string()) return invalid(element(kMember, i) + " must be the name of a metric");
    const std::string_view name = list[i].get_string();
    if (auto metric = find_metric(name, account); !metric) {
      return fail(at(element(kMember, i), metric.error()));
    }
    out.emplace_back(name);
  }
  return out;
}

Result<std::vector<MetricToRetain>> parse_retain_v2(const json::array& list, const AccountLookup& account) {
  constexpr std::string_view kMember = "additionalMetricsToRetainV2";
  std::vector<MetricToRetain> out;
  std::set<std::string> names;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = element(kMember, i);
    if (!list[i].is_object()) return invalid(path + " must be an object");
    const json::object& document = list[i].get_object();
    const std::string_view name = json::string_or(document, "metric");
    auto metric = find_metric(name, account);
    if (!metric) return fail(at(path + ".metric", metric.error()));
    auto dimension = dimension_of(document, name, metric->builtin, account);
    if (!dimension) return fail(at(path, dimension.error()));
    auto exported = boolean(document, "exportMetric");
    if (!exported) return fail(at(path, exported.error()));
    if (!names.insert(series_name(name, *dimension)).second) {
      return invalid(path + " repeats the metric " + std::string(name));
    }
    out.push_back({std::string(name), std::move(*dimension), *exported,
                   known_members(document, {"metric", "metricDimension", "exportMetric"})});
  }
  return out;
}

Result<MetricsExportConfig> parse_export_config(const json::object& document) {
  MetricsExportConfig out{std::string(json::string_or(document, "mqttTopic")),
                          std::string(json::string_or(document, "roleArn"))};
  if (out.mqtt_topic.empty() || out.mqtt_topic.size() > 512 || !is_utf8(out.mqtt_topic)) {
    return invalid("metricsExportConfig.mqttTopic must have 1 to 512 characters");
  }
  if (out.mqtt_topic.find_first_of(std::string_view("+#\0", 3)) != std::string::npos) {
    return invalid("metricsExportConfig.mqttTopic must be one topic, without wildcards");
  }
  if (out.mqtt_topic.front() == '$' && !out.mqtt_topic.starts_with("$aws/rules/")) {
    return invalid("metricsExportConfig.mqttTopic may begin with '$' only as $aws/rules/{rule}");
  }
  if (out.mqtt_topic == "$aws/rules/" || out.mqtt_topic.starts_with("$aws/rules//")) {
    return invalid("metricsExportConfig.mqttTopic names no rule");
  }
  if (!is_arn_length(out.role_arn)) {
    return invalid("metricsExportConfig.roleArn must have 20 to 2048 characters");
  }
  return out;
}

Result<std::optional<AlertTarget>> parse_alert_targets(const json::object& document) {
  std::optional<AlertTarget> out;
  for (const auto& [key, value] : document) {
    if (key != "SNS") return invalid("alertTargets knows the key SNS only");
    if (!value.is_object()) return invalid("alertTargets.SNS must be an object");
    out = AlertTarget{std::string(json::string_or(value.get_object(), "alertTargetArn")),
                      std::string(json::string_or(value.get_object(), "roleArn"))};
    if (!out->topic_arn.starts_with("arn:")) return invalid("alertTargets.SNS.alertTargetArn is not an ARN");
    if (!is_arn_length(out->role_arn)) {
      return invalid("alertTargets.SNS.roleArn must have 20 to 2048 characters");
    }
  }
  return out;
}

bool SecurityProfile::uses_metric(std::string_view metric) const {
  return std::any_of(behaviors.begin(), behaviors.end(),
                     [&](const BehaviorPtr& b) { return b->metric == metric; }) ||
         std::find(retain.begin(), retain.end(), metric) != retain.end() ||
         std::any_of(retain_v2.begin(), retain_v2.end(),
                     [&](const MetricToRetain& m) { return m.metric == metric; });
}

bool SecurityProfile::uses_dimension(std::string_view dimension_name) const {
  bool used = false;
  visit_dimensions(
      [&](const MetricDimension& dimension) { used = used || dimension.name == dimension_name; });
  return used;
}

json::object to_json(const SecurityProfile& profile) {
  json::object out{{"securityProfileName", profile.name}};
  if (!profile.description.empty()) out["securityProfileDescription"] = profile.description;
  json::array behaviors;
  for (const BehaviorPtr& behavior : profile.behaviors) behaviors.push_back(behavior->document);
  out["behaviors"] = std::move(behaviors);
  if (profile.alert_target) {
    out["alertTargets"] =
        json::object{{"SNS", json::object{{"alertTargetArn", profile.alert_target->topic_arn},
                                          {"roleArn", profile.alert_target->role_arn}}}};
  }
  if (!profile.retain.empty()) {
    json::array names;
    for (const std::string& name : profile.retain) names.emplace_back(name);
    out["additionalMetricsToRetain"] = std::move(names);
  }
  if (!profile.retain_v2.empty()) {
    json::array list;
    for (const MetricToRetain& metric : profile.retain_v2) {
      list.push_back(metric.document);
    }
    out["additionalMetricsToRetainV2"] = std::move(list);
  }
  if (profile.export_config) {
    out["metricsExportConfig"] = json::object{{"mqttTopic", profile.export_config->mqtt_topic},
                                              {"roleArn", profile.export_config->role_arn}};
  }
  out["version"] = profile.version;
  out["creationDate"] = profile.created.ms;
  out["lastModifiedDate"] = profile.modified.ms;
  return out;
}

Result<SecurityProfile> profile_from_json(const json::object& document) {
  SecurityProfile out;
  out.name = json::string_or(document, "securityProfileName");
  out.description = json::string_or(document, "securityProfileDescription");
  out.version = json::int_or(document, "version", 1);
  out.created.ms = json::int_or(document, "creationDate", 0);
  out.modified.ms = json::int_or(document, "lastModifiedDate", 0);
  if (const json::array* list = json::find_array(document, "behaviors")) {
    for (const json::value& entry : *list) {
      const ValueKind kind = entry.is_object() ? stored_kind(entry.get_object()) : ValueKind::kNumber;
      auto behavior = Behavior::parse(entry, {[&](std::string_view) { return std::optional(kind); },
                                              [](std::string_view) { return true; }});
      if (!behavior) return fail(ErrorCode::kCorrupt, behavior.error().message);
      out.behaviors.push_back(std::make_shared<const Behavior>(std::move(*behavior)));
    }
  }
  const AccountLookup any{[](std::string_view) { return std::optional(ValueKind::kNumber); },
                          [](std::string_view) { return true; }};
  if (const json::array* list = json::find_array(document, "additionalMetricsToRetain")) {
    auto retain = parse_retain(*list, any);
    if (!retain) return fail(ErrorCode::kCorrupt, retain.error().message);
    out.retain = std::move(*retain);
  }
  if (const json::array* list = json::find_array(document, "additionalMetricsToRetainV2")) {
    auto retain = parse_retain_v2(*list, any);
    if (!retain) return fail(ErrorCode::kCorrupt, retain.error().message);
    out.retain_v2 = std::move(*retain);
  }
  if (const json::object* config = json::find_object(document, "metricsExportConfig")) {
    auto parsed = parse_export_config(*config);
    if (!parsed) return fail(ErrorCode::kCorrupt, parsed.error().message);
    out.export_config = std::move(*parsed);
  }
  if (const json::object* targets = json::find_object(document, "alertTargets")) {
    auto parsed = parse_alert_targets(*targets);
    if (!parsed) return fail(ErrorCode::kCorrupt, parsed.error().message);
    out.alert_target = std::move(*parsed);
  }
  return out;
}

}  // namespace fleetward::detect
