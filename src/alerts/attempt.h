#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "alerts/http_sender.h"

namespace fleetward::alerts {

// One try to hand a delivery over, ready to leave.
struct MqttMessage {
  std::string topic, payload;
  int qos = 1;
  uint32_t hops = 0;  // as AlertRecord says
  size_t offspring_max = 0;
};
struct SyslogPost {
  std::string target;   // its name
  std::string message;  // without framing
};
using Attempt = std::variant<HttpPost, MqttMessage, SyslogPost>;

}  // namespace fleetward::alerts
