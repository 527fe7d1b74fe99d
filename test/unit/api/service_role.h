#pragma once

#include <string>

#include "identity/identities.h"

namespace fleetward::api {

// A role that `service` ("iot.amazonaws.com") may assume; without policies of its own.
inline identity::Role service_role(const std::string& name, const std::string& service) {
  identity::Role role;
  role.name = name;
  role.path = "/";
  role.trust = identity::PolicyDocument::parse(
                   R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
                       "Principal":{"Service":")" +
                       service + R"("}}]})",
                   identity::kTrustRules)
                   .value();
  return role;
}

}  // namespace fleetward::api
