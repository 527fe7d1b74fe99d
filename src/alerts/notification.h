#pragma once

#include <string>
#include <string_view>

#include "core/json.h"
#include "core/time.h"

// The documents SNS posts, and what of them is signed. Pure. Source: Amazon SNS Developer Guide, "Parsing
// message formats" and "Verifying the signatures of Amazon SNS messages".
namespace fleetward::alerts {

enum class NotificationKind { kNotification, kSubscriptionConfirmation, kUnsubscribeConfirmation };

struct Notification {
  NotificationKind kind = NotificationKind::kNotification;
  std::string message_id, topic_arn;
  std::string subject;  // empty: absent
  std::string message;
  Timestamp time;
  std::string token;            // confirmations
  std::string subscribe_url;    // confirmations
  std::string unsubscribe_url;  // notifications
  json::object attributes;      // {"name":{"Type":..,"Value":..}}
};

std::string_view kind_name(NotificationKind kind);  // "Notification"
// name LF value LF for each signed member.
std::string string_to_sign(const Notification& n);
std::string notification_json(const Notification& n, std::string_view signature_version,
                              std::string_view signature, std::string_view certificate_url);

// {"n":{"DataType":"String","StringValue":"v"}} -> {"n":{"Type":"String","Value":"v"}}
json::object delivered_attributes(const json::object& message_attributes);

// The text for a protocol of a message published with MessageStructure=json (see check_structured).
std::string structured_message(std::string_view message, std::string_view protocol);
// kInvalidArgument unless the message is a JSON object of strings with a "default".
Status check_structured(std::string_view message);

}  // namespace fleetward::alerts
