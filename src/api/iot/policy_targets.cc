#include <set>

#include "api/iot/iot.h"
#include "registry/groups.h"
#include "registry/policies.h"

namespace fleetward::api::iot {
namespace {

// The ARN of a certificate or a thing group, as the tables name targets.
std::string read_target(const Dependencies& d, Input& in, std::string_view member) {
  const std::string text = in.string(member, kArnText);
  if (!in.ok()) return {};
  if (auto id = name_in_arn(d, text, "cert"); id && CertificateId::parse(*id)) {
    return registry::certificate_target(*id);
  }
  if (auto group = name_in_arn(d, text, "thinggroup")) return registry::group_target(*group);
  in.fail(member, "must be the ARN of a certificate or a thing group of this account and region");
  return {};
}

std::string read_certificate_target(const Dependencies& d, Input& in, std::string_view member) {
  return registry::certificate_target(read_principal(d, in, member));
}

using ReadTarget = std::string (*)(const Dependencies&, Input&, std::string_view);

// AttachPolicy and the older AttachPrincipalPolicy differ in how they name the target.
ApiResult<json::object> attach_to(const Dependencies& d, const json::object& arguments, ReadTarget read,
                                  std::string_view member) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  const std::string target = read(d, in, member);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    return registry::attach_policy(change, d.tables, name, target, d.clock.now());
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> detach_from(const Dependencies& d, const json::object& arguments, ReadTarget read,
                                    std::string_view member) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  const std::string target = read(d, in, member);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(
      d, [&](state::Transaction& change) { return registry::detach_policy(change, d.tables, name, target); });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> attach(const Dependencies& d, const http::Call&, const json::object& arguments) {
  return attach_to(d, arguments, read_target, "target");
}
ApiResult<json::object> detach(const Dependencies& d, const http::Call&, const json::object& arguments) {
  return detach_from(d, arguments, read_target, "target");
}
ApiResult<json::object> attach_principal(const Dependencies& d, const http::Call&,
                                         const json::object& arguments) {
  return attach_to(d, arguments, read_certificate_target, "principal");
}
ApiResult<json::object> detach_principal(const Dependencies& d, const http::Call&,
                                         const json::object& arguments) {
  return detach_from(d, arguments, read_certificate_target, "principal");
}

json::array policies_json(const Dependencies& d, const std::vector<std::string>& names) {
  json::array out;
  for (const std::string& name : names) {
    out.push_back(json::object{{"policyName", name}, {"policyArn", arn(d, "policy", name)}});
  }
  return out;
}

// The policies of a target, and with `recursive` those of a group's ancestors, in order of name.
ApiResult<json::object> policies_of(const Dependencies& d, const std::string& target, bool recursive,
                                    const Page& page) {
  const auto snapshot = d.store.snapshot();
  if (!registry::target_exists(*snapshot, d.tables, target)) {
    return not_found(kIotStyle, "The policy target " + target + " not found");
  }
  std::set<std::string> names;
  const auto add = [&](const std::string& from) {
    for (std::string& name : registry::policies_of_target(*snapshot, d.tables, from)) {
      names.insert(std::move(name));
    }
  };
  add(target);
  const std::string group_prefix = registry::group_target("");
  if (recursive && target.starts_with(group_prefix)) {
    const std::string group = target.substr(group_prefix.size());
    for (const std::string& above : registry::ancestors_of_group(*snapshot, d.tables, group)) {
      add(registry::group_target(above));
    }
  }
  std::string next;
  json::object out{{"policies", policies_json(d, page_of({names.begin(), names.end()}, page, next))}};
  put_next(out, "nextMarker", next);
  return out;
}

ApiResult<json::object> list_attached(const Dependencies& d, const http::Call&,
                                      const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string target = read_target(d, in, "target");
  const bool recursive = in.boolean_or("recursive", false);
  const Page page = read_marker_page(in, "ListAttachedPolicies");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return policies_of(d, target, recursive, page);
}

ApiResult<json::object> list_principal_policies(const Dependencies& d, const http::Call&,
                                                const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string target = read_certificate_target(d, in, "principal");
  const bool ascending = in.boolean_or("ascendingOrder", false);
  const Page page = read_marker_page(in, "ListPrincipalPolicies");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  if (!registry::target_exists(*snapshot, d.tables, target)) {
    return not_found(kIotStyle, "The policy target " + target + " not found");
  }
  std::vector<std::pair<std::string, std::string>> rows;  // by creation of the policy
  for (std::string& name : registry::policies_of_target(*snapshot, d.tables, target)) {
    const auto* policy = snapshot->get(d.tables.policies).find(name);
    if (policy != nullptr) rows.emplace_back(creation_key(policy->created, name), std::move(name));
  }
  std::string next;
  json::object out{{"policies", policies_json(d, page_of_rows(std::move(rows), page, ascending, next))}};
  put_next(out, "nextMarker", next);
  return out;
}

ApiResult<json::object> list_targets(const Dependencies& d, const http::Call&,
                                     const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  const Page page = read_marker_page(in, "ListTargetsForPolicy");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  if (snapshot->get(d.tables.policies).find(name) == nullptr) {
    return not_found(kIotStyle, "Policy " + name + " not found");
  }
  json::array targets;
  const std::string next =
      list_page(snapshot->get(d.tables.policy_targets), state::key(name, ""), page, [&](const auto& entry) {
        targets.emplace_back(d.account.arn("iot", state::key_tail(entry.key)));
        return true;
      });
  json::object out{{"targets", std::move(targets)}};
  put_next(out, "nextMarker", next);
  return out;
}

ApiResult<json::object> list_policy_principals(const Dependencies& d, const http::Call&,
                                               const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  const bool ascending = in.boolean_or("ascendingOrder", false);
  const Page page = read_marker_page(in, "ListPolicyPrincipals");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  if (snapshot->get(d.tables.policies).find(name) == nullptr) {
    return not_found(kIotStyle, "Policy " + name + " not found");
  }
  std::vector<std::pair<std::string, std::string>> rows;  // by creation of the certificate
  const std::string certificates = registry::certificate_target("");
  snapshot->get(d.tables.policy_targets).visit_prefix(state::key(name, certificates), [&](const auto& entry) {
    const std::string target(state::key_tail(entry.key));
    const auto* found = snapshot->get(d.tables.certificates).find(target.substr(certificates.size()));
    if (found != nullptr)
      rows.emplace_back(creation_key(found->created, target), d.account.arn("iot", target));
    return true;
  });
  std::string next;
  json::array principals;
  for (std::string& principal : page_of_rows(std::move(rows), page, ascending, next)) {
    principals.emplace_back(std::move(principal));
  }
  json::object out{{"principals", std::move(principals)}};
  put_next(out, "nextMarker", next);
  return out;
}

}  // namespace

std::vector<http::Operation> policy_target_operations(const Dependencies& d) {
  constexpr const char* kUri = "/target-policies/{policyName}";
  constexpr const char* kOldUri = "/principal-policies/{policyName}";
  constexpr std::string_view kHeader = "x-amzn-iot-principal=principal";
  constexpr std::string_view kOrder = "isAscendingOrder=ascendingOrder:bool";
  return operations_of(
      d, {{"AttachPolicy", "PUT", kUri, {}, "{target}", attach},
          {"DetachPolicy", "POST", kUri, {}, "{target}", detach},
          {"ListAttachedPolicies",
           "POST",
           "/attached-policies/{target}",
           {"recursive:bool", "marker", "pageSize:int"},
           "{target}",
           list_attached},
          {"ListTargetsForPolicy",
           "POST",
           "/policy-targets/{policyName}",
           {"marker", "pageSize:int"},
           "policy/{policyName}",
           list_targets},
          {"AttachPrincipalPolicy", "PUT", kOldUri, {kHeader}, "{principal}", attach_principal},
          {"DetachPrincipalPolicy", "DELETE", kOldUri, {kHeader}, "{principal}", detach_principal},
          {"ListPrincipalPolicies",
           "GET",
           "/principal-policies",
           {kHeader, "marker", "pageSize:int", kOrder},
           "{principal}",
           list_principal_policies},
          {"ListPolicyPrincipals",
           "GET",
           "/policy-principals",
           {"x-amzn-iot-policy=policyName", "marker", "pageSize:int", kOrder},
           "policy/{policyName}",
           list_policy_principals}});
}

}  // namespace fleetward::api::iot
