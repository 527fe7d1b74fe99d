#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/random.h"
#include "core/time.h"
#include "http/message.h"
#include "http/operation.h"
#include "http/s3_handler.h"
#include "http/sigv4.h"
#include "identity/caller.h"
#include "identity/policy.h"

namespace fleetward::http {

struct DispatcherOptions {
  AccountScope account;
  Duration skew_max{15 * 60'000};
  uint64_t anonymous_body_max = uint64_t{1} << 20;
  bool metrics_over_tls = false;  // /metrics on HTTPS listeners too
  // Arguments that an operation does not know are left out, counted and logged, as AWS leaves them out;
  // otherwise its refusal stands. S3 has no such arguments.
  bool ignore_unknown_members = false;
};

// May `caller` do `action` on `resource`? kPermissionDenied with AWS's sentence. Usually
// identity::Authorizer::authorize.
using AuthorizeFunction =
    std::function<Status(const identity::Caller& caller, std::string_view action, std::string_view resource,
                         const identity::RequestContext& context)>;

// Answers an unsigned GET or HEAD of one path (health, metrics, SNS's certificate).
using PublicHandler = std::function<Response(const RequestHead& head)>;

// POST /topics/<topic> with a client certificate (AWS: HTTPS): `topic` is decoded, head.query holds qos
// and retain, head.client_certificate_id says who.
using CertificatePublish =
    std::function<Response(const RequestHead& head, std::string_view topic, std::string payload)>;

// GET /mqtt with "Upgrade: websocket", accepted: the connection and the caller that signed the request; null
// if a client certificate (of the connection's TLS) or the listener lets it in.
using WebSocketTaker = std::function<void(Upgraded, std::shared_ptr<const identity::Caller>)>;

// From a request to an answer: finds the service (SigV4 scope, else X-Amz-Target, else an unsigned SNS
// confirmation, else a public path, else S3), verifies the signature, authorizes, binds the arguments, runs
// the operation and writes the answer in the service's protocol. What has no operation is refused by name.
// Set up on one thread, then used from many.
class Dispatcher final : public Handler {
 public:
  Dispatcher(DispatcherOptions options, const CredentialLookup& keys, AuthorizeFunction authorize,
             const Clock& clock, Random& random, Logger& logger, Metrics& metrics);
  ~Dispatcher() override;

  void add_service(Service service);
  void set_s3(S3Handler& handler);
  void set_certificate_publish(CertificatePublish publish);
  void set_websocket(WebSocketTaker taker);
  // Exact path ("/health"). Signed requests do not come here: they mean a bucket of that name.
  void add_public(std::string path, PublicHandler handler);

  const std::vector<Service>& services() const;

  std::unique_ptr<Response> before_body(const RequestHead& head, uint64_t& body_bytes_max) override;
  // Objects and parts of S3.
  std::unique_ptr<BodyTaker> taker(const RequestHead& head) override;
  // MQTT over WebSockets: signed for `iotdevicegateway`, else with a client certificate, else on a listener
  // for nothing but WebSockets. 403 for all others.
  Upgrade upgrade(const RequestHead& head) override;
  Response handle(Request request) override;
  Response refusal(const RequestHead& head, Refusal why) override;

 private:
  struct Impl;
  class S3Taker;
  std::unique_ptr<Impl> impl_;
};

// docs/reference/operations.md: every operation of every service, those refused marked as such.
std::string operations_reference(const std::vector<Service>& services);

}  // namespace fleetward::http
