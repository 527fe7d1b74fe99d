#include "mqtt/packet.h"

namespace fleetward::mqtt {

std::string_view to_string(PacketType type) {
  static constexpr std::array<std::string_view, 16> kNames = {
      "RESERVED",  "CONNECT", "CONNACK",     "PUBLISH",  "PUBACK",  "PUBREC",   "PUBREL",     "PUBCOMP",
      "SUBSCRIBE", "SUBACK",  "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"};
  return kNames[static_cast<uint8_t>(type) & 15];
}

}  // namespace fleetward::mqtt
