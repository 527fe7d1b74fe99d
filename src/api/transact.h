#pragma once

#include <functional>

#include "api/service_style.h"
#include "http/operation.h"
#include "state/store.h"

namespace fleetward::api {

// Runs `change` in a transaction of the control store. An ApiError that it returns is handed on as it is and
// nothing is written; a failure of the store itself becomes the service's own error.
http::ApiResult<void> transact(state::Store& store, const ServiceStyle& style,
                               const std::function<http::ApiResult<void>(state::Transaction&)>& change);

}  // namespace fleetward::api
