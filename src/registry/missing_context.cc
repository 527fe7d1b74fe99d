#include "registry/missing_context.h"

#include <set>

#include "identity/policy_keys.h"
#include "registry/connection_context.h"

namespace fleetward::registry {

std::vector<std::string> missing_context(
    const state::Snapshot& snapshot, const DeviceAuthorizer& authorizer, const DeviceConnection& connection,
    const std::vector<std::shared_ptr<const identity::PolicyDocument>>& documents) {
  const Tables& tables = authorizer.tables();
  const auto policy = authorizer.compile(snapshot, connection);
  const ConnectionContext context(
      connection, snapshot.get(tables.certificates).find(connection.certificate_id),
      policy->thing().empty() ? nullptr : snapshot.get(tables.things).find(policy->thing()),
      policy->thing_is_attached());
  std::set<std::string> missing;
  for (const auto& document : documents) {
    for (const std::string& key : identity::context_keys(*document)) {
      if (context.find(key).empty()) missing.insert(key);
    }
  }
  return {missing.begin(), missing.end()};
}

}  // namespace fleetward::registry
