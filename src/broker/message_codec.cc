#include "broker/message_codec.h"

#include <cstring>

namespace fleetward::broker {
namespace {

constexpr uint8_t kFormat = 1;
constexpr uint8_t kRetainFlag = 1;
constexpr uint8_t kUtf8Flag = 2;
constexpr unsigned kPresentShift = 2;  // Message::present_though_empty stands above the two flags
constexpr uint32_t kUserPropertiesMax = 4096;

void put_number(std::string& out, uint64_t value, size_t width) {
  for (size_t i = 0; i < width; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}
void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size(), 4);
  out.append(text);
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  uint64_t number(size_t width) {
    if (bytes_.size() < width) {
      failed_ = true;
      return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < width; ++i) value |= uint64_t{static_cast<uint8_t>(bytes_[i])} << (8 * i);
    bytes_.remove_prefix(width);
    return value;
  }
  std::string text() {
    const uint64_t size = number(4);
    if (failed_ || bytes_.size() < size) {
      failed_ = true;
      return {};
    }
    std::string out(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return out;
  }
  bool failed() const { return failed_; }
  bool done() const { return !failed_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

}  // namespace

std::string encode_message(const Message& message) {
  std::string out;
  out.reserve(64 + message_weight(message));
  put_number(out, kFormat, 1);
  put_number(out,
             (message.retain ? kRetainFlag : 0U) | (message.payload_is_utf8 ? kUtf8Flag : 0U) |
                 uint64_t{message.present_though_empty} << kPresentShift,
             1);
  put_number(out, static_cast<uint64_t>(message.qos), 1);
  put_number(out, message.expiry_seconds, 4);
  put_number(out, static_cast<uint64_t>(message.published.ms), 8);
  put_number(out, message.hops, 4);
  put_text(out, message.topic);
  put_text(out, message.payload);
  put_text(out, message.content_type);
  put_text(out, message.response_topic);
  put_text(out, message.correlation_data);
  put_number(out, message.user_properties.size(), 4);
  for (const auto& [name, value] : message.user_properties) {
    put_text(out, name);
    put_text(out, value);
  }
  return out;
}

Result<MessagePtr> decode_message(std::string_view bytes) {
  Reader reader(bytes);
  if (reader.number(1) != kFormat) return fail(ErrorCode::kCorrupt, "stored message: unknown format");
  auto message = std::make_shared<Message>();
  const uint64_t flags = reader.number(1);
  message->retain = (flags & kRetainFlag) != 0;
  message->payload_is_utf8 = (flags & kUtf8Flag) != 0;
  message->present_though_empty = static_cast<uint8_t>(flags >> kPresentShift);
  message->qos = static_cast<int>(reader.number(1));
  message->expiry_seconds = static_cast<uint32_t>(reader.number(4));
  message->published = {static_cast<int64_t>(reader.number(8))};
  message->hops = static_cast<uint32_t>(reader.number(4));
  message->topic = reader.text();
  message->payload = reader.text();
  message->content_type = reader.text();
  message->response_topic = reader.text();
  message->correlation_data = reader.text();
  const uint64_t count = reader.number(4);
  if (count > kUserPropertiesMax) return fail(ErrorCode::kCorrupt, "stored message: user properties");
  for (uint64_t i = 0; i < count && !reader.failed(); ++i) {
    std::string name = reader.text();
    std::string value = reader.text();
    message->user_properties.emplace_back(std::move(name), std::move(value));
  }
  if (!reader.done() || message->qos > 2) return fail(ErrorCode::kCorrupt, "stored message: malformed");
  return MessagePtr(std::move(message));
}

size_t message_weight(const Message& message) {
  size_t weight = sizeof(Message) + message.topic.size() + message.payload.size() +
                  message.content_type.size() + message.response_topic.size() +
                  message.correlation_data.size();
  for (const auto& [name, value] : message.user_properties) weight += name.size() + value.size() + 64;
  return weight;
}

bool to_publish(const Message& message, Timestamp now, mqtt::Publish& publish) {
  publish.qos = static_cast<uint8_t>(message.qos);
  publish.dup = false;
  publish.retain = false;
  publish.packet_id = 0;
  publish.topic = message.topic;
  publish.payload = message.payload;
  publish.properties.clear();
  bool fresh = true;
  if (message.expiry_seconds != 0) {
    const int64_t gone_s = std::max<int64_t>((now.ms - message.published.ms) / 1000, 0);
    fresh = gone_s < int64_t{message.expiry_seconds};
    const auto left_s = fresh ? static_cast<uint32_t>(int64_t{message.expiry_seconds} - gone_s) : 0;
    publish.properties.set(mqtt::Property::kMessageExpiry, left_s);
  }
  const auto present = [&message](uint8_t property) {
    return (message.present_though_empty & property) != 0;
  };
  if (message.payload_is_utf8 || present(Message::kPayloadFormat)) {
    publish.properties.set(mqtt::Property::kPayloadFormat, message.payload_is_utf8 ? 1U : 0U);
  }
  if (!message.content_type.empty() || present(Message::kContentType)) {
    publish.properties.set(mqtt::Property::kContentType, std::string_view(message.content_type));
  }
  if (!message.response_topic.empty()) {
    publish.properties.set(mqtt::Property::kResponseTopic, std::string_view(message.response_topic));
  }
  if (!message.correlation_data.empty() || present(Message::kCorrelationData)) {
    publish.properties.set(mqtt::Property::kCorrelationData, std::string_view(message.correlation_data));
  }
  for (const auto& [name, value] : message.user_properties) publish.properties.add_user(name, value);
  return fresh;
}

void properties_from_publish(const mqtt::Publish& publish, Message& message) {
  using mqtt::Property;
  const mqtt::Properties& p = publish.properties;
  message.qos = publish.qos;
  message.retain = publish.retain;
  if (p.empty()) return;
  message.expiry_seconds = p.number(Property::kMessageExpiry);
  message.payload_is_utf8 = p.number(Property::kPayloadFormat) == 1;
  message.content_type = p.text(Property::kContentType);
  message.response_topic = p.text(Property::kResponseTopic);
  message.correlation_data = p.text(Property::kCorrelationData);
  const auto note = [&](Property property, bool is_default, uint8_t bit) {
    if (is_default && p.has(property)) message.present_though_empty |= bit;
  };
  note(Property::kPayloadFormat, !message.payload_is_utf8, Message::kPayloadFormat);
  note(Property::kContentType, message.content_type.empty(), Message::kContentType);
  note(Property::kCorrelationData, message.correlation_data.empty(), Message::kCorrelationData);
  if (p.has(Property::kUserProperty)) {
    for (const auto& user : p.user()) message.user_properties.emplace_back(user.name, user.value);
  }
}

void from_publish(const mqtt::Publish& publish, Timestamp now, Message& message) {
  message.topic = publish.topic;
  message.payload = publish.payload;
  message.published = now;
  properties_from_publish(publish, message);
}

}  // namespace fleetward::broker
