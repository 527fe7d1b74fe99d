#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "identity/caller.h"
#include "identity/policy.h"
#include "state/store.h"

namespace fleetward::identity {

class Identities;  // the store's tables: users, roles, access keys, policies (identities.h)

// Decides what API callers and the roles that services assume may do. Thread safe: works on the store's
// current snapshot.
class Authorizer {
 public:
  Authorizer(const state::Store& store, const Identities& identities);

  // May the caller do `action` on `resource`? Root may do everything. kPermissionDenied with AWS's canonical
  // sentence.
  Status authorize(const Caller& caller, std::string_view action, std::string_view resource,
                   const RequestContext& context) const;

  // A service assumes a role: the role exists, its trust policy admits the service (with aws:SourceArn,
  // aws:SourceAccount, sts:ExternalId from the context) and its permissions allow the action. kNotFound or
  // kPermissionDenied with a sentence that names the role and what is missing. `service` is
  // "iot.amazonaws.com", "firehose.amazonaws.com", ...
  Status authorize_role(std::string_view role_arn, std::string_view service, std::string_view action,
                        std::string_view resource, const RequestContext& context) const;

  // iam:PassRole of the caller on the role for the service; the role must exist in this account.
  Status authorize_pass_role(const Caller& caller, std::string_view role_arn, std::string_view service) const;

 private:
  const state::Store& store_;
  const Identities& identities_;
};

}  // namespace fleetward::identity
