#pragma once

#include <string>

#include "http/operation.h"
#include "lake/errors.h"

namespace fleetward::api::s3 {

using http::ApiError;
using http::ApiResult;
using ApiStatus = http::ApiResult<void>;

// An error of S3 by its code, with the status that goes with it.
tl::unexpected<ApiError> s3_fail(std::string code, std::string message);
// A documented feature that is not here.
tl::unexpected<ApiError> not_implemented(std::string_view what);
// What the store refused, as S3 names it.
tl::unexpected<ApiError> store_fail(const lake::StoreError& error);

}  // namespace fleetward::api::s3
