#include "alerts/notification.h"

namespace fleetward::alerts {
namespace {

void line_to(std::string_view name, std::string_view value, std::string& out) {
  out += name;
  out += '\n';
  out += value;
  out += '\n';
}

}  // namespace

std::string_view kind_name(NotificationKind kind) {
  switch (kind) {
    case NotificationKind::kNotification:
      return "Notification";
    case NotificationKind::kSubscriptionConfirmation:
      return "SubscriptionConfirmation";
    case NotificationKind::kUnsubscribeConfirmation:
      return "UnsubscribeConfirmation";
  }
  return "Notification";
}

std::string string_to_sign(const Notification& n) {
  std::string out;
  const bool confirmation = n.kind != NotificationKind::kNotification;
  line_to("Message", n.message, out);
  line_to("MessageId", n.message_id, out);
  if (!confirmation && !n.subject.empty()) line_to("Subject", n.subject, out);
  if (confirmation) line_to("SubscribeURL", n.subscribe_url, out);
  line_to("Timestamp", to_iso8601(n.time), out);
  if (confirmation) line_to("Token", n.token, out);
  line_to("TopicArn", n.topic_arn, out);
  line_to("Type", kind_name(n.kind), out);
  return out;
}

std::string notification_json(const Notification& n, std::string_view signature_version,
                              std::string_view signature, std::string_view certificate_url) {
  const bool confirmation = n.kind != NotificationKind::kNotification;
  json::object out;
  out["Type"] = std::string(kind_name(n.kind));
  out["MessageId"] = n.message_id;
  if (confirmation) out["Token"] = n.token;
  out["TopicArn"] = n.topic_arn;
  if (!confirmation && !n.subject.empty()) out["Subject"] = n.subject;
  out["Message"] = n.message;
  if (confirmation) out["SubscribeURL"] = n.subscribe_url;
  out["Timestamp"] = to_iso8601(n.time);
  out["SignatureVersion"] = std::string(signature_version);
  out["Signature"] = std::string(signature);
  out["SigningCertURL"] = std::string(certificate_url);
  if (!confirmation) out["UnsubscribeURL"] = n.unsubscribe_url;
  if (!confirmation && !n.attributes.empty()) out["MessageAttributes"] = n.attributes;
  return json::serialize(out);
}

json::object delivered_attributes(const json::object& message_attributes) {
  json::object out;
  for (const auto& attribute : message_attributes) {
    if (!attribute.value().is_object()) continue;
    const json::object& o = attribute.value().get_object();
    const bool binary = json::string_or(o, "DataType").substr(0, 6) == "Binary";
    out[attribute.key()] = {
        {"Type", std::string(json::string_or(o, "DataType"))},
        {"Value", std::string(json::string_or(o, binary ? "BinaryValue" : "StringValue"))}};
  }
  return out;
}

Status check_structured(std::string_view message) {
  const auto parsed = json::parse(message);
  if (!parsed || !parsed->is_object()) {
    return fail(ErrorCode::kInvalidArgument, "Message Structure - JSON message body failed to parse");
  }
  for (const auto& member : parsed->get_object()) {
    if (!member.value().is_string()) {
      return fail(ErrorCode::kInvalidArgument,
                  "Message Structure - every member of the JSON must be a string");
    }
  }
  if (!parsed->get_object().contains("default")) {
    return fail(ErrorCode::kInvalidArgument, "Message Structure - No default entry in JSON message body");
  }
  return {};
}

std::string structured_message(std::string_view message, std::string_view protocol) {
  const auto parsed = json::parse(message);
  if (!parsed || !parsed->is_object()) return std::string(message);
  const json::object& o = parsed->get_object();
  return std::string(json::string_or(o, protocol, json::string_or(o, "default")));
}

}  // namespace fleetward::alerts
