#include <chrono>
#include <future>

#include "api/iotdata/iotdata.h"
#include "core/encoding.h"
#include "core/json.h"
#include "mqtt/topic.h"

namespace fleetward::api::iotdata {
namespace {

constexpr std::chrono::seconds kPublishTimeout{10};
constexpr size_t kUserPropertiesMax = 100;
constexpr size_t kUserPropertyBytesMax = 64 * 1024;

}  // namespace

Status check_message(const BrokerAccess& broker, const broker::Message& message) {
  const auto fault = mqtt::check_topic_name(message.topic, mqtt::TopicLimits::aws());
  if (fault != mqtt::TopicFault::kNone) {
    return fail(ErrorCode::kInvalidArgument, "topic: " + std::string(mqtt::to_string(fault)));
  }
  if (!is_utf8(message.topic) || message.topic.find('\0') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, "topic: must be UTF-8 text without U+0000");
  }
  if (const auto reason = broker.publish_refusal(message.topic)) {
    return fail(ErrorCode::kInvalidArgument, "topic: " + std::string(*reason));
  }
  if (message.retain && message.topic.starts_with('$')) {
    return fail(ErrorCode::kInvalidArgument, "retain: reserved topics have no retained messages");
  }
  if (message.payload.size() > kPayloadBytesMax) {
    return fail(ErrorCode::kLimitExceeded, "The payload exceeds 128 KiB");
  }
  return {};
}

Status publish_and_wait(const BrokerAccess& broker, broker::Message message) {
  auto done = std::make_shared<std::promise<Status>>();
  auto answer = done->get_future();
  broker.publisher.publish(std::make_shared<const broker::Message>(std::move(message)),
                           [done](Status status) { done->set_value(std::move(status)); });
  if (answer.wait_for(kPublishTimeout) != std::future_status::ready) {
    return fail(ErrorCode::kUnavailable, "The broker does not acknowledge the message");
  }
  return answer.get();
}

Result<std::vector<std::pair<std::string, std::string>>> parse_user_properties(std::string_view base64) {
  const auto bad = [](const char* why) { return fail(ErrorCode::kInvalidArgument, why); };
  const auto text = from_base64(base64);
  if (!text || text->size() > kUserPropertyBytesMax) return bad("userProperties: must be base64 text");
  const auto parsed = json::parse(*text);
  const json::array* list = parsed ? parsed->if_array() : nullptr;
  if (list == nullptr) return bad("userProperties: must be a JSON array");
  if (list->size() > kUserPropertiesMax) return bad("userProperties: at most 100");
  std::vector<std::pair<std::string, std::string>> out;
  for (const json::value& each : *list) {
    const json::object* pair = each.if_object();
    if (pair == nullptr || pair->size() != 1 || !pair->begin()->value().is_string()) {
      return bad("userProperties: each element is an object of one name and its text");
    }
    out.emplace_back(std::string(pair->begin()->key()), std::string(pair->begin()->value().get_string()));
  }
  return out;
}

}  // namespace fleetward::api::iotdata
