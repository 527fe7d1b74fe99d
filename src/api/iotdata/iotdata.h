#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/input.h"
#include "broker/broker.h"
#include "core/ids.h"
#include "core/random.h"
#include "http/dispatcher.h"
#include "http/operation.h"
#include "registry/device_authorizer.h"
#include "state/store.h"

// AWS IoT's data plane over HTTPS (REST-JSON, signing name "iotdata"): publish, retained messages,
// connections; and publishing by device certificate. Device shadows are refused by name.
namespace fleetward::api::iotdata {

// The broker as this API needs it; functions so that tests need none. Thread safe; they may block.
struct BrokerAccess {
  broker::InternalPublisher& publisher;
  std::function<std::vector<broker::RetainedMessage>(const std::string& begin, size_t count_max)>
      list_retained;
  std::function<std::optional<broker::RetainedMessage>(const std::string& topic)> get_retained;
  std::function<std::optional<broker::ConnectionInfo>(const std::string& client_id)> connection;
  std::function<bool(const std::string& client_id, bool clean_session, bool prevent_will)> disconnect;
  // Why nobody may publish to this valid topic (reserved, or of a missing feature), or nothing.
  std::function<std::optional<std::string_view>(std::string_view topic)> publish_refusal;
};

// References outlive the operations.
struct Dependencies {
  const BrokerAccess& broker;
  const AccountScope& account;
  // identity::Authorizer::authorize: for iot:RetainPublish, asked beside iot:Publish.
  http::AuthorizeFunction authorize;
};

http::Service service(const Dependencies& d);

// POST /topics/<topic> by a device's certificate (AWS: HTTPS): its policies decide, without a client id.
struct CertificatePublishDependencies {
  const BrokerAccess& broker;
  const state::Store& store;
  const registry::DeviceAuthorizer& authorizer;
  const Clock& clock;
  Random& random;
};
http::CertificatePublish certificate_publish(const CertificatePublishDependencies& d);

// --- shared by those files ---

inline constexpr size_t kPayloadBytesMax = 128 * 1024;

// What is wrong with publishing this message, for any publisher; fills nothing in.
Status check_message(const BrokerAccess& broker, const broker::Message& message);
// Publishes and waits until subscribers have it and it is durable where it must be; kUnavailable after ten
// seconds.
Status publish_and_wait(const BrokerAccess& broker, broker::Message message);
// The MQTT 5 user properties of an HTTP header: base64 of a JSON array of one-pair objects.
Result<std::vector<std::pair<std::string, std::string>>> parse_user_properties(std::string_view base64);

std::vector<http::Operation> publish_operations(const Dependencies& d);
std::vector<http::Operation> retained_operations(const Dependencies& d);
std::vector<http::Operation> connection_operations(const Dependencies& d);

}  // namespace fleetward::api::iotdata
