#include "api/iam/iam.h"

namespace fleetward::api::iam {
namespace {

using identity::User;

json::object user_json(const Dependencies& d, const User& user) {
  json::object out{{"Path", user.path},
                   {"UserName", user.name},
                   {"UserId", user.id},
                   {"Arn", identity::user_arn(d.authorizer.scope(), user)},
                   {"CreateDate", to_iso8601(user.created)}};
  if (!user.tags.empty()) out["Tags"] = tags_json(user.tags);
  return out;
}

http::ApiResult<json::object> create(const Dependencies& d, const http::Call&,
                                     const json::object& arguments) {
  Input in(arguments, kIamStyle);
  User user;
  user.name = in.string("UserName", kEntityName);
  user.path = read_path(in);
  user.tags = read_tags(in);
  in.unsupported("PermissionsBoundary");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  user.id = identity::new_id(d.random, "AIDA");
  user.created = d.clock.now();
  json::object out{{"User", user_json(d, user)}};
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    const std::string key = identity::name_key(user.name);
    if (txn.get(d.tables.users).find(key) != nullptr)
      return tl::unexpected(already_exists("User", user.name));
    txn.put(d.tables.users, key, std::move(user));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return out;
}

http::ApiResult<json::object> get(const Dependencies& d, const http::Call& call,
                                  const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const auto name = in.string_opt("UserName", kEntityName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  if (!name && call.caller.kind == identity::Caller::Kind::kRoot) {  // root asks for itself
    return json::object{{"User", json::object{{"UserId", call.caller.id}, {"Arn", call.caller.arn}}}};
  }
  if (!name && call.caller.kind == identity::Caller::Kind::kAssumedRole) {
    return http::api_fail(400, "ValidationError",
                          "Must specify userName when calling with non-User credentials");
  }
  const std::string wanted = name.value_or(call.caller.name);
  const User* user = snapshot->get(d.tables.users).find(identity::name_key(wanted));
  if (user == nullptr) return tl::unexpected(no_such("user", wanted));
  return json::object{{"User", user_json(d, *user)}};
}

http::ApiResult<json::object> remove(const Dependencies& d, const http::Call&,
                                     const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string name = in.string("UserName", kEntityName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    const User* user = txn.get(d.tables.users).find(identity::name_key(name));
    if (user == nullptr) return tl::unexpected(no_such("user", name));
    bool has_keys = false;
    txn.get(d.tables.access_keys).visit_from("", [&](const auto& entry) {
      has_keys = entry.value->user == user->name;
      return !has_keys;
    });
    if (has_keys)
      return http::api_fail(409, "DeleteConflict", "Cannot delete entity, must delete access keys first.");
    if (!user->grants.inline_policies.empty() || !user->grants.attached.empty()) {
      return http::api_fail(409, "DeleteConflict", "Cannot delete entity, must remove its policies first.");
    }
    txn.erase(d.tables.users, identity::name_key(name));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

http::ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const std::string prefix = in.string_or("PathPrefix", "/", {.min = 1, .max = 512});
  const Page page = read_page(in, "ListUsers");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  json::array users;
  const auto snapshot = d.store.snapshot();
  const std::string next = list_page(snapshot->get(d.tables.users), "", page, [&](const auto& entry) {
    if (entry.value->path.compare(0, prefix.size(), prefix) != 0) return false;
    users.push_back(user_json(d, *entry.value));
    return true;
  });
  json::object out{{"Users", std::move(users)}};
  put_page(out, next);
  return out;
}

}  // namespace

std::vector<http::Operation> user_operations(const Dependencies& d) {
  const auto make = [&](const char* name, auto run) {
    return http::Operation{
        .name = name,
        .resource = [d](const json::object& a) { return user_resource(d, a); },
        .run = [d, run](const http::Call& call,
                        const json::object& arguments) { return run(d, call, arguments); }};
  };
  http::Operation all = make("ListUsers", list);
  all.resource = [scope = d.authorizer.scope()](const json::object&) {
    return scope.global_arn("iam", "user/");
  };
  return {make("CreateUser", create), make("GetUser", get), make("DeleteUser", remove), std::move(all)};
}

}  // namespace fleetward::api::iam
