#include "api/iam/iam.h"

namespace fleetward::api::iam {
namespace {

using identity::AccessKey;

constexpr StringRule kKeyId{.min = 16, .max = 128, .chars = &kNameChars};
constexpr size_t kKeysPerUserMax = 2;

// The user whose keys are meant: the UserName member, else the caller itself (empty: root).
http::ApiResult<std::string> owner(const Dependencies& d, const state::Snapshot& snapshot,
                                   const http::Call& call, const std::optional<std::string>& name) {
  if (!name) {
    // A role's name is not a user's, though there may be a user of that name.
    if (call.caller.kind == identity::Caller::Kind::kAssumedRole) {
      return http::api_fail(400, "ValidationError",
                            "Must specify userName when calling with non-User credentials");
    }
    return call.caller.name;
  }
  const identity::User* user = snapshot.get(d.tables.users).find(identity::name_key(*name));
  if (user == nullptr) return tl::unexpected(no_such("user", *name));
  return user->name;
}

std::vector<const AccessKey*> keys_of(const state::Map<AccessKey>& keys, const std::string& user) {
  std::vector<const AccessKey*> out;
  keys.visit_from("", [&](const auto& entry) {
    if (entry.value->user == user) out.push_back(entry.value.get());
    return true;
  });
  return out;
}

json::object key_json(const AccessKey& key) {
  json::object out{{"AccessKeyId", key.id},
                   {"Status", key.active ? "Active" : "Inactive"},
                   {"CreateDate", to_iso8601(key.created)}};
  if (!key.user.empty()) out["UserName"] = key.user;
  return out;
}

http::ApiResult<json::object> create(const Dependencies& d, const http::Call& call,
                                     const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const auto name = in.string_opt("UserName", kEntityName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const auto user = owner(d, *snapshot, call, name);
  if (!user) return tl::unexpected(user.error());
  const AccessKey key{identity::new_id(d.random, "AKIA").substr(0, 20), identity::new_secret(d.random), *user,
                      true, d.clock.now()};
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    if (keys_of(txn.get(d.tables.access_keys), *user).size() >= kKeysPerUserMax) {
      return http::api_fail(409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2");
    }
    txn.put(d.tables.access_keys, key.id, key);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  json::object shown = key_json(key);
  shown["SecretAccessKey"] = key.secret;
  return json::object{{"AccessKey", std::move(shown)}};
}

http::ApiResult<json::object> list(const Dependencies& d, const http::Call& call,
                                   const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const auto name = in.string_opt("UserName", kEntityName);
  read_page(in, "ListAccessKeys");  // at most 2 a user: always one page
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const auto user = owner(d, *snapshot, call, name);
  if (!user) return tl::unexpected(user.error());
  json::array shown;
  for (const AccessKey* key : keys_of(snapshot->get(d.tables.access_keys), *user))
    shown.push_back(key_json(*key));
  json::object out{{"AccessKeyMetadata", std::move(shown)}};
  put_page(out, "");
  return out;
}

// Finds the key of the user, then lets `change` act on it.
http::ApiResult<json::object> on_key(const Dependencies& d, const http::Call& call,
                                     const std::optional<std::string>& name, const std::string& id,
                                     const std::function<void(state::Transaction&, AccessKey)>& change) {
  const auto snapshot = d.store.snapshot();
  const auto user = owner(d, *snapshot, call, name);
  if (!user) return tl::unexpected(user.error());
  auto ok = transact(d.store, kIamStyle, [&](state::Transaction& txn) -> http::ApiResult<void> {
    const AccessKey* key = txn.get(d.tables.access_keys).find(id);
    if (key == nullptr || key->user != *user) return tl::unexpected(no_such("access key", id));
    change(txn, *key);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

http::ApiResult<json::object> update(const Dependencies& d, const http::Call& call,
                                     const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const auto name = in.string_opt("UserName", kEntityName);
  const std::string id = in.string("AccessKeyId", kKeyId);
  const std::string status = in.one_of("Status", {"Active", "Inactive"});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return on_key(d, call, name, id, [&](state::Transaction& txn, AccessKey key) {
    key.active = status == "Active";
    txn.put(d.tables.access_keys, id, std::move(key));
  });
}

http::ApiResult<json::object> remove(const Dependencies& d, const http::Call& call,
                                     const json::object& arguments) {
  Input in(arguments, kIamStyle);
  const auto name = in.string_opt("UserName", kEntityName);
  const std::string id = in.string("AccessKeyId", kKeyId);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return on_key(d, call, name, id,
                [&](state::Transaction& txn, const AccessKey&) { txn.erase(d.tables.access_keys, id); });
}

}  // namespace

std::vector<http::Operation> access_key_operations(const Dependencies& d) {
  const auto make = [&](const char* name, auto run) {
    return http::Operation{
        .name = name,
        .resource = [d](const json::object& a) { return user_resource(d, a); },
        .run = [d, run](const http::Call& call,
                        const json::object& arguments) { return run(d, call, arguments); }};
  };
  return {make("CreateAccessKey", create), make("ListAccessKeys", list), make("UpdateAccessKey", update),
          make("DeleteAccessKey", remove)};
}

}  // namespace fleetward::api::iam
