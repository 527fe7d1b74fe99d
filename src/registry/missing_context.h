#pragma once

#include <memory>
#include <string>
#include <vector>

#include "identity/policy.h"
#include "registry/device_authorizer.h"

namespace fleetward::registry {

// The context keys that these documents ask for and that the connection does not have (TestAuthorization's
// missingContextValues), in order of name.
std::vector<std::string> missing_context(
    const state::Snapshot& snapshot, const DeviceAuthorizer& authorizer, const DeviceConnection& connection,
    const std::vector<std::shared_ptr<const identity::PolicyDocument>>& documents);

}  // namespace fleetward::registry
