#include <chrono>

#include "core/encoding.h"
#include "http/answers.h"
#include "http/dispatcher_impl.h"
#include "http/query_protocol.h"
#include "identity/authorizer.h"

namespace fleetward::http {
namespace {

std::string_view api_version(std::string_view xml_namespace) {
  while (xml_namespace.ends_with('/')) xml_namespace.remove_suffix(1);
  return xml_namespace.substr(xml_namespace.rfind('/') + 1);
}

// An operation that reads in several steps can name unknown members several times, but not often.
constexpr int kUnknownRoundsMax = 4;
constexpr size_t kMemberShown = 256;  // a name can be as long as a body

// The member that a JSON pointer names; nothing happens if it is not there.
void erase_member(json::value& document, std::string_view pointer) {
  const size_t slash = pointer.rfind('/');
  boost::system::error_code missing;
  json::value* parent = document.find_pointer(pointer.substr(0, slash), missing);
  if (parent == nullptr || !parent->is_object()) return;
  std::string name;
  for (size_t i = slash + 1; i < pointer.size(); ++i) {
    if (pointer[i] == '~' && i + 1 < pointer.size()) {
      name += pointer[++i] == '0' ? '~' : '/';
    } else {
      name += pointer[i];
    }
  }
  parent->get_object().erase(name);
}

}  // namespace

std::shared_ptr<identity::MapContext> request_context(const RequestHead& head, const identity::Caller& caller,
                                                      std::string_view region, Timestamp now) {
  auto context = std::make_shared<identity::MapContext>();
  context->set("aws:SourceIp", head.peer_address);
  context->set("aws:SecureTransport", head.tls ? "true" : "false");
  context->set("aws:CurrentTime", to_iso8601(now));
  context->set("aws:EpochTime", std::to_string(now.ms / 1000));
  context->set("aws:RequestedRegion", std::string(region));
  if (head.headers.has("user-agent"))
    context->set("aws:UserAgent", std::string(head.headers.get("user-agent")));
  if (head.headers.has("referer")) context->set("aws:Referer", std::string(head.headers.get("referer")));
  identity::add_caller(*context, caller);
  return context;
}

Response Dispatcher::handle(Request request) {
  const auto started = std::chrono::steady_clock::now();
  const std::string request_id = impl_->random.uuid();
  const Impl::Place place = impl_->place(request);
  // The S3 handler takes the request over: what the log needs is kept.
  RequestHead head;
  head.method = request.method;
  head.raw_path = request.raw_path;
  head.peer_address = request.peer_address;
  Outcome outcome = impl_->run(request, place, request_id);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  impl_->account_for(head, outcome, request_id, took.count());
  return std::move(outcome.response);
}

Outcome Dispatcher::Impl::run(Request& request, const Place& where, const std::string& request_id) {
  switch (where.kind) {
    case Place::Kind::kService:
      return run_service(request, where, request_id);
    case Place::Kind::kS3:
      return run_s3(request, where, request_id);
    case Place::Kind::kUnsignedQuery:
      return run_unsigned_query(request, where, request_id);
    case Place::Kind::kPublic:
      return {.response = (*where.handler)(request), .service = "public"};
    case Place::Kind::kCertificatePublish: {
      Outcome outcome{
          .service = "certificate-publish", .operation = "Publish", .caller = request.client_certificate_id};
      auto payload = request.body->text();
      outcome.response =
          payload ? certificate_publish(request, request.path.substr(kTopicsPath.size()), std::move(*payload))
                  : answer_error(Protocol::kRestJson, {}, too_large_error(Protocol::kRestJson), request_id);
      return outcome;
    }
    case Place::Kind::kRefused:
      break;
  }
  return {.response = answer_refused(request, where, request_id),
          .error = where.error.name,
          .message = where.error.message};
}

void Dispatcher::Impl::fail_with(Outcome& outcome, const Service& service, const ApiError& error,
                                 const std::string& request_id) const {
  outcome.error = error.name;
  outcome.message = error.message;
  outcome.response = answer_error(service.protocol, service.xml_namespace, error, request_id);
}

ApiResult<const Operation*> Dispatcher::Impl::named(size_t service, std::string_view name,
                                                    std::string_view unknown_error) const {
  const auto found = entries[service].by_name.find(name);
  if (found == entries[service].by_name.end()) {
    return api_fail(400, std::string(unknown_error),
                    "The service '" + services[service].signing_name + "' has no operation '" +
                        std::string(name.substr(0, 128)) + "' in this release.");
  }
  return &services[service].operations[found->second];
}

ApiResult<Dispatcher::Impl::Bound> Dispatcher::Impl::bind_query(size_t service, const RequestHead& head,
                                                                const std::string& body) const {
  auto parameters = parse_query(body);
  if (!parameters) return api_fail(400, "MalformedQueryString", parameters.error().message);
  parameters->insert(parameters->begin(), head.query.begin(), head.query.end());
  std::string_view action, version;
  for (const QueryParameter& parameter : *parameters) {
    if (parameter.name == "Action") action = parameter.value;
    if (parameter.name == "Version") version = parameter.value;
  }
  if (action.empty()) return api_fail(400, "MissingAction", "The request is missing the Action parameter.");
  const std::string_view expected = api_version(services[service].xml_namespace);
  if (!version.empty() && version != expected) {
    return api_fail(400, "InvalidAction",
                    "Could not find operation " + std::string(action) + " for version " +
                        std::string(version) + "; this is " + std::string(expected) + ".");
  }
  auto operation = named(service, action, "InvalidAction");
  if (!operation) return tl::unexpected<ApiError>(operation.error());
  auto arguments = query_arguments(*parameters);
  if (!arguments) return tl::unexpected<ApiError>(arguments.error());
  return Bound{*operation, std::move(*arguments)};
}

ApiResult<Dispatcher::Impl::Bound> Dispatcher::Impl::bind(size_t service, const RequestHead& head,
                                                          const std::string& body) const {
  const Service& s = services[service];
  if (s.protocol == Protocol::kQuery) return bind_query(service, head, body);
  if (s.protocol == Protocol::kJson11) {
    const std::string_view target = head.headers.get("x-amz-target");
    if (!target.starts_with(s.target_prefix + ".")) {
      return api_fail(400, "UnknownOperationException",
                      "X-Amz-Target must be " + s.target_prefix + ".<operation>.");
    }
    auto operation = named(service, target.substr(s.target_prefix.size() + 1), "UnknownOperationException");
    if (!operation) return tl::unexpected<ApiError>(operation.error());
    auto arguments = parse_json_body(body);
    if (!arguments) return tl::unexpected<ApiError>(arguments.error());
    return Bound{*operation, std::move(*arguments)};
  }
  const auto match = entries[service].router.match(head.method, head.raw_path);
  if (!match) {
    return api_fail(404, "UnknownOperationException",
                    "The service '" + s.signing_name + "' has no operation at " + head.method + " " +
                        head.raw_path.substr(0, 256) + " in this release.");
  }
  const Operation& operation = s.operations[match->operation];
  if (!operation.implemented) return Bound{&operation, {}};
  auto arguments = bind_rest_json(operation, match->labels, head, body);
  if (!arguments) return tl::unexpected<ApiError>(arguments.error());
  return Bound{&operation, std::move(*arguments)};
}

ApiResult<json::object> Dispatcher::Impl::run_operation(const Service& service, const Operation& operation,
                                                        const json::object& arguments, const Call& call) {
  auto result = operation.run(call, arguments);
  if (result || result.error().unknown_members.empty() || !options.ignore_unknown_members) return result;
  json::value known = arguments;
  for (int round = 0; round < kUnknownRoundsMax; ++round) {
    const std::vector<std::string> unknown = result.error().unknown_members;
    account_for_unknown(service, operation, unknown);
    for (const std::string& pointer : unknown) erase_member(known, pointer);
    result = operation.run(call, known.get_object());
    if (result || result.error().unknown_members.empty()) break;
  }
  return result;
}

void Dispatcher::Impl::account_for_unknown(const Service& service, const Operation& operation,
                                           const std::vector<std::string>& members) {
  counters.find(service.signing_name)->second.unknown_members->Increment(static_cast<double>(members.size()));
  {
    const std::scoped_lock lock(told_mutex);
    if (!told.insert(service.signing_name + ":" + operation.name).second) return;
  }
  logger.log(LogLevel::kWarn, "api_unknown_member_ignored",
             {{"service", service.signing_name},
              {"operation", operation.name},
              {"member", std::string_view(members.front()).substr(0, kMemberShown)},
              {"note", "further ones of this operation are only counted"}});
}

void Dispatcher::Impl::call(Outcome& outcome, size_t service, const Operation& operation,
                            const json::object& arguments, const Call& call,
                            const identity::RequestContext& context) {
  const Service& s = services[service];
  const std::string request_id(call.request_id);
  outcome.operation = operation.name;
  if (!operation.implemented) {
    const bool query = s.protocol == Protocol::kQuery;
    return fail_with(outcome, s,
                     {501,
                      query ? "NotImplemented" : "NotImplementedException",
                      "The operation " + operation.name + " is not implemented by this release.",
                      {}},
                     request_id);
  }
  if (operation.authorize) {
    const std::string action =
        operation.action.empty() ? s.signing_name + ":" + operation.name : operation.action;
    std::string resource = operation.resource ? operation.resource(arguments) : "*";
    if (resource.empty()) resource = call.caller.arn;
    if (auto ok = authorize(call.caller, action, resource, context); !ok) {
      return fail_with(outcome, s, denied_error(s, ok.error().message), request_id);
    }
  }
  auto result = run_operation(s, operation, arguments, call);
  if (!result) return fail_with(outcome, s, result.error(), request_id);
  outcome.response = answer_result(s, operation, *result, request_id);
}

Outcome Dispatcher::Impl::run_service(Request& request, const Place& where, const std::string& request_id) {
  const Service& service = services[where.service];
  Outcome outcome{.service = service.signing_name, .caller = where.claim->access_key_id};
  const auto body = request.body->text();
  if (!body) {
    fail_with(outcome, service, too_large_error(service.protocol), request_id);
    return outcome;
  }
  const Timestamp now = clock.now();
  const auto verified = verify(request, *where.claim, sha256_hex(*body), verify_options(), keys, now);
  if (!verified) {
    fail_with(outcome, service, auth_api_error(service.protocol, verified.error()), request_id);
    return outcome;
  }
  outcome.caller = verified->caller.arn;
  const auto bound = bind(where.service, request, *body);
  if (!bound) {
    fail_with(outcome, service, bound.error(), request_id);
    return outcome;
  }
  const auto context = request_context(request, verified->caller, options.account.region, now);
  const Call arguments{verified->caller, request.peer_address, request_id,
                       bound->operation->raw_payload ? std::string_view(*body) : std::string_view(),
                       context.get()};
  call(outcome, where.service, *bound->operation, bound->arguments, arguments, *context);
  return outcome;
}

Outcome Dispatcher::Impl::run_unsigned_query(Request& request, const Place&, const std::string& request_id) {
  Outcome outcome;
  const auto body = request.body->text();
  auto parameters = parse_query(body ? *body : "");
  std::string action;
  if (const QueryParameter* in_query = request.find_query("Action")) action = in_query->value;
  if (parameters) {
    for (const QueryParameter& parameter : *parameters) {
      if (parameter.name == "Action") action = parameter.value;
    }
  }
  const auto service = service_of_unsigned_action(action);
  if (!service) {
    const Place missing = refused(request, {AuthFailure::kMissing, "Missing Authentication Token", {}, {}});
    return run(request, missing, request_id);
  }
  outcome.service = services[*service].signing_name;
  const auto bound = bind(*service, request, body ? *body : "");
  if (!bound) {
    fail_with(outcome, services[*service], bound.error(), request_id);
    return outcome;
  }
  const identity::Caller anonymous;
  const auto context = request_context(request, anonymous, options.account.region, clock.now());
  Operation operation = *bound->operation;
  operation.authorize = false;  // the operation itself checks its token
  call(outcome, *service, operation, bound->arguments,
       {anonymous, request.peer_address, request_id, {}, context.get()}, *context);
  return outcome;
}

void Dispatcher::Impl::account_for(const RequestHead& head, const Outcome& outcome,
                                   const std::string& request_id, double seconds) {
  const int status = outcome.response.status;
  const bool refused = status < 500 || status == 501;
  const auto found = counters.find(outcome.service);
  if (found != counters.end()) {
    found->second.results[status < 400 ? 0 : refused ? 1 : 2]->Increment();
    found->second.seconds->Observe(seconds);
  }
  if (status < 400) return;
  const std::string status_text = std::to_string(status);
  logger.log(refused ? LogLevel::kInfo : LogLevel::kWarn, "api_request_refused",
             {{"service", outcome.service},
              {"operation", outcome.operation},
              {"method", head.method},
              {"path", std::string_view(head.raw_path).substr(0, 256)},
              {"status", status_text},
              {"error", outcome.error},
              {"reason", std::string_view(outcome.message).substr(0, 1024)},
              {"caller", outcome.caller},
              {"peer", head.peer_address},
              {"request_id", request_id}});
}

}  // namespace fleetward::http
