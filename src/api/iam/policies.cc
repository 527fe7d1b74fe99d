#include <algorithm>

#include "api/iam/iam.h"
#include "core/encoding.h"

namespace fleetward::api::iam {
namespace {

using identity::ManagedPolicy;

constexpr size_t kVersionsMax = 5;

size_t attachment_count(const Dependencies& d, const state::Snapshot& snapshot, const std::string& arn) {
  size_t count = 0;
  const auto tally = [&](const auto& entry) {
    const auto& attached = entry.value->grants.attached;
    count += static_cast<size_t>(std::count(attached.begin(), attached.end(), arn));
    return true;
  };
  snapshot.get(d.tables.users).visit_from("", tally);
  snapshot.get(d.tables.roles).visit_from("", tally);
  return count;
}

json::object policy_json(const Dependencies& d, const state::Snapshot& snapshot,
                         const ManagedPolicy& policy) {
  const std::string arn = identity::policy_arn(d.authorizer.scope(), policy);
  json::object out{{"PolicyName", policy.name},
                   {"PolicyId", policy.id},
                   {"Arn", arn},
                   {"Path", policy.path},
                   {"DefaultVersionId", policy.default_version},
                   {"AttachmentCount", attachment_count(d, snapshot, arn)},
                   {"PermissionsBoundaryUsageCount", 0},
                   {"IsAttachable", true},
                   {"CreateDate", to_iso8601(policy.created)},
                   {"UpdateDate", to_iso8601(policy.updated)}};
  if (!policy.description.empty()) out["Description"] = policy.description;
  if (!policy.tags.empty()) out["Tags"] = tags_json(policy.tags);
  return out;
}

json::object version_json(const ManagedPolicy& policy, const ManagedPolicy::Version& version,
                          bool with_document) {
  json::object out{{"VersionId", version.id},
                   {"IsDefaultVersion", version.id == policy.default_version},
                   {"CreateDate", to_iso8601(version.created)}};
  if (with_document) out["Document"] = percent_encode(version.document->text());
  return out;
}

const ManagedPolicy* find(const Dependencies& d, const state::Map<ManagedPolicy>& policies,
                          const std::string& arn) {
  const ManagedPolicy* policy = policies.find(identity::name_key(arn.substr(arn.rfind('/') + 1)));
  return policy != nullptr && identity::policy_arn(d.authorizer.scope(), *policy) == arn ? policy : nullptr;
}

http::ApiError no_policy(const std::string& arn) {
  return {404, "NoSuchEntity", "Policy " + arn + " does not exist or is not attachable.", {}};
}

http::ApiResult<json::object> edit(const Dependencies& d, const std::string& arn,
                                   const std::function<http::ApiResult<void>(ManagedPolicy&)>& change) {
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    const ManagedPolicy* found = find(d, txn.get(d.tables.policies), arn);
    if (found == nullptr) return tl::unexpected(no_policy(arn));
    ManagedPolicy policy = *found;
    if (auto changed = change(policy); !changed) return changed;
    policy.updated = d.clock.now();
    const std::string key = identity::name_key(policy.name);
    txn.put(d.tables.policies, key, std::move(policy));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

http::ApiResult<json::object> create(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  ManagedPolicy policy;
  policy.name = in.string("PolicyName", kPolicyName);
  policy.path = read_path(in);
  policy.description = in.string_or("Description", "", {.max = 1000});
  policy.tags = read_tags(in);
  const std::string text = in.string("PolicyDocument", {.min = 1, .max = 131072});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto document = parse_document(text, identity::kManagedRules);
  if (!document) return tl::unexpected(document.error());
  policy.id = identity::new_id(d.random, "ANPA");
  policy.created = policy.updated = d.clock.now();
  policy.default_version = "v1";
  policy.next_version = 2;
  policy.versions.push_back({"v1", *document, policy.created});
  json::object out{{"Policy", policy_json(d, *d.store.snapshot(), policy)}};
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    const std::string key = identity::name_key(policy.name);
    if (txn.get(d.tables.policies).find(key) != nullptr) {
      return tl::unexpected(already_exists("A policy", policy.name));
    }
    txn.put(d.tables.policies, key, std::move(policy));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return out;
}

http::ApiResult<json::object> get(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string arn = in.string("PolicyArn", kArn);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const ManagedPolicy* policy = find(d, snapshot->get(d.tables.policies), arn);
  if (policy == nullptr) return tl::unexpected(no_policy(arn));
  return json::object{{"Policy", policy_json(d, *snapshot, *policy)}};
}

http::ApiResult<json::object> remove(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string arn = in.string("PolicyArn", kArn);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    const ManagedPolicy* policy = find(d, txn.get(d.tables.policies), arn);
    if (policy == nullptr) return tl::unexpected(no_policy(arn));
    if (attachment_count(d, *d.store.snapshot(), arn) > 0) {
      return http::api_fail(409, "DeleteConflict", "Cannot delete a policy attached to entities.");
    }
    if (policy->versions.size() > 1) {
      return http::api_fail(
          409, "DeleteConflict",
          "This policy has more than one version. Before you delete a policy, you must delete the "
          "policy's versions.");
    }
    txn.erase(d.tables.policies, identity::name_key(policy->name));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

http::ApiResult<json::object> list(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string scope = in.one_of_opt("Scope", {"All", "AWS", "Local"}).value_or("All");
  const bool only_attached = in.boolean_or("OnlyAttached", false);
  const std::string prefix = in.string_or("PathPrefix", "/", {.min = 1, .max = 512});
  in.unsupported("PolicyUsageFilter");
  const Page page = read_page(in, "ListPolicies");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  json::array policies;
  if (scope != "Local" && page.after.empty() && prefix == "/" && !only_attached) {
    for (const std::string& arn : identity::aws_managed_policy_arns()) {
      policies.push_back(json::object{{"PolicyName", arn.substr(arn.rfind('/') + 1)},
                                      {"Arn", arn},
                                      {"Path", "/"},
                                      {"DefaultVersionId", "v1"},
                                      {"IsAttachable", true}});
    }
  }
  std::string next;
  if (scope != "AWS") {
    next = list_page(snapshot->get(d.tables.policies), "", page, [&](const auto& entry) {
      if (entry.value->path.compare(0, prefix.size(), prefix) != 0) return false;
      if (only_attached &&
          attachment_count(d, *snapshot, identity::policy_arn(d.authorizer.scope(), *entry.value)) == 0) {
        return false;
      }
      policies.push_back(policy_json(d, *snapshot, *entry.value));
      return true;
    });
  }
  json::object out{{"Policies", std::move(policies)}};
  put_page(out, next);
  return out;
}

http::ApiResult<json::object> create_version(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string arn = in.string("PolicyArn", kArn);
  const std::string text = in.string("PolicyDocument", {.min = 1, .max = 131072});
  const bool make_default = in.boolean_or("SetAsDefault", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto document = parse_document(text, identity::kManagedRules);
  if (!document) return tl::unexpected(document.error());
  json::object out;
  auto ok = edit(d, arn, [&](ManagedPolicy& policy) -> http::ApiResult<void> {
    if (policy.versions.size() >= kVersionsMax) {
      return http::api_fail(409, "LimitExceeded", "A managed policy can have up to 5 versions.");
    }
    policy.versions.push_back({"v" + std::to_string(policy.next_version++), *document, d.clock.now()});
    if (make_default) policy.default_version = policy.versions.back().id;
    out["PolicyVersion"] = version_json(policy, policy.versions.back(), false);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return out;
}

// GetPolicyVersion, SetDefaultPolicyVersion and DeletePolicyVersion: finds the version they name.
http::ApiResult<std::vector<ManagedPolicy::Version>::iterator> version_of(ManagedPolicy& policy,
                                                                          const std::string& id) {
  const auto it =
      std::find_if(policy.versions.begin(), policy.versions.end(), [&](const auto& v) { return v.id == id; });
  if (it == policy.versions.end()) {
    return http::api_fail(404, "NoSuchEntity", "Policy version " + id + " does not exist.");
  }
  return it;
}

http::ApiResult<json::object> get_version(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string arn = in.string("PolicyArn", kArn);
  const std::string id = in.string("VersionId", {.min = 1, .max = 16});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const ManagedPolicy* found = find(d, snapshot->get(d.tables.policies), arn);
  if (found == nullptr) return tl::unexpected(no_policy(arn));
  ManagedPolicy policy = *found;
  auto version = version_of(policy, id);
  if (!version) return tl::unexpected(version.error());
  return json::object{{"PolicyVersion", version_json(policy, **version, true)}};
}

http::ApiResult<json::object> list_versions(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string arn = in.string("PolicyArn", kArn);
  read_page(in, "ListPolicyVersions");  // at most 5: always one page
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const ManagedPolicy* policy = find(d, snapshot->get(d.tables.policies), arn);
  if (policy == nullptr) return tl::unexpected(no_policy(arn));
  json::array versions;
  for (auto it = policy->versions.rbegin(); it != policy->versions.rend(); ++it) {
    versions.push_back(version_json(*policy, *it, false));
  }
  json::object out{{"Versions", std::move(versions)}};
  put_page(out, "");
  return out;
}

http::ApiResult<json::object> set_default(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string arn = in.string("PolicyArn", kArn);
  const std::string id = in.string("VersionId", {.min = 1, .max = 16});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return edit(d, arn, [&](ManagedPolicy& policy) -> http::ApiResult<void> {
    if (auto version = version_of(policy, id); !version) return tl::unexpected(version.error());
    policy.default_version = id;
    return {};
  });
}

http::ApiResult<json::object> delete_version(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string arn = in.string("PolicyArn", kArn);
  const std::string id = in.string("VersionId", {.min = 1, .max = 16});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return edit(d, arn, [&](ManagedPolicy& policy) -> http::ApiResult<void> {
    auto version = version_of(policy, id);
    if (!version) return tl::unexpected(version.error());
    if (id == policy.default_version) {
      return http::api_fail(409, "DeleteConflict", "Cannot delete the default version of a policy.");
    }
    policy.versions.erase(*version);
    return {};
  });
}

}  // namespace

std::vector<http::Operation> policy_operations(const Dependencies& d) {
  const auto make = [&](const char* name, auto run) {
    return http::Operation{
        .name = name,
        .resource =
            [scope = d.authorizer.scope()](const json::object& a) {
              const std::string arn(json::string_or(a, "PolicyArn"));
              if (!arn.empty()) return arn;
              const std::string policy(json::string_or(a, "PolicyName", "*"));
              return scope.global_arn("iam", "policy/" + policy);
            },
        .run = [d, run](const http::Call&, const json::object& arguments) { return run(d, arguments); }};
  };
  return {make("CreatePolicy", create),
          make("GetPolicy", get),
          make("DeletePolicy", remove),
          make("ListPolicies", list),
          make("CreatePolicyVersion", create_version),
          make("GetPolicyVersion", get_version),
          make("ListPolicyVersions", list_versions),
          make("SetDefaultPolicyVersion", set_default),
          make("DeletePolicyVersion", delete_version)};
}

}  // namespace fleetward::api::iam
