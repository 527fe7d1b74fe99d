#include "identity/identities.h"

#include <array>

#include "core/text.h"

namespace fleetward::identity {
namespace {

json::object tags_to_json(const Tags& tags) {
  json::object out;
  for (const auto& [name, value] : tags) out[name] = value;
  return out;
}

Tags tags_from_json(const json::object& o) {
  Tags out;
  if (const json::object* tags = json::find_object(o, "tags")) {
    for (const auto& member : *tags) out[std::string(member.key())] = std::string(member.value().as_string());
  }
  return out;
}

json::object grants_to_json(const Grants& grants) {
  json::object inline_policies;
  for (const auto& [name, document] : grants.inline_policies) inline_policies[name] = document->text();
  json::array attached;
  for (const std::string& arn : grants.attached) attached.emplace_back(arn);
  return {{"inline", std::move(inline_policies)}, {"attached", std::move(attached)}};
}

Result<Grants> grants_from_json(const json::object& o) {
  Grants out;
  const json::object* source = json::find_object(o, "grants");
  if (source == nullptr) return out;
  if (const json::object* inline_policies = json::find_object(*source, "inline")) {
    for (const auto& member : *inline_policies) {
      auto document = PolicyDocument::parse(std::string_view(member.value().as_string()), kInlineRules);
      if (!document) return fail(document.error());
      out.inline_policies[std::string(member.key())] = std::move(*document);
    }
  }
  if (const json::array* attached = json::find_array(*source, "attached")) {
    for (const json::value& arn : *attached) out.attached.emplace_back(arn.as_string());
  }
  return out;
}

std::string text(const json::object& o, std::string_view name) {
  return std::string(json::string_or(o, name));
}
Timestamp time(const json::object& o, std::string_view name) {
  return {json::int_or(o, name, 0)};
}

json::object user_to_json(const User& u) {
  return {{"name", u.name},
          {"path", u.path},
          {"id", u.id},
          {"created", u.created.ms},
          {"tags", tags_to_json(u.tags)},
          {"grants", grants_to_json(u.grants)}};
}

Result<User> user_from_json(const json::object& o) {
  auto grants = grants_from_json(o);
  if (!grants) return fail(grants.error());
  return User{text(o, "name"),    text(o, "path"),   text(o, "id"),
              time(o, "created"), tags_from_json(o), std::move(*grants)};
}

json::object role_to_json(const Role& r) {
  return {{"name", r.name},
          {"path", r.path},
          {"id", r.id},
          {"created", r.created.ms},
          {"description", r.description},
          {"maxSessionSeconds", r.max_session_seconds},
          {"trust", r.trust->text()},
          {"tags", tags_to_json(r.tags)},
          {"grants", grants_to_json(r.grants)}};
}

Result<Role> role_from_json(const json::object& o) {
  auto grants = grants_from_json(o);
  if (!grants) return fail(grants.error());
  auto trust = PolicyDocument::parse(json::string_or(o, "trust"), kTrustRules);
  if (!trust) return fail(trust.error());
  return Role{text(o, "name"),        text(o, "path"),
              text(o, "id"),          time(o, "created"),
              text(o, "description"), static_cast<int>(json::int_or(o, "maxSessionSeconds", 3600)),
              std::move(*trust),      tags_from_json(o),
              std::move(*grants)};
}

json::object policy_to_json(const ManagedPolicy& p) {
  json::array versions;
  for (const auto& v : p.versions) {
    versions.push_back(
        json::object{{"id", v.id}, {"document", v.document->text()}, {"created", v.created.ms}});
  }
  return {{"name", p.name},
          {"path", p.path},
          {"id", p.id},
          {"description", p.description},
          {"created", p.created.ms},
          {"updated", p.updated.ms},
          {"defaultVersion", p.default_version},
          {"nextVersion", p.next_version},
          {"versions", std::move(versions)},
          {"tags", tags_to_json(p.tags)}};
}

Result<ManagedPolicy> policy_from_json(const json::object& o) {
  ManagedPolicy out{.name = text(o, "name"),
                    .path = text(o, "path"),
                    .id = text(o, "id"),
                    .description = text(o, "description"),
                    .created = time(o, "created"),
                    .updated = time(o, "updated"),
                    .default_version = text(o, "defaultVersion"),
                    .next_version = static_cast<int>(json::int_or(o, "nextVersion", 1)),
                    .tags = tags_from_json(o)};
  if (const json::array* versions = json::find_array(o, "versions")) {
    for (const json::value& element : *versions) {
      const json::object& v = element.as_object();
      auto document = PolicyDocument::parse(json::string_or(v, "document"), kManagedRules);
      if (!document) return fail(document.error());
      out.versions.push_back({text(v, "id"), std::move(*document), time(v, "created")});
    }
  }
  if (out.versions.empty()) return fail(ErrorCode::kCorrupt, "managed policy without a version");
  return out;
}

json::object access_key_to_json(const AccessKey& k) {
  return {
      {"id", k.id}, {"secret", k.secret}, {"user", k.user}, {"active", k.active}, {"created", k.created.ms}};
}

Result<AccessKey> access_key_from_json(const json::object& o) {
  return AccessKey{text(o, "id"), text(o, "secret"), text(o, "user"), json::bool_or(o, "active", false),
                   time(o, "created")};
}

json::object session_to_json(const Session& s) {
  json::array policies;
  for (const Document& d : s.session_policies) policies.emplace_back(d->text());
  return {{"id", s.access_key_id},
          {"secret", s.secret},
          {"token", s.token},
          {"role", s.role},
          {"session", s.session_name},
          {"user", s.user},
          {"principal", s.principal_id},
          {"expires", s.expires.ms},
          {"policies", std::move(policies)}};
}

Result<Session> session_from_json(const json::object& o) {
  Session out{text(o, "id"),        text(o, "secret"),  text(o, "token"),
              text(o, "role"),      text(o, "session"), text(o, "user"),
              text(o, "principal"), time(o, "expires"), {}};
  if (const json::array* policies = json::find_array(o, "policies")) {
    for (const json::value& p : *policies) {
      auto document = PolicyDocument::parse(std::string_view(p.as_string()), kManagedRules);
      if (!document) return fail(document.error());
      out.session_policies.push_back(std::move(*document));
    }
  }
  return out;
}

struct AwsManaged {
  std::string_view arn;
  std::string_view actions;  // JSON
};
constexpr std::array kAwsManaged = {
    AwsManaged{"arn:aws:iam::aws:policy/AWSIoTFullAccess", R"(["iot:*","iotjobsdata:*"])"},
    AwsManaged{"arn:aws:iam::aws:policy/AdministratorAccess", R"("*")"},
    AwsManaged{"arn:aws:iam::aws:policy/AmazonKinesisFirehoseFullAccess", R"("firehose:*")"},
    AwsManaged{"arn:aws:iam::aws:policy/AmazonS3FullAccess", R"("s3:*")"},
    AwsManaged{"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", R"(["s3:Get*","s3:List*"])"},
    AwsManaged{"arn:aws:iam::aws:policy/AmazonSNSFullAccess", R"("sns:*")"},
    AwsManaged{"arn:aws:iam::aws:policy/IAMFullAccess", R"("iam:*")"},
};

}  // namespace

const Document& ManagedPolicy::document() const {
  for (const Version& version : versions) {
    if (version.id == default_version) return version.document;
  }
  return versions.back().document;
}

Tables Tables::add_to(state::Store& store) {
  return {store.add_table<User>({"iam_users", user_to_json, user_from_json}),
          store.add_table<Role>({"iam_roles", role_to_json, role_from_json}),
          store.add_table<ManagedPolicy>({"iam_policies", policy_to_json, policy_from_json}),
          store.add_table<AccessKey>({"iam_access_keys", access_key_to_json, access_key_from_json}),
          store.add_table<Session>({"sts_sessions", session_to_json, session_from_json})};
}

std::string name_key(std::string_view name) {
  return to_lower(name);
}

std::string user_arn(const AccountScope& scope, const User& user) {
  return scope.global_arn("iam", "user" + user.path + user.name);
}
std::string role_arn(const AccountScope& scope, const Role& role) {
  return scope.global_arn("iam", "role" + role.path + role.name);
}
std::string policy_arn(const AccountScope& scope, const ManagedPolicy& policy) {
  return scope.global_arn("iam", "policy" + policy.path + policy.name);
}

std::string new_id(Random& random, std::string_view prefix) {
  return std::string(prefix) + random.text(17, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
}

std::string new_secret(Random& random) {
  return random.text(40, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
}

const Document* find_aws_managed_policy(std::string_view arn) {
  // Built once; documents are immutable.
  static const std::map<std::string, Document, std::less<>> kDocuments = [] {
    std::map<std::string, Document, std::less<>> out;
    for (const AwsManaged& row : kAwsManaged) {
      const std::string text = R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":)" +
                               std::string(row.actions) + R"(,"Resource":"*"}]})";
      if (auto document = PolicyDocument::parse(text, kManagedRules))
        out.emplace(row.arn, std::move(*document));
    }
    return out;
  }();
  const auto it = kDocuments.find(arn);
  return it == kDocuments.end() ? nullptr : &it->second;
}

std::vector<std::string> aws_managed_policy_arns() {
  std::vector<std::string> out;
  for (const AwsManaged& row : kAwsManaged) out.emplace_back(row.arn);
  return out;
}

namespace {

Result<Caller> user_caller(const state::Snapshot& snapshot, const Tables& tables, const AccountScope& scope,
                           const std::string& name) {
  Caller caller{.account = scope.account.str()};
  if (name.empty()) {
    caller.kind = Caller::Kind::kRoot;
    caller.arn = scope.global_arn("iam", "root");
    caller.id = scope.account.str();
    return caller;
  }
  const User* user = snapshot.get(tables.users).find(name_key(name));
  if (user == nullptr) return fail(ErrorCode::kUnauthenticated, "the user of this access key is gone");
  caller.kind = Caller::Kind::kUser;
  caller.arn = user_arn(scope, *user);
  caller.id = user->id;
  caller.name = user->name;
  return caller;
}

}  // namespace

Result<Credentials> find_credentials(const state::Snapshot& snapshot, const Tables& tables,
                                     const AccountScope& scope, std::string_view access_key_id) {
  if (const AccessKey* key = snapshot.get(tables.access_keys).find(access_key_id)) {
    if (!key->active) return fail(ErrorCode::kUnauthenticated, "the access key is inactive");
    auto caller = user_caller(snapshot, tables, scope, key->user);
    if (!caller) return fail(caller.error());
    caller->access_key_id = key->id;
    return Credentials{key->secret, {}, {}, std::move(*caller)};
  }
  const Session* session = snapshot.get(tables.sessions).find(access_key_id);
  if (session == nullptr) return fail(ErrorCode::kUnauthenticated, "the access key is not known");
  Caller caller{.account = scope.account.str()};
  if (session->role.empty()) {
    auto owner = user_caller(snapshot, tables, scope, session->user);
    if (!owner) return fail(owner.error());
    if (owner->kind == Caller::Kind::kUser && owner->id != session->principal_id) {
      return fail(ErrorCode::kUnauthenticated, "the user of this session is gone");
    }
    caller = std::move(*owner);
  } else {
    const Role* role = snapshot.get(tables.roles).find(name_key(session->role));
    if (role == nullptr || role->id != session->principal_id) {
      return fail(ErrorCode::kUnauthenticated, "the role of this session is gone");
    }
    caller.kind = Caller::Kind::kAssumedRole;
    caller.arn = scope.global_arn("sts", "assumed-role/" + role->name + "/" + session->session_name);
    caller.id = role->id + ":" + session->session_name;
    caller.name = role->name;
    caller.role_arn = role_arn(scope, *role);
  }
  caller.temporary = true;
  caller.access_key_id = session->access_key_id;
  return Credentials{session->secret, session->token, session->expires, std::move(caller)};
}

}  // namespace fleetward::identity
