#pragma once

#include <set>
#include <string>

#include "identity/policy.h"

namespace fleetward::identity {

// The context keys that a parsed document asks for, as it spells them: those of its conditions and of the
// ${variables} in its resources and condition values. Not for bound documents.
std::set<std::string> context_keys(const PolicyDocument& document);

}  // namespace fleetward::identity
