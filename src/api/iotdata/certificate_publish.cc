#include "api/iotdata/iotdata.h"
#include "core/encoding.h"
#include "core/json.h"
#include "core/text.h"

namespace fleetward::api::iotdata {
namespace {

constexpr uint32_t kExpirySecondsMax = 7 * 24 * 3600;
constexpr size_t kCorrelationBytesMax = 64 * 1024;

http::Response answer(int status, std::string_view message, const std::string& trace_id) {
  http::Response out;
  out.status = status;
  out.headers.set("Content-Type", "application/json");
  out.headers.set("x-amzn-RequestId", trace_id);
  out.body = json::serialize(json::object{{"message", message}, {"traceId", trace_id}});
  return out;
}

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kLimitExceeded:
      return 413;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kThrottled:
      return 429;
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kMalformed:
    case ErrorCode::kUnimplemented:
      return 400;
    default:
      return 500;
  }
}

// qos, retain and the MQTT 5 properties, from the query string and headers.
Result<broker::Message> read_message(const http::RequestHead& head, std::string_view topic) {
  broker::Message message;
  message.topic = topic;
  for (const http::QueryParameter& parameter : head.query) {
    if (parameter.name == "qos" && (parameter.value == "0" || parameter.value == "1")) {
      message.qos = parameter.value == "1";
    } else if (parameter.name == "retain" && (parameter.value == "true" || parameter.value == "false")) {
      message.retain = parameter.value == "true";
    } else if (parameter.name == "contentType" && parameter.value.size() <= 256) {
      message.content_type = parameter.value;
    } else if (parameter.name == "responseTopic" && parameter.value.size() <= 256) {
      message.response_topic = parameter.value;
    } else if (const auto seconds = parse_number<uint32_t>(parameter.value);
               parameter.name == "messageExpiry" && seconds && *seconds <= kExpirySecondsMax) {
      message.expiry_seconds = *seconds;
    } else {
      return fail(ErrorCode::kInvalidArgument,
                  "The query parameter '" + parameter.name + "' is unknown or its value is invalid");
    }
  }
  if (const auto text = head.headers.get("x-amz-mqtt5-user-properties"); !text.empty()) {
    auto properties = parse_user_properties(text);
    if (!properties) return fail(properties.error());
    message.user_properties = std::move(*properties);
  }
  if (const auto text = head.headers.get("x-amz-mqtt5-correlation-data"); !text.empty()) {
    auto data = from_base64(text);
    if (!data || data->size() > kCorrelationBytesMax) {
      return fail(ErrorCode::kInvalidArgument,
                  "x-amz-mqtt5-correlation-data must be base64 of at most 64 KiB");
    }
    message.correlation_data = std::move(*data);
  }
  if (const auto text = head.headers.get("x-amz-mqtt5-payload-format-indicator"); !text.empty()) {
    if (text != "UTF8_DATA" && text != "UNSPECIFIED_BYTES") {
      return fail(ErrorCode::kInvalidArgument,
                  "x-amz-mqtt5-payload-format-indicator must be UTF8_DATA or UNSPECIFIED_BYTES");
    }
    message.payload_is_utf8 = text == "UTF8_DATA";
  }
  return message;
}

http::Response run(const CertificatePublishDependencies& d, const http::RequestHead& head,
                   std::string_view topic, std::string payload) {
  const std::string trace_id = d.random.uuid();
  const auto snapshot = d.store.snapshot();
  if (d.authorizer.find_device(*snapshot, head.client_certificate_id) != registry::DeviceStatus::kActive) {
    return answer(401, "The certificate is not registered or not ACTIVE", trace_id);
  }
  auto message = read_message(head, topic);
  if (!message) return answer(400, message.error().message, trace_id);
  message->payload = std::move(payload);
  if (message->payload_is_utf8 && !is_utf8(message->payload)) {
    return answer(400, "The payload is not UTF-8, as x-amz-mqtt5-payload-format-indicator says", trace_id);
  }
  if (auto ok = check_message(d.broker, *message); !ok) {
    return answer(status_of(ok.error().code), ok.error().message, trace_id);
  }
  const registry::DeviceConnection connection{.certificate_id = head.client_certificate_id,
                                              .named_policy = {},
                                              .client_id = {},
                                              .source_address = head.peer_address,
                                              .server_name = head.server_name,
                                              .now = d.clock.now()};
  const auto policy = d.authorizer.compile(*snapshot, connection);
  if (!policy->allows(registry::DeviceAction::kPublish, topic) ||
      (message->retain && !policy->allows(registry::DeviceAction::kRetainPublish, topic))) {
    return answer(403, "Forbidden: the certificate's policies do not allow it", trace_id);
  }
  if (auto ok = publish_and_wait(d.broker, std::move(*message)); !ok) {
    return answer(status_of(ok.error().code), ok.error().message, trace_id);
  }
  return answer(200, "OK", trace_id);
}

}  // namespace

http::CertificatePublish certificate_publish(const CertificatePublishDependencies& d) {
  return [d](const http::RequestHead& head, std::string_view topic, std::string payload) {
    return run(d, head, topic, std::move(payload));
  };
}

}  // namespace fleetward::api::iotdata
