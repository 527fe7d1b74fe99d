#include "api/s3/request.h"

#include <algorithm>

#include "api/s3/fields.h"
#include "core/encoding.h"

namespace fleetward::api::s3 {

http::Response xml_response(std::string body, int status) {
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/xml");
  response.body = std::move(body);
  return response;
}

http::Response empty_response(int status) {
  http::Response response;
  response.status = status;
  return response;
}

std::string quoted(std::string_view etag) {
  return "\"" + std::string(etag) + "\"";
}

std::string canonical_user_id(const AccountScope& scope) {
  return sha256_hex("canonical user of account " + scope.account.str());
}

ApiResult<size_t> page_size(const Request& request, std::string_view parameter, size_t max) {
  const auto* given = request.http.find_query(parameter);
  if (given == nullptr || given->value.empty()) return max;
  const auto value = parse_integer(given->value, INT64_MIN, INT64_MAX);
  if (!value)
    return s3_fail("InvalidArgument",
                   "Provided " + std::string(parameter) + " not an integer or within integer range");
  if (*value < 0 || *value > INT32_MAX) {
    return s3_fail("InvalidArgument",
                   "Argument " + std::string(parameter) + " must be an integer between 0 and 2147483647");
  }
  return std::min(static_cast<size_t>(*value), max);
}

ApiResult<bool> url_encoding(const Request& request) {
  const auto* given = request.http.find_query("encoding-type");
  if (given == nullptr || given->value.empty()) return false;
  if (given->value != "url")
    return s3_fail("InvalidArgument", "Invalid Encoding Method specified in Request");
  return true;
}

ApiStatus check_version_id(std::string_view version_id) {
  if (version_id.empty() || version_id == "null") return {};
  return s3_fail("NoSuchVersion", "The specified version does not exist.");
}

}  // namespace fleetward::api::s3
