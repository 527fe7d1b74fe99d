#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/s3/access.h"
#include "api/s3/request.h"
#include "core/ids.h"
#include "core/logger.h"
#include "core/random.h"
#include "http/s3_handler.h"
#include "lake/object_store.h"

namespace fleetward::api::s3 {

struct Route;

struct S3ServiceOptions {
  AccountScope scope;
  // Host names under which buckets are sub-domains ("<bucket>.localhost"), lower case, without port. The
  // names of the server itself must be among them, or "a.b" would be taken for bucket "a" of "b".
  std::vector<std::string> host_suffixes = {"localhost", "s3.localhost"};
};

// The S3 service over an object store: routing, authorization, answers. Thread safe.
class S3Service final : public http::S3Handler {
 public:
  // `decide` is usually identity::Authorizer::decide; `store` and `random` must outlive the service.
  S3Service(S3ServiceOptions options, lake::ObjectStore& store, IdentityDecision decide, Random& random);

  uint64_t body_bytes_max(const http::RequestHead& head) const override;
  std::string_view operation(const http::RequestHead& head) const override;
  ApiResult<http::Response> handle(http::S3Request& request) override;
  bool is_upload(const http::RequestHead& head) const override;
  ApiResult<std::unique_ptr<http::S3Upload>> begin_upload(http::S3Request& request) override;
  http::Response refuse(const http::RequestHead& head, const http::ApiError& error,
                        const std::string& request_id) const override;

 private:
  class BodyUpload;

  Address address_of(const http::RequestHead& head) const;
  const Route* route_of(const http::RequestHead& head) const;
  // Finds the operation of a request and asks whether it may be.
  ApiResult<const Route*> admit(Request& request);
  http::Response finished(http::Response response, const std::string& request_id) const;

  const S3ServiceOptions options_;
  lake::ObjectStore& store_;
  const Access access_;
  const Environment environment_;
  Random& random_;
};

// One line of docs/reference/operations.md.
struct S3Operation {
  std::string_view name;
  bool implemented;
};
std::vector<S3Operation> s3_operations();

}  // namespace fleetward::api::s3
