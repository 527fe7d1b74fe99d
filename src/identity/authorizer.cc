#include "identity/authorizer.h"

#include <utility>

#include "identity/resource_policy.h"

namespace fleetward::identity {
namespace {

Error denied(std::string_view who, std::string_view action, std::string_view resource, bool explicit_deny,
             std::string_view kind = "an identity-based") {
  std::string text = "User: ";
  text.append(who).append(" is not authorized to perform: ").append(action);
  text.append(" on resource: ").append(resource);
  if (explicit_deny) {
    text.append(" with an explicit deny in ").append(kind).append(" policy");
  } else {
    text.append(" because no identity-based policy allows the ").append(action).append(" action");
  }
  return {ErrorCode::kPermissionDenied, std::move(text)};
}

// The condition keys of the role's own request, over those of the service that assumed it.
class RoleContext final : public RequestContext {
 public:
  RoleContext(const RequestContext& below, std::string_view role_arn, const std::string& account)
      : below_(below) {
    own_.set("aws:PrincipalArn", std::string(role_arn));
    own_.set("aws:PrincipalAccount", account);
    own_.set("aws:PrincipalType", "AssumedRole");
    own_.set("aws:SecureTransport", "true");  // the request does not leave the process
  }
  std::span<const std::string> find(std::string_view key) const override {
    const auto own = own_.find(key);
    return own.empty() ? below_.find(key) : own;
  }

