#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "identity/sigv4.h"

// A client of the AWS API, as `simulate` and `demo` need one: they use this program from outside, as a user
// would.
namespace fleetward::app {

struct AwsClientOptions {
  std::string endpoint_url;  // "http://127.0.0.1:4566"
  std::string region;
  std::string access_key_id, secret_access_key;
  std::string ca_file;  // for https; empty: the system's
  Duration timeout{30'000};
};

// Signed requests over libcurl, one at a time. Thread safe. A failed call's error says the service's own
// error name first ("ResourceNotFoundException: ..."); its code is kNotFound, kAlreadyExists,
// kPermissionDenied or kInvalidArgument by HTTP status, kUnavailable if no answer came.
class AwsClient {
 public:
  using Parameters = std::vector<std::pair<std::string, std::string>>;

  explicit AwsClient(AwsClientOptions options);
  ~AwsClient();

  // REST-JSON (iot): `path` is percent-encoded; an empty `body` object sends none.
  Result<json::object> rest(std::string_view service, const std::string& method, const std::string& path,
                            const json::object& body = {}, const Parameters& headers = {},
                            const Parameters& query = {});
  // JSON 1.1 (firehose): target "Firehose_20150804.PutRecord".
  Result<json::object> json11(std::string_view service, const std::string& target, const json::object& body);
  // Query (iam, sts, sns): the XML text.
  Result<std::string> query(std::string_view service, const std::string& action, const std::string& version,
                            const Parameters& parameters);
  // S3, path style: the body of the answer.
  Result<std::string> s3(const std::string& method, const std::string& path, const Parameters& query = {},
                         const std::string& body = {});

 private:
  struct Call {
    std::string method, path, service, content_type, body;
    Parameters headers, query;
  };
  Result<std::string> send(const Call& call);

  AwsClientOptions options_;
  std::string host_;
  std::mutex mutex_;
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace fleetward::app
