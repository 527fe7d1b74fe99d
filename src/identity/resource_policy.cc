#include "identity/resource_policy.h"

namespace fleetward::identity {

Decision evaluate_resource_policy(const PolicyDocument& policy, Principal principal, std::string_view action,
                                  std::string_view resource, const RequestContext& context) {
  const Decision whole = policy.evaluate(action, resource, context, &principal);
  if (whole != Decision::kAllow) return whole;
  principal.account.clear();
  return policy.evaluate(action, resource, context, &principal);
}

}  // namespace fleetward::identity
