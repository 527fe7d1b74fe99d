#include "api/s3/service.h"

#include "api/s3/address.h"
#include "api/s3/documents.h"
#include "api/s3/routes.h"
#include "api/s3/xml.h"
#include "core/encoding.h"

namespace fleetward::api::s3 {
namespace {

Target target_of(const Address& address) {
  if (address.bucket.empty()) return Target::kService;
  return address.key.empty() ? Target::kBucket : Target::kObject;
}

}  // namespace

S3Service::S3Service(S3ServiceOptions options, lake::ObjectStore& store, IdentityDecision decide,
                     Random& random)
    : options_(std::move(options)),
      store_(store),
      access_(std::move(decide), store, options_.scope),
      random_(random) {}

uint64_t S3Service::body_bytes_max(const http::RequestHead& head) const {
  const Address address = parse_address(head.headers.get("host"), head.path, options_.host_suffixes);
  const bool object_bytes =
      !address.key.empty() && head.method == "PUT" && !head.find_query("tagging") && !head.find_query("acl");
  return object_bytes ? store_.limits().put_bytes_max : kDocumentBytesMax;
}

ApiResult<http::Response> S3Service::answer(http::S3Request& http) {
  Request request{http, parse_address(http.headers.get("host"), http.path, options_.host_suffixes)};
  const Target target = target_of(request.address);
  if (http.method == "OPTIONS") {
    return s3_fail("AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.");
  }
  const Route* route = find_route(http, target);
  if (route == nullptr) {
    return s3_fail("MethodNotAllowed", "The specified method is not allowed against this resource.");
  }
  if (target != Target::kService) {
    if (auto ok = lake::check_bucket_name(request.bucket()); !ok) return store_fail(ok.error());
  }
  if (target == Target::kObject) {
    if (auto ok = lake::check_key(request.key(), store_.limits()); !ok) return store_fail(ok.error());
  }
  if (route->handler == nullptr) return not_implemented(route->operation);
  const bool new_bucket = route->handler == create_bucket;
  if (!route->action.empty()) {
    auto allowed = access_.check(http, route->action, request.bucket(), request.key(), new_bucket);
    if (!allowed) return tl::unexpected(allowed.error());
    // Tags decide what policies say of an object, so whoever may only write it may not choose them.
    if (route->action == "s3:PutObject" && !http.headers.get("x-amz-tagging").empty()) {
      allowed = access_.check(http, "s3:PutObjectTagging", request.bucket(), request.key());
      if (!allowed) return tl::unexpected(allowed.error());
    }
  }
  const Environment environment{store_, access_, options_.scope};
  return route->handler(environment, request);
}

http::Response S3Service::handle(http::S3Request request) {
  ApiResult<http::Response> result = answer(request);
  if (!result) return refuse(request, result.error(), request.request_id);
  http::Response response = std::move(*result);
  response.headers.set("x-amz-request-id", request.request_id);
  response.headers.set("x-amz-id-2", to_base64(random_.bytes(36)));
  return response;
}

http::Response S3Service::refuse(const http::RequestHead& head, const http::ApiError& error,
                                 const std::string& request_id) const {
  const std::string host_id = to_base64(random_.bytes(36));
  http::Response response;
  response.status = error.status;
  response.headers.add("x-amz-request-id", request_id);
  response.headers.add("x-amz-id-2", host_id);
  if (error.name == "InvalidRange") {
    response.headers.add("Content-Range",
                         "bytes */" + std::string(json::string_or(error.extra, "ActualObjectSize", "*")));
  }
  if (head.method == "HEAD" || error.status == 304) return response;
  XmlWriter xml("Error", false);
  xml.text("Code", error.name);
  xml.text("Message", error.message);
  for (const auto& [name, value] : error.extra) {
    if (value.is_string()) xml.text(std::string_view(name), std::string_view(value.get_string()));
  }
  xml.text("Resource", head.path);
  xml.text("RequestId", request_id);
  xml.text("HostId", host_id);
  response.headers.add("Content-Type", "application/xml");
  response.body = xml.finish();
  return response;
}

std::vector<S3Operation> s3_operations() {
  std::vector<S3Operation> out;
  for (const Route& route : routes()) out.push_back({route.operation, route.handler != nullptr});
  return out;
}

}  // namespace fleetward::api::s3
