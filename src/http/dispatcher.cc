#include "http/dispatcher.h"

#include <algorithm>

#include "http/answers.h"
#include "http/dispatcher_impl.h"

namespace fleetward::http {
namespace {

constexpr uint64_t kUnsignedFormMax = 64 * 1024;      // a confirmation's parameters
constexpr uint64_t kCertificateBodyMax = 256 * 1024;  // an MQTT payload is at most half of it

bool is_form(const RequestHead& head) {
  return head.headers.get("content-type").starts_with("application/x-www-form-urlencoded");
}

}  // namespace

// ------------------------------------------------------------------ set-up

Dispatcher::Dispatcher(DispatcherOptions options, const CredentialLookup& keys, AuthorizeFunction authorize,
                       const Clock& clock, Random& random, Logger& logger, Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), keys, std::move(authorize), clock, random, logger,
                                   metrics)) {
  for (const char* name : {"none", "s3", "public", "certificate-publish", "websocket"})
    impl_->add_counters(name);
  add_public("/metrics", [impl = impl_.get()](const RequestHead& head) {
    Response response;
    response.headers.add("Content-Type", "text/plain; version=0.0.4");
    if (head.tls && !impl->options.metrics_over_tls) {
      response.status = 403;
      response.body = "metrics are served on the plain listener only\n";
    } else {
      response.body = impl->metrics.scrape();
    }
    return response;
  });
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::Impl::add_counters(const std::string& service) {
  Counters& c = counters[service];
  const char* results[] = {"ok", "refused", "failed"};
  for (size_t i = 0; i < 3; ++i) {
    c.results[i] = &metrics.counter("fleetward_api_requests_total", "API requests by service and result.",
                                    {{"service", service}, {"result", results[i]}});
  }
  c.unknown_members = &metrics.counter("fleetward_api_unknown_members_total",
                                       "Arguments unknown to their operation that were ignored, if `[api] "
                                       "unknown_members` says so.",
                                       {{"service", service}});
  c.seconds =
      &metrics.histogram("fleetward_api_request_seconds", "Time from the whole request to its answer.",
                         {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10}, {{"service", service}});
}

void Dispatcher::add_service(Service service) {
  auto& services = impl_->services;
  const auto known = impl_->find_service(service.signing_name);
  const size_t index = known.value_or(services.size());
  if (known) {  // one service, whose operations come from several places
    auto& all = services[index].operations;
    std::move(service.operations.begin(), service.operations.end(), std::back_inserter(all));
    services[index].body_bytes_max = std::max(services[index].body_bytes_max, service.body_bytes_max);
  } else {
    impl_->add_counters(service.signing_name);
    services.push_back(std::move(service));
    impl_->entries.emplace_back();
  }
  Impl::Entry& entry = impl_->entries[index];
  const auto& operations = services[index].operations;
  entry.router = RestRouter(operations);
  for (size_t i = 0; i < operations.size(); ++i) entry.by_name[operations[i].name] = i;
}

void Dispatcher::set_s3(S3Handler& handler) {
  impl_->s3 = &handler;
}
void Dispatcher::set_certificate_publish(CertificatePublish publish) {
  impl_->certificate_publish = std::move(publish);
}
void Dispatcher::set_websocket(WebSocketTaker taker) {
  impl_->websocket = std::move(taker);
}
void Dispatcher::add_public(std::string path, PublicHandler handler) {
  impl_->publics[std::move(path)] = std::move(handler);
}
const std::vector<Service>& Dispatcher::services() const {
  return impl_->services;
}

// ------------------------------------------------------------------ finding the place

std::optional<size_t> Dispatcher::Impl::find_service(std::string_view signing_name) const {
  for (size_t i = 0; i < services.size(); ++i) {
    if (services[i].signing_name == signing_name) return i;
  }
  return std::nullopt;
}

std::optional<size_t> Dispatcher::Impl::service_of_target(std::string_view target) const {
  const std::string_view prefix = target.substr(0, target.find('.'));
  for (size_t i = 0; i < services.size(); ++i) {
    if (services[i].protocol == Protocol::kJson11 && services[i].target_prefix == prefix) return i;
  }
  return std::nullopt;
}

std::optional<size_t> Dispatcher::Impl::service_of_unsigned_action(std::string_view action) const {
  for (size_t i = 0; i < services.size(); ++i) {
    if (services[i].protocol != Protocol::kQuery) continue;
    const auto found = entries[i].by_name.find(action);
    if (found != entries[i].by_name.end() && services[i].operations[found->second].allow_unsigned) return i;
  }
  return std::nullopt;
}

// The protocol in which a request without a valid signature probably wants its answer.
Dispatcher::Impl::Place Dispatcher::Impl::refused_shape(const RequestHead& head) const {
  Place out{.kind = Place::Kind::kRefused};
  if (head.headers.has("x-amz-target")) {
    out.protocol = Protocol::kJson11;
  } else if (is_form(head) || head.find_query("Action") != nullptr) {
    out.protocol = Protocol::kQuery;
    for (const Service& service : services) {
      if (service.protocol == Protocol::kQuery) out.xml_namespace = service.xml_namespace;
    }
  } else {
    const bool rest = std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) {
      return entry.router.match(head.method, head.raw_path).has_value();
    });
    out.s3_shape = !rest && s3 != nullptr;
  }
  return out;
}

