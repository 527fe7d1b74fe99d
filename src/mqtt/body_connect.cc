#include "mqtt/body.h"
#include "mqtt/properties.h"
#include "mqtt/utf8.h"

namespace fleetward::mqtt {

bool Body::connect_version(Connect& packet) {
  std::string_view name;
  if (!cursor.binary(name)) return short_packet();
  uint8_t level = 0;
  if (name == "MQIsdp") {
    return refuse(ReasonCode::kUnsupportedProtocolVersion, "MQTT 3.1 is not supported [MQTT-3.1.2-2]");
  }
  if (name != "MQTT") {
    return refuse(ReasonCode::kUnsupportedProtocolVersion, "the protocol name is not MQTT [MQTT-3.1.2-1]");
  }
  if (!cursor.u8(level)) return short_packet();
  if (level == 4 || level == 5) {
    version = packet.version = static_cast<Version>(level);
    return true;
  }
  // A later protocol is told so in the form of the latest one known.
  version = level > 5 ? Version::k5 : Version::k311;
  return refuse(ReasonCode::kUnsupportedProtocolVersion,
                "protocol version other than 4 and 5 [MQTT-3.1.2-2]");
}

bool Body::connect_flags(uint8_t flags, Connect& packet) {
  if ((flags & 1) != 0) return malformed("reserved CONNECT flag is not 0 [MQTT-3.1.2-3]");
  packet.clean_start = (flags & 0x02) != 0;
  packet.has_will = (flags & 0x04) != 0;
  packet.will.qos = (flags >> 3) & 3;
  packet.will.retain = (flags & 0x20) != 0;
  packet.has_password = (flags & 0x40) != 0;
  packet.has_user_name = (flags & 0x80) != 0;
  if (packet.will.qos == 3) return malformed("will QoS is 3 [MQTT-3.1.2-12]");
  if (!packet.has_will && packet.will.qos != 0) return malformed("will QoS without a will [MQTT-3.1.2-11]");
  if (!packet.has_will && packet.will.retain) return malformed("will retain without a will [MQTT-3.1.2-13]");
  if (!v5() && packet.has_password && !packet.has_user_name) {
    return malformed("password without a user name [MQTT-3.1.1: MQTT-3.1.2-22]");
  }
  return true;
}

bool Body::connect_will(Connect& packet) {
  Will& will = packet.will;
  if (!properties(kWillProperties, will.properties)) return false;
  if (!cursor.binary(will.topic)) return short_packet();
  const TextScan scan = scan_text(will.topic);
  if (!scan.valid) return malformed("will topic is not well-formed UTF-8 [MQTT-3.1.3-11]");
  if (will.topic.empty()) return refuse(ReasonCode::kTopicNameInvalid, "will topic is empty [MQTT-4.7.3-1]");
  if (scan.wildcard)
    return refuse(ReasonCode::kTopicNameInvalid, "will topic holds a wildcard [MQTT-3.3.2-2]");
  return cursor.binary(will.payload) || short_packet();
}

bool Body::connect(Connect& packet) {
  if (options.receiver == Receiver::kClient)
    return protocol_error("a server sent CONNECT (MQTT 5 section 2.1.2)");
  uint8_t flags = 0;
  if (!connect_version(packet)) return false;
  if (!cursor.u8(flags)) return short_packet();
  if (!connect_flags(flags, packet)) return false;
  if (!cursor.u16(packet.keep_alive_s)) return short_packet();
  if (!properties(properties_of(PacketType::kConnect), packet.properties)) return false;
  if (!text(packet.client_id, "client identifier is not well-formed UTF-8 [MQTT-3.1.3-4]")) return false;
  packet.will.topic = packet.will.payload = packet.user_name = packet.password = {};
  packet.will.properties.clear();
  if (packet.has_will && !connect_will(packet)) return false;
  if (packet.has_user_name && !text(packet.user_name, "user name is not well-formed UTF-8 [MQTT-3.1.3-12]"))
    return false;
  if (packet.has_password && !cursor.binary(packet.password)) return short_packet();
  return at_end();
}

}  // namespace fleetward::mqtt