 private:
  const RequestContext& below_;
  MapContext own_;
};

std::vector<Document> documents_of(const state::Snapshot& snapshot, const Tables& tables,
                                   const Grants& grants) {
  std::vector<Document> out;
  for (const auto& [name, document] : grants.inline_policies) out.push_back(document);
  for (const std::string& arn : grants.attached) {
    if (const Document* known = find_aws_managed_policy(arn)) {
      out.push_back(*known);
      continue;
    }
    const std::string_view name = std::string_view(arn).substr(arn.rfind('/') + 1);
    if (const ManagedPolicy* policy = snapshot.get(tables.policies).find(name_key(name))) {
      out.push_back(policy->document());
    }
  }
  return out;
}

}  // namespace

CallerPolicies policies_of(const state::Snapshot& snapshot, const Tables& tables, const Caller& caller) {
  CallerPolicies out;
  if (caller.kind == Caller::Kind::kRoot) out.everything = true;
  if (caller.kind == Caller::Kind::kUser) {
    const User* user = snapshot.get(tables.users).find(name_key(caller.name));
    if (user != nullptr) out.grants = documents_of(snapshot, tables, user->grants);
  } else if (caller.kind == Caller::Kind::kAssumedRole) {
    const Role* role = snapshot.get(tables.roles).find(name_key(caller.name));
    if (role != nullptr) out.grants = documents_of(snapshot, tables, role->grants);
  }
  if (out.grants.empty()) return out;
  const Session* session = snapshot.get(tables.sessions).find(caller.access_key_id);
  if (session != nullptr) out.boundary = session->session_policies;
  return out;
}

void add_caller(MapContext& context, const Caller& caller) {
  if (caller.kind == Caller::Kind::kAnonymous) return;
  context.set("aws:PrincipalArn", caller.arn);
  context.set("aws:PrincipalAccount", caller.account);
  context.set("aws:userid", caller.id);
  switch (caller.kind) {
    case Caller::Kind::kRoot:
      context.set("aws:PrincipalType", "Account");
      break;
    case Caller::Kind::kUser:
      context.set("aws:PrincipalType", "User");
      context.set("aws:username", caller.name);
      break;
    default:
      context.set("aws:PrincipalType", "AssumedRole");
  }
}

Authorizer::Authorizer(const state::Store& store, const Tables& tables, AccountScope scope)
    : store_(store), tables_(tables), scope_(std::move(scope)) {}

const Role* Authorizer::find_role(const state::Snapshot& snapshot, std::string_view arn) const {
  const auto parts = parse_arn(arn);
  if (!parts || parts->service != "iam" || parts->resource.substr(0, 5) != "role/") return nullptr;
  const std::string_view name = parts->resource.substr(parts->resource.rfind('/') + 1);
  const Role* role = snapshot.get(tables_.roles).find(name_key(name));
  return role != nullptr && role_arn(scope_, *role) == arn ? role : nullptr;
}

Decision Authorizer::decide(const Caller& caller, std::string_view action, std::string_view resource,
                            const RequestContext& context) const {
  const CallerPolicies policies = policies_of(*store_.snapshot(), tables_, caller);
  if (policies.everything) return Decision::kAllow;
  const Decision decision = evaluate_all(policies.grants, action, resource, context);
  if (decision != Decision::kAllow || policies.boundary.empty()) return decision;
  return evaluate_all(policies.boundary, action, resource, context);
}

Status Authorizer::authorize(const Caller& caller, std::string_view action, std::string_view resource,
                             const RequestContext& context) const {
  const Decision decision = decide(caller, action, resource, context);
  if (decision == Decision::kAllow) return {};
  const std::string_view who =
      caller.arn.empty() ? std::string_view("anonymous") : std::string_view(caller.arn);
  return fail(denied(who, action, resource, decision == Decision::kDeny));
}

Status Authorizer::authorize_role(std::string_view arn, std::string_view service, std::string_view action,
                                  std::string_view resource, const RequestContext& context,
                                  const PolicyDocument* resource_policy) const {
  const state::SnapshotPtr snapshot = store_.snapshot();
  const Role* role = find_role(*snapshot, arn);
  if (role == nullptr) return fail(ErrorCode::kNotFound, "the role " + std::string(arn) + " does not exist");
  const Principal principal{.service = std::string(service)};
  if (role->trust->evaluate("sts:AssumeRole", arn, context, &principal) != Decision::kAllow) {
    return fail(ErrorCode::kPermissionDenied, "the trust policy of " + std::string(arn) + " does not let " +
                                                  std::string(service) + " assume it");
  }
  const std::string account = scope_.account.str();
  const RoleContext own(context, arn, account);
  const Decision by_role =
      evaluate_all(documents_of(*snapshot, tables_, role->grants), action, resource, own);
  Decision by_resource = Decision::kNoMatch;
  if (resource_policy != nullptr) {
    // The session is called by the service's first word.
    const std::string session = "arn:aws:sts::" + account + ":assumed-role/" + role->name + "/" +
                                std::string(service.substr(0, service.find('.')));
    by_resource = evaluate_resource_policy(*resource_policy,
                                           {.arn = session, .role_arn = std::string(arn), .account = account},
                                           action, resource, own);
  }
  if (by_resource == Decision::kDeny) return fail(denied(arn, action, resource, true, "a resource-based"));
  if (by_role == Decision::kDeny) return fail(denied(arn, action, resource, true));
  if (by_role == Decision::kAllow || by_resource == Decision::kAllow) return {};
  return fail(denied(arn, action, resource, false));
}

Status Authorizer::authorize_pass_role(const Caller& caller, std::string_view arn,
                                       std::string_view service) const {
  const state::SnapshotPtr snapshot = store_.snapshot();
  if (find_role(*snapshot, arn) == nullptr) {
    return fail(ErrorCode::kInvalidArgument, "there is no role " + std::string(arn) + " in this account");
  }
  MapContext context;
  context.set("iam:PassedToService", std::string(service));
  return authorize(caller, "iam:PassRole", arn, context);
}

Status Authorizer::authorize_assume_role(const Caller& caller, const Role& role,
                                         const RequestContext& context) const {
  const std::string arn = role_arn(scope_, role);
  const Principal principal{.arn = caller.arn, .role_arn = caller.role_arn, .account = caller.account};
  const Decision trust = role.trust->evaluate("sts:AssumeRole", arn, context, &principal);
  const Decision own = decide(caller, "sts:AssumeRole", arn, context);
  // Trust in the account as a whole delegates to its identity policies, so both sides are asked; root needs
  // none.
  if (trust == Decision::kAllow && own == Decision::kAllow) return {};
  return fail(denied(caller.arn, "sts:AssumeRole", arn, trust == Decision::kDeny || own == Decision::kDeny));
}

}  // namespace fleetward::identity