Dispatcher::Impl::Place Dispatcher::Impl::refused(const RequestHead& head, const AuthError& error) const {
  Place out = refused_shape(head);
  out.error =
      out.s3_shape ? auth_s3_error(error, options.account.region) : auth_api_error(out.protocol, error);
  return out;
}

Dispatcher::Impl::Place Dispatcher::Impl::place(const RequestHead& head) const {
  auto claim = parse_authentication(head);
  if (!claim) return refused(head, claim.error());
  if (*claim) {
    const std::string& name = (*claim)->scope.service;
    if (name == "s3" && s3 != nullptr) return {.kind = Place::Kind::kS3, .claim = std::move(*claim)};
    if (const auto service = find_service(name)) {
      return {.kind = Place::Kind::kService, .service = *service, .claim = std::move(*claim)};
    }
    Place out = refused_shape(head);
    out.s3_shape = false;
    out.error = {400,
                 out.protocol == Protocol::kQuery ? "InvalidAction" : "UnknownOperationException",
                 "The service '" + name + "' is not part of this program.",
                 {}};
    return out;
  }
  const AuthError missing{AuthFailure::kMissing, "Missing Authentication Token", {}, {}};
  if (head.headers.has("x-amz-target")) return refused(head, missing);
  if (certificate_publish && !head.client_certificate_id.empty() && head.method == "POST" &&
      head.path.starts_with(kTopicsPath)) {
    return {.kind = Place::Kind::kCertificatePublish};
  }
  if (const QueryParameter* action = head.find_query("Action"); action != nullptr || is_form(head)) {
    // A form's action is in its body: it is looked for once that has come.
    if (action == nullptr) return {.kind = Place::Kind::kUnsignedQuery};
    if (service_of_unsigned_action(action->value)) return {.kind = Place::Kind::kUnsignedQuery};
    return refused(head, missing);
  }
  if (head.method == "GET" || head.method == "HEAD") {
    const auto found = publics.find(head.path);
    if (found != publics.end()) return {.kind = Place::Kind::kPublic, .handler = &found->second};
  }
  const bool rest = std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) {
    return entry.router.match(head.method, head.raw_path).has_value();
  });
  if (s3 != nullptr && !rest) return {.kind = Place::Kind::kS3};
  // A path of an API without a signature might also be an anonymous object; S3 only says AccessDenied then.
  return refused(head, missing);
}

Response Dispatcher::Impl::answer_refused(const RequestHead& head, const Place& place,
                                          const std::string& request_id) const {
  if (place.s3_shape) return s3->refuse(head, place.error, request_id);
  return answer_error(place.protocol, place.xml_namespace, place.error, request_id);
}

