#include "lake/remote_answer.h"

#include <algorithm>

#include "core/encoding.h"

namespace fleetward::lake {
namespace {

constexpr size_t kMessageMax = 500;

// The text of the first <name> element; printable characters only, so that it can stand in a log line.
std::string element(std::string_view body, std::string_view name) {
  const std::string open = "<" + std::string(name) + ">";
  const size_t start = body.find(open);
  if (start == std::string_view::npos) return {};
  const std::string_view rest = body.substr(start + open.size());
  std::string text(rest.substr(0, std::min(rest.find('<'), kMessageMax)));
  std::replace_if(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x20; }, ' ');
  return text;
}

ErrorCode code_of(long status, std::string_view name) {
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (is({"SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "InvalidToken",
          "RequestTimeTooSkewed", "AuthorizationHeaderMalformed"})) {
    return ErrorCode::kUnauthenticated;
  }
  if (is({"SlowDown", "Throttling", "TooManyRequests"}) || status == 429) return ErrorCode::kThrottled;
  if (is({"RequestTimeout", "OperationAborted", "ConditionalRequestConflict"}))
    return ErrorCode::kUnavailable;
  if (is({"EntityTooLarge", "QuotaExceeded"}) || status == 413) return ErrorCode::kLimitExceeded;
  if (status == 401) return ErrorCode::kUnauthenticated;
  if (status == 403) return ErrorCode::kPermissionDenied;
  if (status == 404) return ErrorCode::kNotFound;
  if (status == 408 || status >= 500)
    return status == 501 ? ErrorCode::kUnimplemented : ErrorCode::kUnavailable;
  return ErrorCode::kInvalidArgument;
}

}  // namespace

Error classify_answer(std::string_view what, long status, std::string_view body) {
  const std::string name = element(body, "Code");
  std::string message = std::string(what) + ": the outside S3 answered " + std::to_string(status);
  if (!name.empty()) message += " " + name;
  if (const std::string text = element(body, "Message"); !text.empty()) message += ": " + text;
  return {code_of(status, name), std::move(message)};
}

bool may_pass(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kThrottled;
}

RemoteTarget remote_target(std::string_view endpoint, bool path_style, std::string_view bucket,
                           std::string_view key) {
  while (!endpoint.empty() && endpoint.back() == '/') endpoint.remove_suffix(1);
  const size_t host_at = endpoint.find("://") + 3;
  RemoteTarget target;
  target.host = std::string(endpoint.substr(host_at));
  // A certificate of "*.endpoint" does not cover a bucket name with dots.
  const bool dotted = host_at == 8 && bucket.find('.') != std::string_view::npos;
  if (path_style || dotted) {
    target.raw_path = "/" + percent_encode(bucket);
    if (!key.empty()) target.raw_path += "/" + percent_encode(key, true);
  } else {
    target.host = std::string(bucket) + "." + target.host;
    target.raw_path = "/" + percent_encode(key, true);
  }
  target.url = std::string(endpoint.substr(0, host_at)) + target.host + target.raw_path;
  return target;
}

Status check_endpoint(std::string_view endpoint) {
  const bool http = endpoint.substr(0, 7) == "http://", https = endpoint.substr(0, 8) == "https://";
  std::string_view host = endpoint.substr(std::min<size_t>(endpoint.size(), https ? 8 : 7));
  if (!host.empty() && host.back() == '/') host.remove_suffix(1);
  if ((http || https) && !host.empty() && host.find_first_of("/?#@ ") == std::string_view::npos) return {};
  return fail(
      ErrorCode::kInvalidArgument,
      "the endpoint of the outside S3 must be http(s)://host[:port], not \"" + std::string(endpoint) + "\"");
}

}  // namespace fleetward::lake
