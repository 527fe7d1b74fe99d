#include "api/iotdata/iotdata.h"
#include "core/encoding.h"

namespace fleetward::api::iotdata {
namespace {

using From = http::Binding::From;
using Type = http::Binding::Type;

void read_properties(Input& in, broker::Message& message) {
  message.content_type = in.string_or("contentType", "", {.max = 256});
  message.response_topic = in.string_or("responseTopic", "", {.max = 256});
  message.expiry_seconds =
      static_cast<uint32_t>(in.integer_or("messageExpiry", 0, 0, int64_t{7} * 24 * 3600));
  message.correlation_data = in.blob_opt("correlationData", 64 * 1024).value_or("");
  const auto format = in.one_of_opt("payloadFormatIndicator", {"UNSPECIFIED_BYTES", "UTF8_DATA"});
  message.payload_is_utf8 = format == "UTF8_DATA";
  if (const auto text = in.string_opt("userProperties")) {
    auto properties = parse_user_properties(*text);
    if (!properties) {
      in.fail("userProperties", properties.error().message);
    } else {
      message.user_properties = std::move(*properties);
    }
  }
}

http::ApiResult<json::object> publish(const Dependencies& d, const http::Call& call,
                                      const json::object& arguments) {
  Input in(arguments, kIotDataStyle);
  broker::Message message;
  message.topic = in.string("topic", {.min = 1});
  message.qos = static_cast<int>(in.integer_or("qos", 0, 0, 1));
  message.retain = in.boolean_or("retain", false);
  read_properties(in, message);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  message.payload = call.payload;
  if (message.payload_is_utf8 && !is_utf8(message.payload)) {
    return refuse(kIotDataStyle, "The payload is not UTF-8, as payloadFormatIndicator says");
  }
  if (auto ok = check_message(d.broker, message); !ok) return refuse(kIotDataStyle, ok.error());
  if (message.retain && call.context != nullptr) {
    const std::string resource = d.account.arn("iot", "topic/" + message.topic);
    auto allowed = d.authorize(call.caller, "iot:RetainPublish", resource, *call.context);
    if (!allowed) return refuse(kIotDataStyle, allowed.error());
  }
  if (auto ok = publish_and_wait(d.broker, std::move(message)); !ok) return refuse(kIotDataStyle, ok.error());
  return json::object{};
}

}  // namespace

std::vector<http::Operation> publish_operations(const Dependencies& d) {
  http::Operation out;
  out.name = "Publish";
  out.method = "POST";
  out.uri = "/topics/{topic+}";
  out.bindings = {{From::kQuery, "qos", "qos", Type::kInteger},
                  {From::kQuery, "retain", "retain", Type::kBoolean},
                  {From::kQuery, "contentType", "contentType"},
                  {From::kQuery, "responseTopic", "responseTopic"},
                  {From::kQuery, "messageExpiry", "messageExpiry", Type::kInteger},
                  {From::kHeader, "x-amz-mqtt5-user-properties", "userProperties"},
                  {From::kHeader, "x-amz-mqtt5-payload-format-indicator", "payloadFormatIndicator"},
                  {From::kHeader, "x-amz-mqtt5-correlation-data", "correlationData"}};
  out.raw_payload = true;
  out.action = "iot:Publish";
  out.resource = [&account = d.account](const json::object& arguments) {
    return account.arn("iot", "topic/" + std::string(json::string_or(arguments, "topic")));
  };
  out.run = [d](const http::Call& call, const json::object& arguments) {
    return publish(d, call, arguments);
  };
  return {std::move(out)};
}

}  // namespace fleetward::api::iotdata
