#pragma once

#include <string_view>

#include "core/result.h"
#include "http/operation.h"

namespace fleetward::api {

// How one AWS service words its refusals. One constant per service; views are of static text.
struct ServiceStyle {
  struct Name {
    int status;
    std::string_view name;
  };
  Name invalid;  // kInvalidArgument, kMalformed, kUnimplemented: and what Input answers
  Name not_found, already_exists, conflict, version_conflict, unauthenticated, denied, limit, throttled,
      unavailable, internal;
  // SNS says "Invalid parameter: <member> Reason: <why>"; the others "1 validation error detected: ...".
  bool sns_wording = false;
  // Query protocol: numbers, booleans and empty lists arrive as text.
  bool text_scalars = false;
};

extern const ServiceStyle kIotStyle;
extern const ServiceStyle kIotDataStyle;
extern const ServiceStyle kFirehoseStyle;
extern const ServiceStyle kIamStyle;
extern const ServiceStyle kStsStyle;
extern const ServiceStyle kSnsStyle;

// The service's name and status for an error of the rooms below. kCorrupt and kInternal do not show their
// message to the client.
http::ApiError to_api_error(const ServiceStyle& style, const Error& error);
// As a failed result: `return api::refuse(kIotStyle, thing.error());`
inline tl::unexpected<http::ApiError> refuse(const ServiceStyle& style, const Error& error) {
  return tl::unexpected<http::ApiError>(to_api_error(style, error));
}
// The service's validation error: `return api::refuse(kIotStyle, "endpointType must be ...");`
inline tl::unexpected<http::ApiError> refuse(const ServiceStyle& style, std::string message) {
  return http::api_fail(style.invalid.status, std::string(style.invalid.name), std::move(message));
}
inline tl::unexpected<http::ApiError> not_found(const ServiceStyle& style, std::string message) {
  return http::api_fail(style.not_found.status, std::string(style.not_found.name), std::move(message));
}

}  // namespace fleetward::api
