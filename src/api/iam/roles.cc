#include "api/iam/iam.h"
#include "core/encoding.h"

namespace fleetward::api::iam {
namespace {

using identity::Role;

json::object role_json(const Dependencies& d, const Role& role) {
  json::object out{{"Path", role.path},
                   {"RoleName", role.name},
                   {"RoleId", role.id},
                   {"Arn", identity::role_arn(d.authorizer.scope(), role)},
                   {"CreateDate", to_iso8601(role.created)},
                   {"AssumeRolePolicyDocument", percent_encode(role.trust->text())},
                   {"MaxSessionDuration", role.max_session_seconds}};
  if (!role.description.empty()) out["Description"] = role.description;
  if (!role.tags.empty()) out["Tags"] = tags_json(role.tags);
  return out;
}

// Reads one role by the RoleName member, then lets `change` edit it.
http::ApiResult<json::object> edit(const Dependencies& d, const std::string& name,
                                   const std::function<http::ApiResult<void>(Role&)>& change) {
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    const Role* found = txn.get(d.tables.roles).find(identity::name_key(name));
    if (found == nullptr) return tl::unexpected(no_such("role", name));
    Role role = *found;
    if (auto changed = change(role); !changed) return changed;
    txn.put(d.tables.roles, identity::name_key(name), std::move(role));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

http::ApiResult<json::object> create(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  Role role;
  role.name = in.string("RoleName", kEntityName);
  role.path = read_path(in);
  const std::string trust = in.string("AssumeRolePolicyDocument", {.min = 1, .max = 131072});
  role.description = in.string_or("Description", "", {.max = 1000});
  role.max_session_seconds = static_cast<int>(in.integer_or("MaxSessionDuration", 3600, 3600, 43200));
  role.tags = read_tags(in);
  in.unsupported("PermissionsBoundary");
  in.unsupported("MaxSigninSessionDuration");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto document = parse_document(trust, identity::kTrustRules);
  if (!document) return tl::unexpected(document.error());
  role.trust = *document;
  role.id = identity::new_id(d.random, "AROA");
  role.created = d.clock.now();
  json::object out{{"Role", role_json(d, role)}};
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    const std::string key = identity::name_key(role.name);
    if (txn.get(d.tables.roles).find(key) != nullptr)
      return tl::unexpected(already_exists("Role", role.name));
    txn.put(d.tables.roles, key, std::move(role));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return out;
}

http::ApiResult<json::object> get(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string name = in.string("RoleName", kEntityName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Role* role = snapshot->get(d.tables.roles).find(identity::name_key(name));
  if (role == nullptr) return tl::unexpected(no_such("role", name));
  return json::object{{"Role", role_json(d, *role)}};
}

http::ApiResult<json::object> remove(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string name = in.string("RoleName", kEntityName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    const Role* role = txn.get(d.tables.roles).find(identity::name_key(name));
    if (role == nullptr) return tl::unexpected(no_such("role", name));
    if (!role->grants.inline_policies.empty()) {
      return http::api_fail(409, "DeleteConflict", "Cannot delete entity, must delete policies first.");
    }
    if (!role->grants.attached.empty()) {
      return http::api_fail(409, "DeleteConflict", "Cannot delete entity, must detach all policies first.");
    }
    txn.erase(d.tables.roles, identity::name_key(name));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

http::ApiResult<json::object> list(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string prefix = in.string_or("PathPrefix", "/", {.min = 1, .max = 512});
  const Page page = read_page(in, "ListRoles");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  json::array roles;
  const auto snapshot = d.store.snapshot();
  const std::string next = list_page(snapshot->get(d.tables.roles), "", page, [&](const auto& entry) {
    if (entry.value->path.compare(0, prefix.size(), prefix) != 0) return false;
    roles.push_back(role_json(d, *entry.value));
    return true;
  });
  json::object out{{"Roles", std::move(roles)}};
  put_page(out, next);
  return out;
}

http::ApiResult<json::object> update(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string name = in.string("RoleName", kEntityName);
  const auto description = in.string_opt("Description", {.max = 1000});
  const auto duration = in.integer_opt("MaxSessionDuration", 3600, 43200);
  in.unsupported("MaxSigninSessionDuration");
  in.unsupported("ResetMaxSigninSessionDuration");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return edit(d, name, [&](Role& role) -> http::ApiResult<void> {
    if (description) role.description = *description;
    if (duration) role.max_session_seconds = static_cast<int>(*duration);
    return {};
  });
}

http::ApiResult<json::object> update_trust(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string name = in.string("RoleName", kEntityName);
  const std::string text = in.string("PolicyDocument", {.min = 1, .max = 131072});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto document = parse_document(text, identity::kTrustRules);
  if (!document) return tl::unexpected(document.error());
  return edit(d, name, [&](Role& role) -> http::ApiResult<void> {
    role.trust = *document;
    return {};
  });
}

http::ApiResult<json::object> tag(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string name = in.string("RoleName", kEntityName);
  const identity::Tags tags = read_tags(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return edit(d, name, [&](Role& role) -> http::ApiResult<void> {
    for (const auto& [key, value] : tags) role.tags[key] = value;
    if (role.tags.size() > 50) return http::api_fail(409, "LimitExceeded", "A role has at most 50 tags.");
    return {};
  });
}

http::ApiResult<json::object> untag(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string name = in.string("RoleName", kEntityName);
  const auto keys = in.strings("TagKeys", 1, 50, {.min = 1, .max = 128});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return edit(d, name, [&](Role& role) -> http::ApiResult<void> {
    for (const std::string& key : keys) role.tags.erase(key);
    return {};
  });
}

http::ApiResult<json::object> list_tags(const Dependencies& d, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string name = in.string("RoleName", kEntityName);
  read_page(in, "ListRoleTags");  // at most 50: always one page
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Role* role = snapshot->get(d.tables.roles).find(identity::name_key(name));
  if (role == nullptr) return tl::unexpected(no_such("role", name));
  json::object out{{"Tags", tags_json(role->tags)}};
  put_page(out, "");
  return out;
}

}  // namespace

std::vector<http::Operation> role_operations(const Dependencies& d) {
  const auto on_role = [d](const json::object& a) { return role_resource(d, a); };
  const auto make = [&](const char* name, auto run) {
    return http::Operation{
        .name = name, .resource = on_role, .run = [d, run](const http::Call&, const json::object& arguments) {
          return run(d, arguments);
        }};
  };
  std::vector<http::Operation> out{make("CreateRole", create), make("GetRole", get),
                                   make("DeleteRole", remove), make("UpdateRole", update),
                                   make("TagRole", tag),       make("UpdateAssumeRolePolicy", update_trust),
                                   make("UntagRole", untag),   make("ListRoleTags", list_tags)};
  out.push_back(
      {.name = "ListRoles",
       .resource = [](const json::object&) { return std::string("*"); },
       .run = [d](const http::Call&, const json::object& arguments) { return list(d, arguments); }});
  return out;
}

}  // namespace fleetward::api::iam
