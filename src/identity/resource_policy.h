#pragma once

#include <string_view>

#include "identity/policy.h"

namespace fleetward::identity {

// What the policy of a resource (a bucket's) says to someone of the account that owns the resource. A Deny
// for the whole account stops everyone in it; an Allow for the account leaves the choice to the account's
// identity policies, so it admits nobody by itself.
Decision evaluate_resource_policy(const PolicyDocument& policy, Principal principal, std::string_view action,
                                  std::string_view resource, const RequestContext& context);

}  // namespace fleetward::identity
