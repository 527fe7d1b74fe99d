#include <algorithm>

#include "api/iot/detect.h"
#include "registry/groups.h"

namespace fleetward::api::iot {
namespace {

constexpr std::string_view kAllTargets[] = {"all/things", "all/registered-things", "all/unregistered-things"};

// Refused: no target's ARN of this account; kNotFound: no such group.
Status check_target(const DetectDependencies& d, const state::Snapshot& snapshot, const std::string& target) {
  for (const std::string_view all : kAllTargets) {
    if (target == d.iot.account.arn("iot", all)) return {};
  }
  const auto group = name_in_arn(d.iot, target, "thinggroup");
  if (!group) {
    return fail(ErrorCode::kInvalidArgument,
                "securityProfileTargetArn must be the ARN of a thing group, or of all/things, "
                "all/registered-things or all/unregistered-things of this account and region");
  }
  if (snapshot.get(d.iot.tables.groups).find(*group) == nullptr) {
    return fail(ErrorCode::kNotFound, "The thing group " + *group + " does not exist");
  }
  return {};
}

Status check_profile(const DetectDependencies& d, const state::Snapshot& snapshot, const std::string& name) {
  if (snapshot.get(d.tables.profiles).find(name) != nullptr) return {};
  return fail(ErrorCode::kNotFound, "The security profile " + name + " does not exist");
}

ApiResult<json::object> attach(const DetectDependencies& d, const http::Call&,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("securityProfileName", kResourceName);
  const std::string target = in.string("securityProfileTargetArn", kArnText);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    if (auto there = check_profile(d, change.view(), name); !there) return there;
    if (auto there = check_target(d, change.view(), target); !there) return there;
    if (change.get(d.tables.profile_targets).find(state::key(name, target)) != nullptr) return {};
    size_t attached = 0;
    change.get(d.tables.target_profiles).visit_prefix(state::key(target, ""), [&](const auto&) {
      ++attached;
      return true;
    });
    if (attached >= d.limits.profiles_per_target_max) {
      return fail(
          ErrorCode::kLimitExceeded,
          "A target has at most " + std::to_string(d.limits.profiles_per_target_max) + " security profiles");
    }
    const pipeline::ProfileTarget link{d.iot.clock.now()};
    change.put(d.tables.profile_targets, state::key(name, target), link);
    change.put(d.tables.target_profiles, state::key(target, name), link);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

// What is not attached is detached already, also because its group is gone.
ApiResult<json::object> detach(const DetectDependencies& d, const http::Call&,
                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("securityProfileName", kResourceName);
  const std::string target = in.string("securityProfileTargetArn", kArnText);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d.iot, [&](state::Transaction& change) -> Status {
    if (auto there = check_profile(d, change.view(), name); !there) return there;
    if (change.get(d.tables.profile_targets).find(state::key(name, target)) == nullptr) {
      const Status there = check_target(d, change.view(), target);
      return there || there.error().code == ErrorCode::kNotFound ? Status() : there;
    }
    change.erase(d.tables.profile_targets, state::key(name, target));
    change.erase(d.tables.target_profiles, state::key(target, name));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> list_targets(const DetectDependencies& d, const http::Call&,
                                     const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("securityProfileName", kResourceName);
  const Page page = read_detect_page(in, "ListTargetsForSecurityProfile");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  if (auto there = check_profile(d, *snapshot, name); !there) return refuse(kIotStyle, there.error());
  json::array targets;
  const std::string next =
      list_page(snapshot->get(d.tables.profile_targets), state::key(name, ""), page, [&](const auto& entry) {
        targets.push_back(json::object{{"arn", state::key_tail(entry.key)}});
        return true;
      });
  json::object out{{"securityProfileTargets", std::move(targets)}};
  if (!next.empty()) out["nextToken"] = next;
  return out;
}

ApiResult<json::object> list_profiles(const DetectDependencies& d, const http::Call&,
                                      const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string target = in.string("securityProfileTargetArn", kArnText);
  const bool recursive = in.boolean_or("recursive", false);
  const Page page = read_detect_page(in, "ListSecurityProfilesForTarget");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.iot.store.snapshot();
  if (auto there = check_target(d, *snapshot, target); !there) return refuse(kIotStyle, there.error());
  std::vector<std::string> targets = {target};
  if (const auto group = name_in_arn(d.iot, target, "thinggroup"); group && recursive) {
    for (const std::string& child : registry::subtree_of_group(*snapshot, d.iot.tables, *group)) {
      targets.push_back(arn(d.iot, "thinggroup", child));
    }
  }
  std::vector<std::string> keys;
  for (const std::string& each : targets) {
    snapshot->get(d.tables.target_profiles).visit_prefix(state::key(each, ""), [&](const auto& entry) {
      keys.push_back(entry.key);
      return true;
    });
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  std::string next;
  json::array mappings;
  for (const std::string& key : page_of(keys, page, next)) {
    const std::string profile(state::key_tail(key));
    mappings.push_back(
        json::object{{"securityProfileIdentifier",
                      json::object{{"name", profile}, {"arn", arn(d.iot, "securityprofile", profile)}}},
                     {"target", json::object{{"arn", key.substr(0, key.size() - profile.size() - 1)}}}});
  }
  json::object out{{"securityProfileTargetMappings", std::move(mappings)}};
  if (!next.empty()) out["nextToken"] = next;
  return out;
}

}  // namespace

void detach_target(state::Transaction& change, const pipeline::DetectTables& tables,
                   const std::string& target) {
  std::vector<std::string> names;
  change.get(tables.target_profiles).visit_prefix(state::key(target, ""), [&](const auto& entry) {
    names.emplace_back(state::key_tail(entry.key));
    return true;
  });
  for (const std::string& name : names) {
    change.erase(tables.target_profiles, state::key(target, name));
    change.erase(tables.profile_targets, state::key(name, target));
  }
}

std::vector<http::Operation> profile_target_operations(const DetectDependencies& d) {
  constexpr const char* kProfile = "securityprofile/{securityProfileName}";
  return detect_operations_of(
      d, {{{"AttachSecurityProfile",
            "PUT",
            "/security-profiles/{securityProfileName}/targets",
            {"securityProfileTargetArn"},
            kProfile,
            nullptr},
           attach},
          {{"DetachSecurityProfile",
            "DELETE",
            "/security-profiles/{securityProfileName}/targets",
            {"securityProfileTargetArn"},
            kProfile,
            nullptr},
           detach},
          {{"ListTargetsForSecurityProfile",
            "GET",
            "/security-profiles/{securityProfileName}/targets",
            {"nextToken", "maxResults:int"},
            kProfile,
            nullptr},
           list_targets},
          {{"ListSecurityProfilesForTarget",
            "GET",
            "/security-profiles-for-target",
            {"nextToken", "maxResults:int", "recursive:bool", "securityProfileTargetArn"},
            "{securityProfileTargetArn}",
            nullptr},
           list_profiles}});
}

}  // namespace fleetward::api::iot
