#pragma once

#include <string>
#include <string_view>

#include "http/message.h"
#include "http/operation.h"
#include "http/sigv4.h"

// Results and errors in the wire form of each protocol.
namespace fleetward::http {

Response answer_result(const Service& service, const Operation& operation, const json::object& result,
                       std::string_view request_id);
// `xml_namespace` is used by the Query protocol only.
Response answer_error(Protocol protocol, std::string_view xml_namespace, const ApiError& error,
                      std::string_view request_id);

// The error AWS answers in that protocol for a signature that was refused.
ApiError auth_api_error(Protocol protocol, const AuthError& error);
ApiError auth_s3_error(const AuthError& error, std::string_view expected_region);
// An IAM denial; `message` is the Authorizer's sentence.
ApiError denied_error(const Service& service, std::string message);
ApiError overloaded_error(Protocol protocol);
ApiError too_large_error(Protocol protocol);
ApiError internal_error(Protocol protocol);

}  // namespace fleetward::http
