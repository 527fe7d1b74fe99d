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

// One message on its way to one subscription.
struct Delivery {
  std::string key;  // in the log's store
  NotificationKind kind = NotificationKind::kNotification;
  std::string topic, subscription;  // names, not ARNs
  std::string message_id;           // the same at every attempt
  std::string subject, message, attributes, token;
  Timestamp created;
  int attempts = 0;  // ended ones
  Timestamp next;    // not before
  // Of the MQTT message, as AlertRecord says.
  uint32_t hops = 0;
  size_t offspring_max = 0;
};

// JSON, for the log's store. decode: kCorrupt.
std::string encode_delivery(const Delivery& delivery);
Result<Delivery> decode_delivery(std::string key, std::string_view text);

}  // namespace fleetward::alerts
