#include "api/sts/sts.h"

#include "api/input.h"

namespace fleetward::api::sts {
namespace {

using identity::Session;

constexpr StringRule kSessionName{.min = 2, .max = 64, .chars = &kIamNameChars};

json::object credentials_json(const Session& session) {
  return {{"AccessKeyId", session.access_key_id},
          {"SecretAccessKey", session.secret},
          {"SessionToken", session.token},
          {"Expiration", to_iso8601(session.expires)}};
}

Session new_session(const Dependencies& d, int64_t seconds) {
  Session out;
  out.access_key_id = identity::new_id(d.random, "ASIA").substr(0, 20);
  out.secret = identity::new_secret(d.random);
  out.token = d.random.text(128, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  out.expires = d.clock.now() + std::chrono::seconds(seconds);
  return out;
}

// Stores the session; drops those that ended, so that the table holds live ones only.
http::ApiResult<void> keep(const Dependencies& d, const Session& session) {
  const Status status = d.store.transact([&](state::Transaction& txn) -> Status {
    const Timestamp now = d.clock.now();
    std::vector<std::string> ended;
    txn.get(d.tables.sessions).visit_from("", [&](const auto& entry) {
      if (entry.value->expires < now) ended.push_back(entry.key);
      return true;
    });
    for (const std::string& key : ended) txn.erase(d.tables.sessions, key);
    if (txn.get(d.tables.sessions).size() >= d.sessions_max) {
      return fail(ErrorCode::kLimitExceeded,
                  "too many live sessions (" + std::to_string(d.sessions_max) + ")");
    }
    txn.put(d.tables.sessions, session.access_key_id, session);
    return {};
  });
  if (!status) return refuse(kStsStyle, status.error());
  return {};
}

http::ApiResult<json::object> get_caller_identity(const http::Call& call, const json::object& arguments) {
  if (auto ok = Input(arguments, kStsStyle).finish(); !ok) return tl::unexpected(ok.error());
  return json::object{{"UserId", call.caller.id}, {"Account", call.caller.account}, {"Arn", call.caller.arn}};
}

// The session policies of the request: inline text and managed ARNs.
http::ApiResult<std::vector<identity::Document>> session_policies(const Dependencies& d, Input& in) {
  std::vector<identity::Document> out;
  const auto text = in.string_opt("Policy", {.min = 1, .max = 2048});
  std::vector<std::string> arns;
  for (Input& item : in.objects_opt("PolicyArns", 10))
    arns.push_back(item.string("arn", {.min = 20, .max = 2048}));
  if (!in.ok()) return out;
  if (text) {
    auto document = identity::PolicyDocument::parse(*text, identity::kManagedRules);
    if (!document) return http::api_fail(400, "MalformedPolicyDocument", document.error().message);
    out.push_back(std::move(*document));
  }
  const auto snapshot = d.store.snapshot();
  for (const std::string& arn : arns) {
    const identity::ManagedPolicy* own =
        snapshot->get(d.tables.policies).find(identity::name_key(arn.substr(arn.rfind('/') + 1)));
    if (const identity::Document* known = identity::find_aws_managed_policy(arn)) {
      out.push_back(*known);
    } else if (own != nullptr && identity::policy_arn(d.authorizer.scope(), *own) == arn) {
      out.push_back(own->document());
    } else {
      return http::api_fail(400, "ValidationError", "Policy " + arn + " does not exist");
    }
  }
  return out;
}

http::ApiResult<json::object> assume_role(const Dependencies& d, const http::Call& call,
                                          const json::object& arguments) {
  Input in(arguments, kStsStyle);
  const std::string arn = in.string("RoleArn", {.min = 20, .max = 2048});
  const std::string session_name = in.string("RoleSessionName", kSessionName);
  const int64_t seconds = in.integer_or("DurationSeconds", 3600, 900, 43200);
  const auto external_id = in.string_opt("ExternalId", {.min = 2, .max = 1224});
  auto policies = session_policies(d, in);
  for (const char* name : {"Tags", "TransitiveTagKeys", "SerialNumber", "TokenCode", "SourceIdentity",
                           "ProvidedContexts", "MinimumSessionTokenSize"}) {
    in.unsupported(name);
  }
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (!policies) return tl::unexpected(policies.error());

  const auto snapshot = d.store.snapshot();
  const identity::Role* role =
      snapshot->get(d.tables.roles).find(identity::name_key(arn.substr(arn.rfind('/') + 1)));
  const http::ApiError denied{
      403,
      "AccessDenied",
      "User: " + call.caller.arn + " is not authorized to perform: sts:AssumeRole on resource: " + arn,
      {}};
  if (role == nullptr || identity::role_arn(d.authorizer.scope(), *role) != arn)
    return tl::unexpected(denied);
  identity::MapContext context;
  context.set("aws:SourceIp", std::string(call.source_address));
  if (external_id) context.set("sts:ExternalId", *external_id);
  if (!d.authorizer.authorize_assume_role(call.caller, *role, context)) return tl::unexpected(denied);
  const int64_t seconds_max =
      call.caller.kind == identity::Caller::Kind::kAssumedRole ? 3600 : role->max_session_seconds;
  if (seconds > seconds_max) {
    return refuse(kStsStyle,
                  "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
  }
  Session session = new_session(d, seconds);
  session.role = role->name;
  session.principal_id = role->id;
  session.session_name = session_name;
  session.session_policies = std::move(*policies);
  if (auto ok = keep(d, session); !ok) return tl::unexpected(ok.error());
  return json::object{{"Credentials", credentials_json(session)},
                      {"AssumedRoleUser",
                       json::object{{"AssumedRoleId", role->id + ":" + session_name},
                                    {"Arn", d.authorizer.scope().global_arn(
                                                "sts", "assumed-role/" + role->name + "/" + session_name)}}}};
}

http::ApiResult<json::object> get_session_token(const Dependencies& d, const http::Call& call,
                                                const json::object& arguments) {
  Input in(arguments, kStsStyle);
  const int64_t seconds = in.integer_or("DurationSeconds", 43200, 900, 129600);
  in.unsupported("SerialNumber");
  in.unsupported("TokenCode");
  in.unsupported("MinimumSessionTokenSize");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  // Else whoever finds a session's credentials could renew them for ever.
  if (call.caller.temporary) {
    return http::api_fail(403, "AccessDenied", "Cannot call GetSessionToken with session credentials");
  }
  Session session = new_session(d, seconds);
  session.user = call.caller.name;
  if (call.caller.kind == identity::Caller::Kind::kUser) session.principal_id = call.caller.id;
  if (auto ok = keep(d, session); !ok) return tl::unexpected(ok.error());
  return json::object{{"Credentials", credentials_json(session)}};
}

}  // namespace

http::Service service(const Dependencies& d) {
  http::Service out{.signing_name = "sts",
                    .protocol = http::Protocol::kQuery,
                    .target_prefix = {},
                    .xml_namespace = "https://sts.amazonaws.com/doc/2011-06-15/",
                    .operations = {}};
  // Anyone who signs may ask; AssumeRole decides by the role's trust.
  const auto add = [&](const char* name, auto run) {
    out.operations.push_back({.name = name, .run = run, .authorize = false});
  };
  add("GetCallerIdentity", get_caller_identity);
  add("AssumeRole", [d](const http::Call& call, const json::object& a) { return assume_role(d, call, a); });
  add("GetSessionToken",
      [d](const http::Call& call, const json::object& a) { return get_session_token(d, call, a); });
  for (const char* name : {"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "DecodeAuthorizationMessage",
                           "GetAccessKeyInfo", "GetFederationToken", "AssumeRoot"}) {
    out.operations.push_back({.name = name, .implemented = false});
  }
  return out;
}

}  // namespace fleetward::api::sts