// ------------------------------------------------------------------ before the body

std::unique_ptr<Response> Dispatcher::before_body(const RequestHead& head, uint64_t& body_bytes_max) {
  const Impl::Place place = impl_->place(head);
  using Kind = Impl::Place::Kind;
  const auto refuse = [&](Response response, const std::string& request_id, std::string_view service,
                          const ApiError& error) {
    Outcome outcome{.response = std::move(response),
                    .service = std::string(service),
                    .error = error.name,
                    .message = error.message};
    impl_->account_for(head, outcome, request_id, 0);
    return std::make_unique<Response>(std::move(outcome.response));
  };
  switch (place.kind) {
    case Kind::kRefused: {
      const std::string id = impl_->random.uuid();
      return refuse(impl_->answer_refused(head, place, id), id, "none", place.error);
    }
    case Kind::kService:
      body_bytes_max = impl_->services[place.service].body_bytes_max;
      return nullptr;
    case Kind::kCertificatePublish:
      body_bytes_max = kCertificateBodyMax;
      return nullptr;
    case Kind::kUnsignedQuery:
    case Kind::kPublic:
      body_bytes_max = kUnsignedFormMax;
      return nullptr;
    case Kind::kS3:
      break;
  }
  // The signature of S3 covers the head: nobody fills the disk with bodies that will be refused.
  uint64_t bound = impl_->s3->body_bytes_max(head);
  if (!place.claim) {
    body_bytes_max = std::min(bound, impl_->options.anonymous_body_max);
    return nullptr;
  }
  const auto verified =
      verify(head, *place.claim, {}, impl_->verify_options(), impl_->keys, impl_->clock.now());
  if (!verified) {
    const std::string id = impl_->random.uuid();
    const ApiError error = auth_s3_error(verified.error(), impl_->options.account.region);
    return refuse(impl_->s3->refuse(head, error, id), id, "s3", error);
  }
  if (head.headers.has("x-amz-decoded-content-length")) bound += bound / 16 + 64 * 1024;  // chunk framing
  body_bytes_max = bound;
  return nullptr;
}

Response Dispatcher::refusal(const RequestHead& head, Refusal why) {
  Impl::Place shape{.kind = Impl::Place::Kind::kRefused};
  const Impl::Place place = impl_->place(head);
  std::string service = "none";
  if (place.kind == Impl::Place::Kind::kService) {
    shape.protocol = impl_->services[place.service].protocol;
    shape.xml_namespace = impl_->services[place.service].xml_namespace;
    service = impl_->services[place.service].signing_name;
  } else if (place.kind == Impl::Place::Kind::kS3) {
    shape.s3_shape = true;
    service = "s3";
  }
  switch (why) {
    case Refusal::kOverloaded:
      shape.error = shape.s3_shape ? ApiError{503, "SlowDown", "Please reduce your request rate.", {}}
                                   : overloaded_error(shape.protocol);
      break;
    case Refusal::kBodyTooLarge:
      shape.error =
          shape.s3_shape
              ? ApiError{400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", {}}
              : too_large_error(shape.protocol);
      break;
    case Refusal::kLengthRequired:
      shape.error = {411,
                     shape.s3_shape ? "MissingContentLength" : "LengthRequiredException",
                     "You must provide the Content-Length HTTP header.",
                     {}};
      break;
    case Refusal::kFailed:
      shape.error = shape.s3_shape ? ApiError{500, "InternalError", "We encountered an internal error.", {}}
                                   : internal_error(shape.protocol);
      break;
  }
  const std::string id = impl_->random.uuid();
  Outcome outcome{.response = impl_->answer_refused(head, shape, id),
                  .service = std::move(service),
                  .error = shape.error.name,
                  .message = shape.error.message};
  impl_->account_for(head, outcome, id, 0);
  return std::move(outcome.response);
}

}  // namespace fleetward::http
