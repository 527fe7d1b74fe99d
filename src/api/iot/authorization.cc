#include "api/iot/iot.h"
#include "registry/missing_context.h"
#include "registry/policies.h"

namespace fleetward::api::iot {
namespace {

using identity::Decision;
using registry::DeviceAction;

// The attached thing that the request names, or none.
ApiResult<json::object> effective(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  std::string certificate;
  if (in.has("principal")) certificate = read_principal(d, in, "principal");
  const std::string thing = in.string_opt("thingName", kThingName).value_or("");
  in.unsupported("cognitoIdentityPoolId");
  if (in.ok() && certificate.empty() && thing.empty())
    in.fail("principal", "give a principal or a thingName");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  if (!certificate.empty() && snapshot->get(d.tables.certificates).find(certificate) == nullptr) {
    return not_found(kIotStyle, "Certificate " + certificate + " not found");
  }
  if (!thing.empty() && snapshot->get(d.tables.things).find(thing) == nullptr) {
    return not_found(kIotStyle, "Thing " + thing + " not found");
  }
  json::array policies;
  for (const auto& policy : registry::effective_policies(*snapshot, d.tables, certificate, thing)) {
    policies.push_back(json::object{{"policyName", policy->name},
                                    {"policyArn", arn(d, "policy", policy->name)},
                                    {"policyDocument", policy->in_force().document->text()}});
  }
  return json::object{{"effectivePolicies", std::move(policies)}};
}

struct AuthInfo {
  std::string action;  // "PUBLISH", empty: absent
  std::vector<std::string> resources;
};

constexpr size_t kAuthInfosMax = 10;
constexpr size_t kResourcesMax = 100;

std::string_view iot_action(std::string_view type) {
  if (type == "CONNECT") return "iot:Connect";
  if (type == "SUBSCRIBE") return "iot:Subscribe";
  if (type == "RECEIVE") return "iot:Receive";
  return "iot:Publish";
}

// One policy with its document bound to the connection that is asked about.
struct Bound {
  std::string name;
  std::shared_ptr<const identity::PolicyDocument> document;
  registry::ConnectionPolicyPtr rules;
};

json::object answer(const Dependencies& d, const AuthInfo& info, const std::vector<Bound>& policies,
                    const json::array& missing) {
  const auto shown = [&](const Bound& policy) {
    return json::object{{"policyName", policy.name}, {"policyArn", arn(d, "policy", policy.name)}};
  };
  json::array allowing, denying, silent;
  size_t allowed_resources = 0;
  std::vector<bool> allows(policies.size()), denies(policies.size());
  for (const std::string& resource : info.resources) {
    bool allowed = false;
    for (size_t i = 0; i < policies.size(); ++i) {
      const Decision one = policies[i].rules->decide_arn(iot_action(info.action), resource);
      allows[i] = allows[i] || one == Decision::kAllow;
      denies[i] = denies[i] || one == Decision::kDeny;
      allowed = allowed || one == Decision::kAllow;
    }
    allowed_resources += allowed;
  }
  for (size_t i = 0; i < policies.size(); ++i) {
    if (allows[i]) allowing.push_back(shown(policies[i]));
    if (denies[i]) denying.push_back(shown(policies[i]));
    if (!allows[i] && !denies[i]) silent.push_back(shown(policies[i]));
  }
  const char* decision = !denying.empty()                             ? "EXPLICIT_DENY"
                         : allowed_resources == info.resources.size() ? "ALLOWED"
                                                                      : "IMPLICIT_DENY";
  json::array resources(info.resources.begin(), info.resources.end());
  return {{"authInfo", json::object{{"actionType", info.action}, {"resources", std::move(resources)}}},
          {"allowed", json::object{{"policies", std::move(allowing)}}},
          {"denied", json::object{{"implicitDeny", json::object{{"policies", std::move(silent)}}},
                                  {"explicitDeny", json::object{{"policies", std::move(denying)}}}}},
          {"authDecision", decision},
          {"missingContextValues", missing}};
}

ApiResult<std::vector<Bound>> bind_policies(const Dependencies& d,
                                            const registry::DeviceConnection& connection,
                                            const std::vector<std::string>& added,
                                            const std::vector<std::string>& skipped) {
  const auto snapshot = d.store.snapshot();
  const std::string thing = d.authorizer.compile(*snapshot, connection)->thing();
  auto policies = registry::effective_policies(*snapshot, d.tables, connection.certificate_id, thing);
  for (const std::string& name : added) {
    const auto* policy = snapshot->get(d.tables.policies).find_shared(name);
    if (policy == nullptr) return not_found(kIotStyle, "Policy " + name + " not found");
    policies.push_back(*policy);
  }
  std::vector<Bound> out;
  for (const auto& policy : policies) {
    if (std::find(skipped.begin(), skipped.end(), policy->name) != skipped.end()) continue;
    out.push_back({policy->name, policy->in_force().document,
                   d.authorizer.compile_with(*snapshot, connection, {policy->in_force().document})});
  }
  return out;
}

ApiResult<json::object> test(const Dependencies& d, const http::Call& call, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  registry::DeviceConnection connection;
  connection.certificate_id = read_principal(d, in, "principal");
  connection.client_id = in.string_opt("clientId", {.min = 1, .max = 128}).value_or("");
  connection.source_address = std::string(call.source_address);
  connection.now = d.clock.now();
  in.unsupported("cognitoIdentityPoolId");
  std::vector<AuthInfo> infos;
  for (Input& each : in.objects("authInfos", 1, kAuthInfosMax)) {
    infos.push_back({each.one_of("actionType", {"PUBLISH", "SUBSCRIBE", "RECEIVE", "CONNECT"}),
                     each.strings("resources", 1, kResourcesMax, kArnText)});
  }
  const auto added = in.strings_opt("policyNamesToAdd", registry::kPoliciesPerTargetMax, kPolicyName);
  const auto skipped = in.strings_opt("policyNamesToSkip", registry::kPoliciesPerTargetMax, kPolicyName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (d.authorizer.find_device(*d.store.snapshot(), connection.certificate_id) ==
      registry::DeviceStatus::kUnknown) {
    return not_found(kIotStyle, "Certificate " + connection.certificate_id + " not found");
  }
  auto policies = bind_policies(d, connection, added.value_or(std::vector<std::string>{}),
                                skipped.value_or(std::vector<std::string>{}));
  if (!policies) return tl::unexpected(policies.error());
  std::vector<std::shared_ptr<const identity::PolicyDocument>> documents;
  for (const Bound& policy : *policies) documents.push_back(policy.document);
  json::array missing, results;
  for (std::string& key :
       registry::missing_context(*d.store.snapshot(), d.authorizer, connection, documents)) {
    missing.emplace_back(std::move(key));
  }
  for (const AuthInfo& info : infos) results.push_back(answer(d, info, *policies, missing));
  return json::object{{"authResults", std::move(results)}};
}

}  // namespace

std::vector<http::Operation> authorization_operations(const Dependencies& d) {
  return operations_of(
      d, {{"GetEffectivePolicies", "POST", "/effective-policies", {"thingName"}, "*", effective},
          {"TestAuthorization", "POST", "/test-authorization", {"clientId"}, "*", test}});
}

}  // namespace fleetward::api::iot
