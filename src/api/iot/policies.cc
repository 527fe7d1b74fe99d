#include "registry/policies.h"

#include "api/iot/iot.h"
#include "core/text.h"

namespace fleetward::api::iot {
namespace {

using registry::Policy;
using registry::PolicyVersion;
using Document = std::shared_ptr<const identity::PolicyDocument>;

constexpr StringRule kDocument{.min = 1, .max = 404'600};

ApiResult<Document> parse_document(const std::string& text) {
  auto document = registry::parse_policy_document(text);
  if (!document) return http::api_fail(400, "MalformedPolicyException", document.error().message);
  return *document;
}

// A version id: decimal, without leading zeros. 0 if it is none, having told `in`.
int read_version(Input& in) {
  const std::string text = in.string("policyVersionId", {.min = 1, .max = 9});
  if (!in.ok()) return 0;
  const int number = parse_number<int>(text).value_or(0);
  if (number < 1 || text[0] == '0') {
    in.fail("policyVersionId", "must satisfy [1-9][0-9]*");
  }
  return number;
}

ApiResult<json::object> create(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  const std::string text = in.string("policyDocument", kDocument);
  const registry::Tags tags = read_tags(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto document = parse_document(text);
  if (!document) return tl::unexpected(document.error());
  const std::string policy_arn = arn(d, "policy", name);
  const Status status = d.store.transact([&](state::Transaction& change) -> Status {
    auto made = registry::create_policy(change, d.tables, name, *document, d.random.uuid(), d.clock.now());
    if (!made) return made;
    return registry::add_tags(change, d.tables.tags, policy_arn, tags);
  });
  if (!status && status.error().code == ErrorCode::kAlreadyExists) {
    return already_exists(status.error().message, policy_arn, name);
  }
  if (!status) return refuse(kIotStyle, status.error());
  return json::object{
      {"policyName", name}, {"policyArn", policy_arn}, {"policyDocument", text}, {"policyVersionId", "1"}};
}

ApiResult<json::object> get(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Policy* policy = snapshot->get(d.tables.policies).find(name);
  if (policy == nullptr) return not_found(kIotStyle, "Policy " + name + " not found");
  return json::object{{"policyName", name},
                      {"policyArn", arn(d, "policy", name)},
                      {"policyDocument", policy->in_force().document->text()},
                      {"defaultVersionId", std::to_string(policy->default_version)},
                      {"creationDate", policy->created.seconds()},
                      {"lastModifiedDate", policy->modified.seconds()},
                      {"generationId", policy->generation_id}};
}

ApiResult<json::object> remove(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    registry::erase_tags(change, d.tables.tags, arn(d, "policy", name));
    return registry::delete_policy(change, d.tables, name);
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const bool ascending = in.boolean_or("ascendingOrder", false);
  const Page page = read_marker_page(in, "ListPolicies");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  std::string next;
  json::array found;
  for (const auto& policy : page_by_creation(snapshot->get(d.tables.policies), page, ascending, next)) {
    found.push_back(
        json::object{{"policyName", policy->name}, {"policyArn", arn(d, "policy", policy->name)}});
  }
  json::object out{{"policies", std::move(found)}};
  put_next(out, "nextMarker", next);
  return out;
}

ApiResult<json::object> create_version(const Dependencies& d, const http::Call&,
                                       const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  const std::string text = in.string("policyDocument", kDocument);
  const bool set_as_default = in.boolean_or("setAsDefault", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto document = parse_document(text);
  if (!document) return tl::unexpected(document.error());
  int number = 0;
  const Status status = d.store.transact([&](state::Transaction& change) -> Status {
    auto made =
        registry::create_policy_version(change, d.tables, name, *document, set_as_default, d.clock.now());
    if (!made) return fail(made.error());
    number = *made;
    return {};
  });
  if (!status && status.error().code == ErrorCode::kLimitExceeded) {
    return http::api_fail(409, "VersionsLimitExceededException", status.error().message);
  }
  if (!status) return refuse(kIotStyle, status.error());
  return json::object{{"policyArn", arn(d, "policy", name)},
                      {"policyDocument", text},
                      {"policyVersionId", std::to_string(number)},
                      {"isDefaultVersion", set_as_default}};
}

ApiResult<json::object> get_version(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  const int number = read_version(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Policy* policy = snapshot->get(d.tables.policies).find(name);
  if (policy == nullptr) return not_found(kIotStyle, "Policy " + name + " not found");
  const PolicyVersion* version = policy->find(number);
  if (version == nullptr) {
    return not_found(kIotStyle, "Policy " + name + " has no version " + std::to_string(number));
  }
  return json::object{{"policyArn", arn(d, "policy", name)},
                      {"policyName", name},
                      {"policyDocument", version->document->text()},
                      {"policyVersionId", std::to_string(number)},
                      {"isDefaultVersion", number == policy->default_version},
                      {"creationDate", version->created.seconds()},
                      {"lastModifiedDate", version->created.seconds()},
                      {"generationId", policy->generation_id}};
}

ApiResult<json::object> delete_version(const Dependencies& d, const http::Call&,
                                       const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  const int number = read_version(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    return registry::delete_policy_version(change, d.tables, name, number);
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> set_default(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  const int number = read_version(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    return registry::set_default_policy_version(change, d.tables, name, number, d.clock.now());
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> list_versions(const Dependencies& d, const http::Call&,
                                      const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("policyName", kPolicyName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Policy* policy = snapshot->get(d.tables.policies).find(name);
  if (policy == nullptr) return not_found(kIotStyle, "Policy " + name + " not found");
  json::array versions;
  for (auto it = policy->versions.rbegin(); it != policy->versions.rend(); ++it) {
    versions.push_back(json::object{{"versionId", std::to_string(it->number)},
                                    {"isDefaultVersion", it->number == policy->default_version},
                                    {"createDate", it->created.seconds()}});
  }
  return json::object{{"policyVersions", std::move(versions)}};
}

}  // namespace

std::vector<http::Operation> policy_operations(const Dependencies& d) {
  constexpr const char* kUri = "/policies/{policyName}";
  constexpr const char* kVersionsUri = "/policies/{policyName}/version";
  constexpr const char* kVersionUri = "/policies/{policyName}/version/{policyVersionId}";
  constexpr std::string_view kResource = "policy/{policyName}";
  return operations_of(
      d, {{"CreatePolicy", "POST", kUri, {}, kResource, create},
          {"GetPolicy", "GET", kUri, {}, kResource, get},
          {"DeletePolicy", "DELETE", kUri, {}, kResource, remove},
          {"ListPolicies",
           "GET",
           "/policies",
           {"marker", "pageSize:int", "isAscendingOrder=ascendingOrder:bool"},
           "*",
           list},
          {"CreatePolicyVersion", "POST", kVersionsUri, {"setAsDefault:bool"}, kResource, create_version},
          {"GetPolicyVersion", "GET", kVersionUri, {}, kResource, get_version},
          {"DeletePolicyVersion", "DELETE", kVersionUri, {}, kResource, delete_version},
          {"SetDefaultPolicyVersion", "PATCH", kVersionUri, {}, kResource, set_default},
          {"ListPolicyVersions", "GET", kVersionsUri, {}, kResource, list_versions}});
}

}  // namespace fleetward::api::iot
