#pragma once

#include <string>
#include <string_view>

#include "api/s3/access.h"
#include "api/s3/address.h"
#include "api/s3/errors.h"
#include "core/ids.h"
#include "core/time.h"
#include "http/message.h"
#include "http/s3_handler.h"
#include "lake/object_store.h"

namespace fleetward::api::s3 {

// What every S3 operation works on.
struct Environment {
  lake::ObjectStore& store;
  const Access& access;
  const AccountScope& scope;
};

// One request, after routing and authorization of its own action and resource.
struct Request {
  http::S3Request& http;
  const Address address;

  const std::string& bucket() const { return address.bucket; }
  const std::string& key() const { return address.key; }
  bool has_query(std::string_view name) const { return http.find_query(name) != nullptr; }
  // Empty if absent.
  std::string query(std::string_view name) const {
    const auto* parameter = http.find_query(name);
    return parameter == nullptr ? std::string() : parameter->value;
  }
  std::string header(std::string_view name) const { return std::string(http.headers.get(name)); }
};

using ApiResponse = ApiResult<http::Response>;
using Handler = ApiResponse (*)(const Environment& environment, Request& request);

// Answers.
http::Response xml_response(std::string body, int status = 200);
http::Response empty_response(int status);
std::string quoted(std::string_view etag);

// The account as S3 shows owners: a canonical user id, 64 hex digits.
std::string canonical_user_id(const AccountScope& scope);

// Query parameters of listings. InvalidArgument unless it is an integer from 0 to INT32_MAX; capped at `max`.
ApiResult<size_t> page_size(const Request& request, std::string_view parameter, size_t max);
// True: keys are percent-encoded in the answer. InvalidArgument unless absent or "url".
ApiResult<bool> url_encoding(const Request& request);
// Only unversioned objects exist here, whose version is "null".
ApiStatus check_version_id(std::string_view version_id);

}  // namespace fleetward::api::s3
