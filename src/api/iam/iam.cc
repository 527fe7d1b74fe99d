#include "api/iam/iam.h"

namespace fleetward::api::iam {

http::Service service(const Dependencies& dependencies) {
  http::Service out{.signing_name = "iam",
                    .protocol = http::Protocol::kQuery,
                    .target_prefix = {},
                    .xml_namespace = "https://iam.amazonaws.com/doc/2010-05-08/",
                    .operations = {}};
  for (auto part :
       {role_operations, user_operations, access_key_operations, policy_operations, grant_operations}) {
    for (http::Operation& operation : part(dependencies)) out.operations.push_back(std::move(operation));
  }
  for (const char* name :
       {"CreateGroup", "GetGroup", "ListGroups", "DeleteGroup", "AddUserToGroup", "RemoveUserFromGroup",
        "CreateInstanceProfile", "CreateLoginProfile", "CreateServiceLinkedRole",
        "CreateOpenIDConnectProvider", "CreateSAMLProvider", "PutRolePermissionsBoundary",
        "PutUserPermissionsBoundary", "SimulatePrincipalPolicy", "GetAccountSummary",
        "GetAccountAuthorizationDetails", "ListMFADevices"}) {
    out.operations.push_back({.name = name, .implemented = false});
  }
  return out;
}

std::string read_path(Input& in) {
  std::string path = in.string_or("Path", "/", {.min = 1, .max = 512});
  if (path.front() != '/' || path.back() != '/') in.fail("Path", "must begin and end with a slash");
  return path;
}

namespace {

std::string unknown_entity(const Dependencies& d, const std::string& kind, const json::object& arguments,
                           std::string_view name) {
  return d.authorizer.scope().global_arn(
      "iam", kind + std::string(json::string_or(arguments, "Path", "/")) + std::string(name));
}

}  // namespace

std::string user_resource(const Dependencies& d, const json::object& arguments) {
  const std::string_view name = json::string_or(arguments, "UserName");
  if (name.empty()) return "";
  const auto snapshot = d.store.snapshot();
  const identity::User* user = snapshot->get(d.tables.users).find(identity::name_key(name));
  if (user == nullptr) return unknown_entity(d, "user", arguments, name);
  return identity::user_arn(d.authorizer.scope(), *user);
}

std::string role_resource(const Dependencies& d, const json::object& arguments) {
  const std::string_view name = json::string_or(arguments, "RoleName");
  const auto snapshot = d.store.snapshot();
  const identity::Role* role = snapshot->get(d.tables.roles).find(identity::name_key(name));
  if (role == nullptr) return unknown_entity(d, "role", arguments, name);
  return identity::role_arn(d.authorizer.scope(), *role);
}

identity::Tags read_tags(Input& in) {
  identity::Tags out;
  for (Tag& tag : in.tags("Tags")) out[std::move(tag.key)] = std::move(tag.value);
  return out;
}

json::array tags_json(const identity::Tags& tags) {
  json::array out;
  for (const auto& [key, value] : tags) out.push_back(json::object{{"Key", key}, {"Value", value}});
  return out;
}

http::ApiResult<identity::Document> parse_document(const std::string& text,
                                                   const identity::DocumentRules& rules) {
  auto document = identity::PolicyDocument::parse(text, rules);
  if (document) return *document;
  const Error& error = document.error();
  if (error.code == ErrorCode::kLimitExceeded) return http::api_fail(409, "LimitExceeded", error.message);
  return http::api_fail(400, "MalformedPolicyDocument", error.message);
}

http::ApiError no_such(std::string_view kind, std::string_view name) {
  return {404,
          "NoSuchEntity",
          "The " + std::string(kind) + " with name " + std::string(name) + " cannot be found.",
          {}};
}

http::ApiError already_exists(std::string_view kind, std::string_view name) {
  return {409,
          "EntityAlreadyExists",
          std::string(kind) + " with name " + std::string(name) + " already exists.",
          {}};
}

Page read_page(Input& in, std::string_view operation) {
  return in.page(operation, "Marker", "MaxItems", 100, 1000);
}

void put_page(json::object& out, const std::string& next) {
  out["IsTruncated"] = !next.empty();
  if (!next.empty()) out["Marker"] = next;
}

}  // namespace fleetward::api::iam
