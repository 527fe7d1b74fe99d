#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "alerts/notification.h"
#include "core/result.h"
#include "core/time.h"

namespace fleetward::alerts {

inline constexpr std::string_view kDeliveryPrefix = "alerts/delivery/";  // keys in the log's store

// One message on its way to one destination: a subscription of an SNS topic, or a target of the server's
// configuration (then `target` is its name and `topic`, `subscription` are empty).
struct Delivery {
  std::string key;  // in the log's store
  NotificationKind kind = NotificationKind::kNotification;
  std::string topic, subscription;  // names, not ARNs
  std::string target;
  std::string message_id;  // the same at every attempt
  std::string subject, message, attributes, token;
  Timestamp created;
  int attempts = 0;  // ended ones
  Timestamp next;    // not before; of the wall clock, because it outlives the program
  // Of the MQTT message, as AlertRecord says.
  uint32_t hops = 0;
  size_t offspring_max = 0;

  // Tells destinations of both kinds apart: a subscription's id, a UUID, or "target/<name>".
  std::string destination() const { return target.empty() ? subscription : "target/" + target; }
};

// The key of the delivery that the notification at `offset` of the stream becomes for one destination.
std::string delivery_key(uint64_t offset, std::string_view destination);

// JSON, for the log's store. decode: kCorrupt.
std::string encode_delivery(const Delivery& delivery);
Result<Delivery> decode_delivery(std::string key, std::string_view text);

}  // namespace fleetward::alerts
