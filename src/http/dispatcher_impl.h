#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "http/dispatcher.h"
#include "http/rest_json.h"

// Inside of the dispatcher: dispatcher.cc finds where a request belongs, dispatcher_run.cc runs it.
namespace fleetward::http {

inline constexpr std::string_view kTopicsPath = "/topics/";
inline constexpr std::string_view kWebSocketPath = "/mqtt";

// What one request became, for the log and the counters.
struct Outcome {
  Response response;
  std::string service = "none";
  std::string operation;
  std::string caller;
  std::string error;    // name; empty for success
  std::string message;  // why it was refused
};

// Condition keys of a request.
std::shared_ptr<identity::MapContext> request_context(const RequestHead& head, const identity::Caller& caller,
                                                      std::string_view region, Timestamp now);

struct Dispatcher::Impl {
  struct Entry {
    RestRouter router;
    std::map<std::string, size_t, std::less<>> by_name;
  };
  struct Counters {
    prometheus::Counter* results[3];  // ok, refused (4xx), failed (5xx)
    prometheus::Histogram* seconds;
    prometheus::Counter* unknown_members;
  };
  // Where a request belongs, from its head alone.
  struct Place {
    enum class Kind { kService, kS3, kUnsignedQuery, kPublic, kCertificatePublish, kRefused } kind;
    size_t service = 0;
    std::optional<Authentication> claim;
    const PublicHandler* handler = nullptr;
    // kRefused: in which shape, and why.
    bool s3_shape = false;
    Protocol protocol = Protocol::kRestJson;
    std::string xml_namespace;
    ApiError error;
  };

  DispatcherOptions options;
  const CredentialLookup& keys;
  AuthorizeFunction authorize;
  const Clock& clock;
  Random& random;
  Logger& logger;
  Metrics& metrics;
  std::vector<Service> services;
  std::vector<Entry> entries;  // beside `services`
  std::map<std::string, Counters, std::less<>> counters;
  S3Handler* s3 = nullptr;
  CertificatePublish certificate_publish;
  WebSocketTaker websocket;
  std::map<std::string, PublicHandler, std::less<>> publics;
  std::mutex told_mutex;
  std::set<std::string> told;  // "iot:CreateThing": its unknown members are in the log

  Impl(DispatcherOptions o, const CredentialLookup& k, AuthorizeFunction a, const Clock& c, Random& r,
       Logger& l, Metrics& m)
      : options(std::move(o)), keys(k), authorize(std::move(a)), clock(c), random(r), logger(l), metrics(m) {}

  VerifyOptions verify_options() const { return {options.account.region, options.skew_max}; }
  void add_counters(const std::string& service);
  std::optional<size_t> find_service(std::string_view signing_name) const;
  std::optional<size_t> service_of_target(std::string_view target) const;
  std::optional<size_t> service_of_unsigned_action(std::string_view action) const;

  Place place(const RequestHead& head) const;
  Place refused_shape(const RequestHead& head) const;
  Place refused(const RequestHead& head, const AuthError& error) const;
  Response answer_refused(const RequestHead& head, const Place& place, const std::string& request_id) const;

  Outcome run(Request& request, const Place& place, const std::string& request_id);
  Outcome run_service(Request& request, const Place& place, const std::string& request_id);
  Outcome run_unsigned_query(Request& request, const Place& place, const std::string& request_id);
  Outcome run_s3(Request& request, const Place& place, const std::string& request_id);
  // Null without an error: no signature, and none is needed.
  tl::expected<std::shared_ptr<const identity::Caller>, AuthError> websocket_caller(
      const RequestHead& head) const;
  // Who sends this, and what the signature says of the body.
  ApiResult<Verified> verify_s3(const RequestHead& head, const Place& place, Timestamp now) const;
  S3Request s3_request(RequestHead head, const Verified& verified, const std::string& request_id,
                       Timestamp now) const;
  void refuse_s3(Outcome& outcome, const RequestHead& head, const ApiError& error,
                 const std::string& request_id) const;
  void call(Outcome& outcome, size_t service, const Operation& operation, const json::object& arguments,
            const Call& call, const identity::RequestContext& context);
  ApiResult<json::object> run_operation(const Service& service, const Operation& operation,
                                        const json::object& arguments, const Call& call);
  void account_for_unknown(const Service& service, const Operation& operation,
                           const std::vector<std::string>& members);
  struct Bound {
    const Operation* operation;
    json::object arguments;
  };
  ApiResult<Bound> bind(size_t service, const RequestHead& head, const std::string& body) const;
  ApiResult<Bound> bind_query(size_t service, const RequestHead& head, const std::string& body) const;
  ApiResult<const Operation*> named(size_t service, std::string_view name,
                                    std::string_view unknown_error) const;
  void fail_with(Outcome& outcome, const Service& service, const ApiError& error,
                 const std::string& request_id) const;
  void account_for(const RequestHead& head, const Outcome& outcome, const std::string& request_id,
                   double seconds);
};

}  // namespace fleetward::http
