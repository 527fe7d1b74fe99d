#pragma once

#include "core/random.h"
#include "core/time.h"
#include "http/operation.h"
#include "identity/authorizer.h"
#include "identity/identities.h"
#include "state/store.h"

// AWS STS (Query protocol, API version 2011-06-15).
namespace fleetward::api::sts {

struct Dependencies {
  state::Store& store;
  const identity::Tables& tables;
  const identity::Authorizer& authorizer;
  const Clock& clock;
  Random& random;
  size_t sessions_max =
      10'000;  // live temporary credentials; beyond it new ones are refused with LimitExceeded
};

http::Service service(const Dependencies& dependencies);

}  // namespace fleetward::api::sts
