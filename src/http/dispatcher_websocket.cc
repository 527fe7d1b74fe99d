#include "core/json.h"
#include "http/dispatcher_impl.h"
#include "http/websocket_handshake.h"

// MQTT over WebSockets: who may leave HTTP.
namespace fleetward::http {
namespace {

constexpr std::string_view kNoBodySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

}  // namespace

tl::expected<std::shared_ptr<const identity::Caller>, AuthError> Dispatcher::Impl::websocket_caller(
    const RequestHead& head) const {
  const auto claim = parse_authentication(head);
  if (!claim) return tl::unexpected<AuthError>(claim.error());
  if (!*claim) {
    if (head.websockets_only || !head.client_certificate_id.empty()) return nullptr;
    return tl::unexpected<AuthError>(
        AuthError{AuthFailure::kMissing, "neither a signature nor a client certificate", {}, {}});
  }
  if ((*claim)->scope.service != kGatewayService) {
    return tl::unexpected<AuthError>(
        AuthError{AuthFailure::kIncomplete,
                  "Credential should be scoped to correct service: '" + std::string(kGatewayService) + "'.",
                  {},
                  {}});
  }
  auto verified = verify(head, **claim, kNoBodySha256, verify_options(), keys, clock.now());
  if (!verified) return tl::unexpected<AuthError>(std::move(verified.error()));
  return std::make_shared<const identity::Caller>(std::move(verified->caller));
}

Upgrade Dispatcher::upgrade(const RequestHead& head) {
  const std::string id = impl_->random.uuid();
  Outcome outcome{.service = "websocket", .operation = "Connect"};
  const auto refuse = [&](int status, const char* error, std::string message) {
    outcome.error = error;
    outcome.message = message;
    outcome.response.status = status;
    outcome.response.headers.set("Content-Type", "application/json");
    outcome.response.headers.set("x-amzn-RequestId", id);
    outcome.response.body =
        json::serialize(json::object{{"message", std::move(message)}, {"traceId", id}}) + "\n";
    impl_->account_for(head, outcome, id, 0);
    return Upgrade{std::move(outcome.response), {}};
  };
  if (head.path != kWebSocketPath || !impl_->websocket) {
    return refuse(404, "NotFound", "MQTT over WebSockets is at " + std::string(kWebSocketPath));
  }
  auto caller = impl_->websocket_caller(head);
  if (!caller) return refuse(403, "Forbidden", "Forbidden: " + caller.error().message);
  auto accepted = accept_mqtt_websocket(head);
  if (!accepted) {
    outcome.error = "Handshake";
    outcome.message = accepted.error().body;
    outcome.response = std::move(accepted.error());
    impl_->account_for(head, outcome, id, 0);
    return {std::move(outcome.response), {}};
  }
  if (*caller) outcome.caller = (*caller)->arn;
  outcome.response = std::move(*accepted);
  impl_->account_for(head, outcome, id, 0);
  return {std::move(outcome.response), [this, who = std::move(*caller)](Upgraded connection) mutable {
            impl_->websocket(std::move(connection), std::move(who));
          }};
}

}  // namespace fleetward::http
