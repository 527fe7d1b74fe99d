#include <algorithm>

#include "api/iot/detect.h"

namespace fleetward::api::iot {
namespace {

using detect::SecurityProfile;

constexpr StringRule kProfileDescription{.max = 1000, .check = check_printable};
constexpr std::string_view kService = "iot.amazonaws.com";

// What detect/ reads, whose own judgement comes later: with an unknown member nothing is judged.
constexpr Shape kDimensionShape[] = {{"dimensionName"}, {"operator"}};
constexpr Shape kValueShape[] = {{"count"}, {"cidrs"}, {"ports"}, {"number"}, {"numbers"}, {"strings"}};
constexpr Shape kThresholdShape[] = {{"statistic"}};
constexpr Shape kLearningShape[] = {{"confidenceLevel"}};
constexpr Shape kCriteriaShape[] = {{"comparisonOperator"},
                                    {"value", kValueShape},
                                    {"durationSeconds"},
                                    {"consecutiveDatapointsToAlarm"},
                                    {"consecutiveDatapointsToClear"},
                                    {"statisticalThreshold", kThresholdShape},
                                    {"mlDetectionConfig", kLearningShape}};
constexpr Shape kBehaviorShape[] = {
    {"name"},           {"metric"},      {"metricDimension", kDimensionShape}, {"criteria", kCriteriaShape},
    {"suppressAlerts"}, {"exportMetric"}};
constexpr Shape kRetainShape[] = {{"metric"}, {"metricDimension", kDimensionShape}, {"exportMetric"}};
constexpr Shape kTargetShape[] = {{"alertTargetArn"}, {"roleArn"}};
constexpr Shape kTargetsShape[] = {{"SNS", kTargetShape}, {"*"}};  // a map, whose keys detect/ judges
constexpr Shape kExportShape[] = {{"mqttTopic"}, {"roleArn"}};
constexpr Shape kProfileShape[] = {{"behaviors", kBehaviorShape},
                                   {"additionalMetricsToRetainV2", kRetainShape},
                                   {"alertTargets", kTargetsShape},
                                   {"metricsExportConfig", kExportShape}};

// The members that Create and Update share, as given; what they hold is checked by detect/ inside the change,
// where custom metrics and dimensions cannot go away.
struct Given {
  std::optional<std::string> description;
  const json::array* behaviors = nullptr;
  const json::array* retain = nullptr;
  const json::array* retain_v2 = nullptr;
  const json::object* alert_targets = nullptr;
  const json::object* export_config = nullptr;
};

const json::array* read_array(Input& in, std::string_view name) {
  const json::value* value = in.raw(name);
  if (value == nullptr || value->is_null()) return nullptr;
  if (!value->is_array()) in.fail(name, "must be a list");
  return value->if_array();
}
const json::object* read_object(Input& in, std::string_view name) {
  const json::value* value = in.raw(name);
  if (value == nullptr || value->is_null()) return nullptr;
  if (!value->is_object()) in.fail(name, "must be an object");
  return value->if_object();
}

Given read_given(Input& in) {
  Given given;
  given.description = in.string_opt("securityProfileDescription", kProfileDescription);
  given.behaviors = read_array(in, "behaviors");
  given.retain = read_array(in, "additionalMetricsToRetain");
  given.retain_v2 = read_array(in, "additionalMetricsToRetainV2");
  given.alert_targets = read_object(in, "alertTargets");
  given.export_config = read_object(in, "metricsExportConfig");
  in.known(kProfileShape);
  return given;
}

// Puts what is given into the profile, checked.
Status apply(const Given& given, const detect::AccountLookup& account, SecurityProfile& profile) {
  if (given.description) profile.description = *given.description;
  if (given.behaviors != nullptr) {
    auto behaviors = detect::parse_behaviors(*given.behaviors, account);
    if (!behaviors) return fail(behaviors.error());
    profile.behaviors = std::move(*behaviors);
  }
  if (given.retain != nullptr) {
    auto retain = detect::parse_retain(*given.retain, account);
    if (!retain) return fail(retain.error());
    profile.retain = std::move(*retain);
  }
  if (given.retain_v2 != nullptr) {
    auto retain = detect::parse_retain_v2(*given.retain_v2, account);
    if (!retain) return fail(retain.error());
    profile.retain_v2 = std::move(*retain);
  }
  if (given.alert_targets != nullptr) {
    auto target = detect::parse_alert_targets(*given.alert_targets);
    if (!target) return fail(target.error());
    profile.alert_target = std::move(*target);
  }
  if (given.export_config != nullptr) {
    auto config = detect::parse_export_config(*given.export_config);
    if (!config) return fail(config.error());
    profile.export_config = std::move(*config);
  }
  return {};
}

// The roles that the service will assume: the caller must be allowed to hand them over.
Status check_roles(const DetectDependencies& d, const identity::Caller& caller, const Given& given) {
  if (given.alert_targets != nullptr) {
    auto target = detect::parse_alert_targets(*given.alert_targets);
    if (!target) return fail(target.error());
    if (*target) {
      if (auto ok = d.authorizer.authorize_pass_role(caller, (*target)->role_arn, kService); !ok) return ok;
    }
  }
  if (given.export_config != nullptr) {
    auto config = detect::parse_export_config(*given.export_config);
    if (!config) return fail(config.error());
    return d.authorizer.authorize_pass_role(caller, config->role_arn, kService);
  }
  return {};
}

detect::AccountLookup lookup(const DetectDependencies& d, const state::Snapshot& snapshot) {
  detect::AccountLookup out = pipeline::account_lookup(snapshot, d.tables);
  out.behaviors_max = d.limits.behaviors_max;
  out.value_elements_max = d.limits.value_elements_max;
  return out;
}

json::object describe_json(const DetectDependencies& d, const SecurityProfile& profile) {
  json::object out = detect::to_json(profile);
  out["securityProfileArn"] = arn(d.iot, "securityprofile", profile.name);
  out["creationDate"] = profile.created.seconds();
  out["lastModifiedDate"] = profile.modified.seconds();
  return out;
}

json::object identifier_json(const DetectDependencies& d, const std::string& name) {
  return {{"name", name}, {"arn", arn(d.iot, "securityprofile", name)}};
}

ApiResult<json::object> create(const DetectDependencies& d, const http::Call& call,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  SecurityProfile profile;
  profile.name = in.string("securityProfileName", kResourceName);
  const Given given = read_given(in);
  const registry::Tags tags = read_tags(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (auto ok = check_roles(d, call.caller, given); !ok) return refuse(kIotStyle, ok.error());
  profile.created = profile.modified = d.iot.clock.now();
  const std::string name = profile.name, profile_arn = arn(d.iot, "securityprofile", profile.name);
  bool exists = false;
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    if (change.get(d.tables.profiles).find(name) != nullptr) {
      exists = true;
      return fail(ErrorCode::kAlreadyExists, "The security profile " + name + " already exists");
    }
    const auto account = lookup(d, change.view());
    if (auto checked = apply(given, account, profile); !checked) return checked;
    if (auto tagged = registry::add_tags(change, d.iot.tables.tags, profile_arn, tags); !tagged)
      return tagged;
    change.put(d.tables.profiles, name, std::move(profile));
    return {};
  });
  if (exists) return already_exists(ok.error().message, profile_arn, name);
  if (!ok) return tl::unexpected(ok.error());
  return json::object{{"securityProfileName", name}, {"securityProfileArn", profile_arn}};
}

ApiResult<json::object> describe(const DetectDependencies& d, const http::Call&,
                                 const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("securityProfileName", kResourceName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  const SecurityProfile* profile = snapshot->get(d.tables.profiles).find(name);
  if (profile == nullptr) return not_found(kIotStyle, "The security profile " + name + " does not exist");
  return describe_json(d, *profile);
}

// A deleteX flag: true clears the member, and a value beside it is an error.
bool read_delete(Input& in, std::string_view flag, std::initializer_list<std::string_view> members) {
  const bool wanted = in.boolean_or(flag, false);
  for (const std::string_view member : members) {
    if (wanted && in.has(member)) in.fail(flag, "cannot be true together with " + std::string(member));
  }
  return wanted;
}

ApiResult<json::object> update(const DetectDependencies& d, const http::Call& call,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("securityProfileName", kResourceName);
  const Given given = read_given(in);
  const bool no_behaviors = read_delete(in, "deleteBehaviors", {"behaviors"});
  const bool no_targets = read_delete(in, "deleteAlertTargets", {"alertTargets"});
  const bool no_retain = read_delete(in, "deleteAdditionalMetricsToRetain",
                                     {"additionalMetricsToRetain", "additionalMetricsToRetainV2"});
  const bool no_export = read_delete(in, "deleteMetricsExportConfig", {"metricsExportConfig"});
  const auto expected = in.integer_opt("expectedVersion", 0, INT64_MAX);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (auto ok = check_roles(d, call.caller, given); !ok) return refuse(kIotStyle, ok.error());
  SecurityProfile profile;
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    const SecurityProfile* held = change.get(d.tables.profiles).find(name);
    if (held == nullptr)
      return fail(ErrorCode::kNotFound, "The security profile " + name + " does not exist");
    if (expected && *expected != held->version) {
      return fail(ErrorCode::kVersionConflict,
                  "The security profile " + name + " has version " + std::to_string(held->version));
    }
    profile = *held;
    if (no_behaviors) profile.behaviors.clear();
    if (no_targets) profile.alert_target.reset();
    if (no_export) profile.export_config.reset();
    if (no_retain) {
      profile.retain.clear();
      profile.retain_v2.clear();
    }
    const auto account = lookup(d, change.view());
    if (auto checked = apply(given, account, profile); !checked) return checked;
    ++profile.version;
    profile.modified = d.iot.clock.now();
    change.put(d.tables.profiles, name, profile);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return describe_json(d, profile);
}

// Detaches it from its targets. A profile that is not there is deleted already.
ApiResult<json::object> remove(const DetectDependencies& d, const http::Call&,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("securityProfileName", kResourceName);
  const auto expected = in.integer_opt("expectedVersion", 0, INT64_MAX);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    const SecurityProfile* held = change.get(d.tables.profiles).find(name);
    if (held == nullptr) return {};
    if (expected && *expected != held->version) {
      return fail(ErrorCode::kVersionConflict,
                  "The security profile " + name + " has version " + std::to_string(held->version));
    }
    std::vector<std::string> targets;
    change.get(d.tables.profile_targets).visit_prefix(state::key(name, ""), [&](const auto& entry) {
      targets.emplace_back(state::key_tail(entry.key));
      return true;
    });
    for (const std::string& target : targets) {
      change.erase(d.tables.profile_targets, state::key(name, target));
      change.erase(d.tables.target_profiles, state::key(target, name));
    }
    registry::erase_tags(change, d.iot.tables.tags, arn(d.iot, "securityprofile", name));
    change.erase(d.tables.profiles, name);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> list(const DetectDependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const Page page = read_detect_page(in, "ListSecurityProfiles");
  const auto metric = in.string_opt("metricName", {.min = 1, .max = 128, .chars = &kNameChars});
  const auto dimension = in.string_opt("dimensionName", kResourceName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  if (metric && detect::find_builtin(*metric) == nullptr &&
      snapshot->get(d.tables.custom_metrics).find(*metric) == nullptr) {
    return not_found(kIotStyle, "The metric " + *metric + " does not exist");
  }
  if (dimension && snapshot->get(d.tables.dimensions).find(*dimension) == nullptr) {
    return not_found(kIotStyle, "The dimension " + *dimension + " does not exist");
  }
  json::array profiles;
  const std::string next = list_page(snapshot->get(d.tables.profiles), "", page, [&](const auto& entry) {
    if (metric && !entry.value->uses_metric(*metric)) return false;
    if (dimension && !entry.value->uses_dimension(*dimension)) return false;
    profiles.push_back(identifier_json(d, entry.key));
    return true;
  });
  json::object out{{"securityProfileIdentifiers", std::move(profiles)}};
  if (!next.empty()) out["nextToken"] = next;
  return out;
}

ApiResult<json::object> validate(const DetectDependencies& d, const http::Call&,
                                 const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const json::array* behaviors = read_array(in, "behaviors");
  in.known(kProfileShape);
  if (in.ok() && behaviors == nullptr) in.fail("behaviors", "is required");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (behaviors->size() > d.limits.behaviors_max) {
    return refuse(kIotStyle,
                  "behaviors must have at most " + std::to_string(d.limits.behaviors_max) + " elements");
  }
  const auto snapshot = d.iot.store.snapshot();
  json::array errors;
  for (const std::string& message : detect::validate_behaviors(*behaviors, lookup(d, *snapshot))) {
    errors.push_back(json::object{{"errorMessage", message.substr(0, 2048)}});
  }
  const bool valid = errors.empty();
  return json::object{{"valid", valid}, {"validationErrors", std::move(errors)}};
}

}  // namespace

std::vector<http::Operation> security_profile_operations(const DetectDependencies& d) {
  constexpr const char* kProfile = "securityprofile/{securityProfileName}";
  return detect_operations_of(
      d,
      {{{"CreateSecurityProfile", "POST", "/security-profiles/{securityProfileName}", {}, kProfile, nullptr},
        create},
       {{"DescribeSecurityProfile", "GET", "/security-profiles/{securityProfileName}", {}, kProfile, nullptr},
        describe},
       {{"UpdateSecurityProfile",
         "PATCH",
         "/security-profiles/{securityProfileName}",
         {"expectedVersion:int"},
         kProfile,
         nullptr},
        update},
       {{"DeleteSecurityProfile",
         "DELETE",
         "/security-profiles/{securityProfileName}",
         {"expectedVersion:int"},
         kProfile,
         nullptr},
        remove},
       {{"ListSecurityProfiles",
         "GET",
         "/security-profiles",
         {"nextToken", "maxResults:int", "dimensionName", "metricName"},
         "*",
         nullptr},
        list},
       {{"ValidateSecurityProfileBehaviors",
         "POST",
         "/security-profile-behaviors/validate",
         {},
         "*",
         nullptr},
        validate}});
}

}  // namespace fleetward::api::iot
