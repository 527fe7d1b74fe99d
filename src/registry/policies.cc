#include "registry/policies.h"

#include <algorithm>
#include <set>

#include "registry/groups.h"

namespace fleetward::registry {
namespace {

constexpr std::string_view kCertificatePrefix = "cert/";
constexpr std::string_view kGroupPrefix = "thinggroup/";

tl::unexpected<Error> no_policy(std::string_view name) {
  return fail(ErrorCode::kNotFound, "Policy " + std::string(name) + " not found");
}
tl::unexpected<Error> no_version(std::string_view name, int number) {
  return fail(ErrorCode::kNotFound,
              "Policy " + std::string(name) + " has no version " + std::to_string(number));
}

}  // namespace

Result<std::shared_ptr<const identity::PolicyDocument>> parse_policy_document(std::string_view text) {
  identity::DocumentRules rules;
  rules.characters_max = kPolicyCharactersMax;
  return identity::PolicyDocument::parse(text, rules);
}

Status create_policy(state::Transaction& change, const Tables& tables, std::string_view name,
                     std::shared_ptr<const identity::PolicyDocument> document, std::string generation_id,
                     Timestamp now) {
  if (change.get(tables.policies).find(name) != nullptr) {
    return fail(ErrorCode::kAlreadyExists, "Policy " + std::string(name) + " already exists");
  }
  Policy policy;
  policy.name = std::string(name);
  policy.versions.push_back({1, std::move(document), now});
  policy.generation_id = std::move(generation_id);
  policy.created = policy.modified = now;
  change.put(tables.policies, name, std::move(policy));
  return {};
}

Result<int> create_policy_version(state::Transaction& change, const Tables& tables, std::string_view name,
                                  std::shared_ptr<const identity::PolicyDocument> document,
                                  bool set_as_default, Timestamp now) {
  const Policy* held = change.get(tables.policies).find(name);
  if (held == nullptr) return no_policy(name);
  if (held->versions.size() >= kPolicyVersionsMax) {
    return fail(ErrorCode::kLimitExceeded,
                "Policy " + held->name + " has 5 versions; delete one before creating another");
  }
  Policy next = *held;
  const int number = ++next.last_version;
  next.versions.push_back({number, std::move(document), now});
  if (set_as_default) next.default_version = number;
  next.modified = now;
  change.put(tables.policies, name, std::move(next));
  return number;
}

Status set_default_policy_version(state::Transaction& change, const Tables& tables, std::string_view name,
                                  int number, Timestamp now) {
  const Policy* held = change.get(tables.policies).find(name);
  if (held == nullptr) return no_policy(name);
  if (held->find(number) == nullptr) return no_version(name, number);
  Policy next = *held;
  next.default_version = number;
  next.modified = now;
  change.put(tables.policies, name, std::move(next));
  return {};
}

Status delete_policy_version(state::Transaction& change, const Tables& tables, std::string_view name,
                             int number) {
  const Policy* held = change.get(tables.policies).find(name);
  if (held == nullptr) return no_policy(name);
  if (held->find(number) == nullptr) return no_version(name, number);
  if (held->default_version == number) {
    return fail(ErrorCode::kConflict, "Cannot delete the default version of policy " + held->name);
  }
  Policy next = *held;
  std::erase_if(next.versions, [number](const PolicyVersion& version) { return version.number == number; });
  change.put(tables.policies, name, std::move(next));
  return {};
}

Status delete_policy(state::Transaction& change, const Tables& tables, std::string_view name) {
  const Policy* held = change.get(tables.policies).find(name);
  if (held == nullptr) return no_policy(name);
  bool attached = false;
  change.get(tables.policy_targets).visit_prefix(state::key(name, ""), [&](const auto&) {
    attached = true;
    return false;
  });
  if (attached) {
    return fail(ErrorCode::kConflict, "Cannot delete policy " + held->name + ": it is attached");
  }
  if (held->versions.size() > 1) {
    return fail(ErrorCode::kConflict,
                "Cannot delete policy " + held->name + ": it has versions beside the default one");
  }
  change.erase(tables.policies, name);
  return {};
}

bool target_exists(const state::Snapshot& snapshot, const Tables& tables, std::string_view target) {
  if (target.substr(0, kCertificatePrefix.size()) == kCertificatePrefix) {
    return snapshot.get(tables.certificates).find(target.substr(kCertificatePrefix.size())) != nullptr;
  }
  return target.substr(0, kGroupPrefix.size()) == kGroupPrefix &&
         snapshot.get(tables.groups).find(target.substr(kGroupPrefix.size())) != nullptr;
}

Status attach_policy(state::Transaction& change, const Tables& tables, std::string_view name,
                     std::string_view target, Timestamp now) {
  if (change.get(tables.policies).find(name) == nullptr) return no_policy(name);
  if (!target_exists(change.view(), tables, target)) {
    return fail(ErrorCode::kNotFound, "The policy target " + std::string(target) + " not found");
  }
  if (target.starts_with(kGroupPrefix) &&
      change.get(tables.groups).find(target.substr(kGroupPrefix.size()))->dynamic()) {
    return fail(ErrorCode::kInvalidArgument, "A policy cannot be attached to a dynamic thing group");
  }
  const auto held = policies_of_target(change.view(), tables, target);
  if (std::find(held.begin(), held.end(), name) != held.end()) return {};
  if (held.size() >= kPoliciesPerTargetMax) {
    return fail(ErrorCode::kLimitExceeded, "A target has at most 10 policies");
  }
  change.put(tables.policy_targets, state::key(name, target), Link{now});
  change.put(tables.target_policies, state::key(target, name), Link{now});
  return {};
}

Status detach_policy(state::Transaction& change, const Tables& tables, std::string_view name,
                     std::string_view target) {
  if (change.get(tables.policies).find(name) == nullptr) return no_policy(name);
  const std::string forward = state::key(name, target);
  if (change.get(tables.policy_targets).find(forward) == nullptr) return {};
  change.erase(tables.policy_targets, forward);
  change.erase(tables.target_policies, state::key(target, name));
  return {};
}

void detach_all_policies(state::Transaction& change, const Tables& tables, std::string_view target) {
  for (const std::string& name : policies_of_target(change.view(), tables, target)) {
    change.erase(tables.policy_targets, state::key(name, target));
    change.erase(tables.target_policies, state::key(target, name));
  }
}

std::vector<std::string> policies_of_target(const state::Snapshot& snapshot, const Tables& tables,
                                            std::string_view target) {
  std::vector<std::string> out;
  snapshot.get(tables.target_policies).visit_prefix(state::key(target, ""), [&](const auto& entry) {
    out.emplace_back(state::key_tail(entry.key));
    return true;
  });
  return out;
}

std::vector<std::shared_ptr<const Policy>> effective_policies(const state::Snapshot& snapshot,
                                                              const Tables& tables,
                                                              std::string_view certificate_id,
                                                              std::string_view thing) {
  std::vector<std::shared_ptr<const Policy>> out;
  std::set<std::string> seen;
  const auto add = [&](const std::string& target) {
    for (const std::string& name : policies_of_target(snapshot, tables, target)) {
      if (!seen.insert(name).second) continue;
      if (const auto* policy = snapshot.get(tables.policies).find_shared(name)) out.push_back(*policy);
    }
  };
  if (!certificate_id.empty()) add(certificate_target(certificate_id));
  if (!thing.empty()) {
    for (const std::string& group : effective_groups_of_thing(snapshot, tables, thing)) {
      add(group_target(group));
    }
  }
  return out;
}

}  // namespace fleetward::registry
