#include "api/s3/service.h"

#include "api/s3/address.h"
#include "api/s3/documents.h"
#include "api/s3/fields.h"
#include "api/s3/routes.h"
#include "api/s3/upload.h"
#include "api/s3/xml.h"
#include "core/encoding.h"

namespace fleetward::api::s3 {
namespace {

constexpr size_t kSubresourceShown = 128;  // of a parameter's name, in a refusal

Target target_of(const Address& address) {
  if (address.bucket.empty()) return Target::kService;
  return address.key.empty() ? Target::kBucket : Target::kObject;
}

// How the operation takes a body as it arrives; nullptr: it does not.
BeginUpload begin_of(const Route& route) {
  if (route.handler == put_object) return begin_put_object;
  return route.handler == upload_part ? begin_upload_part : nullptr;
}

}  // namespace

S3Service::S3Service(S3ServiceOptions options, lake::ObjectStore& store, IdentityDecision decide,
                     Random& random)
    : options_(std::move(options)),
      store_(store),
      access_(std::move(decide), store, options_.scope),
      environment_{store_, access_, options_.scope},
      random_(random) {}

Address S3Service::address_of(const http::RequestHead& head) const {
  return parse_address(head.headers.get("host"), head.path, options_.host_suffixes);
}

const Route* S3Service::route_of(const http::RequestHead& head) const {
  return find_route(head, target_of(address_of(head)));
}

uint64_t S3Service::body_bytes_max(const http::RequestHead& head) const {
  return is_upload(head) ? store_.limits().put_bytes_max : kDocumentBytesMax;
}

std::string_view S3Service::operation(const http::RequestHead& head) const {
  const Route* route = route_of(head);
  return route == nullptr ? std::string_view() : route->operation;
}

bool S3Service::is_upload(const http::RequestHead& head) const {
  const Route* route = route_of(head);
  return route != nullptr && begin_of(*route) != nullptr;
}

ApiResult<const Route*> S3Service::admit(Request& request) {
  const http::S3Request& http = request.http;
  const Target target = target_of(request.address);
  if (http.method == "OPTIONS") {
    return s3_fail("AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.");
  }
  const Route* route = find_route(http, target);
  if (route == nullptr) {
    return s3_fail("MethodNotAllowed", "The specified method is not allowed against this resource.");
  }
  if (const auto other = unknown_subresource(*route, http); !other.empty()) {
    return not_implemented("The resource ?" + std::string(other.substr(0, kSubresourceShown)));
  }
  if (target != Target::kService) {
    if (auto ok = lake::check_bucket_name(request.bucket()); !ok) return store_fail(ok.error());
  }
  if (target == Target::kObject) {
    if (auto ok = lake::check_key(request.key(), store_.limits()); !ok) return store_fail(ok.error());
  }
  if (route->handler == nullptr) return not_implemented(route->operation);
  if (route->action.empty()) return route;
  const auto tags = parse_tagging_header(http.headers.get("x-amz-tagging"));
  if (!tags) return tl::unexpected(tags.error());
  const Access::Asked asked{.new_bucket = route->handler == create_bucket, .tags = &*tags};
  auto allowed = access_.check(http, route->action, request.bucket(), request.key(), asked);
  // Tags decide what policies say of an object, so whoever may only write it may not choose them.
  if (allowed && route->action == "s3:PutObject" && !tags->empty()) {
    allowed = access_.check(http, "s3:PutObjectTagging", request.bucket(), request.key(), asked);
  }
  if (!allowed) return tl::unexpected(allowed.error());
  return route;
}

http::Response S3Service::finished(http::Response response, const std::string& request_id) const {
  response.headers.set("x-amz-request-id", request_id);
  response.headers.set("x-amz-id-2", to_base64(random_.bytes(36)));
  return response;
}

ApiResult<http::Response> S3Service::handle(http::S3Request& http) {
  Request request{http, address_of(http)};
  const auto route = admit(request);
  if (!route) return tl::unexpected(route.error());
  auto response = (*route)->handler(environment_, request);
  if (!response) return response;
  return finished(std::move(*response), http.request_id);
}

// An Upload with the request it works for.
class S3Service::BodyUpload final : public http::S3Upload {
 public:
  BodyUpload(const S3Service& service, http::S3Request& http)
      : service_(service), request_{http, service.address_of(http)} {}

  ApiStatus begin(const Route& route) {
    auto upload = begin_of(route)(service_.environment_, request_);
    if (!upload) return tl::unexpected(upload.error());
    upload_ = std::move(*upload);
    return {};
  }
  Request& request() { return request_; }
  ApiStatus append(std::string_view bytes) override { return upload_->append(bytes); }
  ApiResult<http::Response> finish(const http::Headers& trailers) override {
    auto response = upload_->finish(trailers);
    if (!response) return response;
    return service_.finished(std::move(*response), request_.http.request_id);
  }

 private:
  const S3Service& service_;
  Request request_;
  std::unique_ptr<Upload> upload_;
};

ApiResult<std::unique_ptr<http::S3Upload>> S3Service::begin_upload(http::S3Request& http) {
  auto upload = std::make_unique<BodyUpload>(*this, http);
  const auto route = admit(upload->request());
  if (!route) return tl::unexpected(route.error());
  if (auto begun = upload->begin(**route); !begun) return tl::unexpected(begun.error());
  return upload;
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
