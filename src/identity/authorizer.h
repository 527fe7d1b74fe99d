#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"
#include "identity/caller.h"
#include "identity/identities.h"
#include "identity/policy.h"
#include "state/store.h"

namespace fleetward::identity {

// What a caller's own policies say, under one state of the control store.
struct CallerPolicies {
  bool everything = false;         // root
  std::vector<Document> grants;    // of the user or role
  std::vector<Document> boundary;  // of the session: unless empty, it must allow too
};
CallerPolicies policies_of(const state::Snapshot& snapshot, const Tables& tables, const Caller& caller);

// The condition keys that say who asks: aws:userid, aws:username, aws:PrincipalArn, ... None for the
// anonymous.
void add_caller(MapContext& context, const Caller& caller);

// Decides what API callers and the roles that services assume may do. Thread safe: works on the store's
// current snapshot. The services that this program plays are trusted to say which one they are.
class Authorizer {
 public:
  Authorizer(const state::Store& store, const Tables& tables, AccountScope scope);

  // May the caller do `action` on `resource`? Root may do everything. kPermissionDenied with AWS's canonical
  // sentence.
  Status authorize(const Caller& caller, std::string_view action, std::string_view resource,
                   const RequestContext& context) const;

  // The identity side alone, for services that also have resource policies (S3 buckets).
  Decision decide(const Caller& caller, std::string_view action, std::string_view resource,
                  const RequestContext& context) const;

  // A service assumes a role: the role exists, its trust policy admits the service (conditions such as
  // aws:SourceArn, aws:SourceAccount, sts:ExternalId come from the context) and its permissions allow the
  // action on the resource. kNotFound or kPermissionDenied with a sentence that names the role and what is
  // missing. `service` is "iot.amazonaws.com", "firehose.amazonaws.com", ... Cost: two policy evaluations;
  // callers on a hot path keep the answer until the snapshot's version changes. `resource_policy`: that of
  // the resource, if it has one: any Deny of role or resource refuses, an Allow of either admits.
  Status authorize_role(std::string_view role_arn, std::string_view service, std::string_view action,
                        std::string_view resource, const RequestContext& context,
                        const PolicyDocument* resource_policy = nullptr) const;

  // iam:PassRole of the caller on the role, for the service; the role must exist in this account.
  // kInvalidArgument: not a role ARN of this account, or no such role.
  Status authorize_pass_role(const Caller& caller, std::string_view role_arn, std::string_view service) const;

  // A caller (not a service) assumes a role: trust decides, and within one account either side's Allow is
  // enough.
  Status authorize_assume_role(const Caller& caller, const Role& role, const RequestContext& context) const;

  const AccountScope& scope() const { return scope_; }

 private:
  const Role* find_role(const state::Snapshot& snapshot, std::string_view role_arn) const;

  const state::Store& store_;
  Tables tables_;
  AccountScope scope_;
};

}  // namespace fleetward::identity
