#include "mqtt/body.h"

#include "mqtt/properties.h"
#include "mqtt/utf8.h"

namespace fleetward::mqtt {

bool Body::text(std::string_view& value, std::string_view fault) {
  if (!cursor.binary(value)) return short_packet();
  return is_mqtt_utf8(value) || malformed(fault);
}

bool Body::packet_id(uint16_t& id) {
  if (!cursor.u16(id)) return short_packet();
  return id != 0 || protocol_error("packet identifier is 0 [MQTT-2.2.1-3]");
}

bool Body::reason(PacketType type, ReasonCode& value) {
  uint8_t byte = 0;
  if (!cursor.u8(byte)) return short_packet();
  value = static_cast<ReasonCode>(byte);
  return reason_belongs(type, value) ||
         protocol_error("a reason code that this packet does not have (MQTT 5 section 2.4)");
}

bool Body::properties(unsigned list, Properties& values) {
  if (!v5()) {
    values.clear();
    return true;
  }
  return read_properties(cursor, list, options.user_properties_max, values, error);
}

bool Body::publish(uint8_t flags, Publish& packet) {
  packet.qos = (flags >> 1) & 3;
  packet.dup = (flags & 8) != 0;
  packet.retain = (flags & 1) != 0;
  if (packet.qos == 3) return malformed("both QoS bits of PUBLISH are set [MQTT-3.3.1-4]");
  if (packet.dup && packet.qos == 0) return malformed("DUP is set with QoS 0 [MQTT-3.3.1-2]");
  if (!cursor.binary(packet.topic)) return short_packet();
  const TextScan scan = scan_text(packet.topic);
  if (!scan.valid) return malformed("topic name is not well-formed UTF-8 [MQTT-3.3.2-1]");
  if (scan.wildcard)
    return refuse(ReasonCode::kTopicNameInvalid, "topic name holds a wildcard [MQTT-3.3.2-2]");
  packet.packet_id = 0;
  if (packet.qos != 0 && !packet_id(packet.packet_id)) return false;
  if (!v5()) {
    packet.properties.clear();
    if (packet.topic.empty())
      return refuse(ReasonCode::kTopicNameInvalid, "topic name is empty [MQTT-4.7.3-1]");
  } else if (cursor.at != cursor.end && *cursor.at == 0) {
    packet.properties.clear();  // no properties: the usual case
    ++cursor.at;
    if (packet.topic.empty())
      return protocol_error("neither topic name nor topic alias (MQTT 5 section 3.3.2.1)");
  } else {
    if (!properties(properties_of(PacketType::kPublish), packet.properties)) return false;
    if (packet.topic.empty() && !packet.properties.has(Property::kTopicAlias)) {
      return protocol_error("neither topic name nor topic alias (MQTT 5 section 3.3.2.1)");
    }
    if (options.receiver == Receiver::kServer && packet.properties.has(Property::kSubscriptionId)) {
      return protocol_error("a client's PUBLISH holds a subscription identifier [MQTT-3.3.4-6]");
    }
  }
  packet.payload = {cursor.at, cursor.left()};
  return true;
}

bool Body::control(PacketType type, Packet& packet) {
  switch (type) {
    case PacketType::kConnect:
      return connect(packet.connect);
    case PacketType::kConnack:
      return connack(packet.connack);
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      return ack(type, packet.ack);
    case PacketType::kSubscribe:
      return subscribe(packet.subscribe);
    case PacketType::kUnsubscribe:
      return unsubscribe(packet.unsubscribe);
    case PacketType::kSuback:
    case PacketType::kUnsuback:
      return subscription_ack(type, packet.subscription_ack);
    case PacketType::kDisconnect:
      return disconnect(packet.disconnect);
    case PacketType::kAuth:
      return auth(packet.auth);
    default:
      return at_end();  // PINGREQ, PINGRESP
  }
}

bool Body::connack(Connack& packet) {
  uint8_t flags = 0;
  if (!cursor.u8(flags)) return short_packet();
  if (flags > 1) return malformed("reserved CONNACK flags are not 0 [MQTT-3.2.2-1]");
  packet.session_present = flags == 1;
  if (v5()) {
    if (!reason(PacketType::kConnack, packet.reason)) return false;
  } else {
    static constexpr std::array<ReasonCode, 6> kReasons = {ReasonCode::kSuccess,
                                                           ReasonCode::kUnsupportedProtocolVersion,
                                                           ReasonCode::kClientIdentifierNotValid,
                                                           ReasonCode::kServerUnavailable,
                                                           ReasonCode::kBadUserNameOrPassword,
                                                           ReasonCode::kNotAuthorized};
    uint8_t code = 0;
    if (!cursor.u8(code)) return short_packet();
    if (code >= kReasons.size()) return protocol_error("reserved CONNACK return code (MQTT 3.1.1 table 3.1)");
    packet.reason = kReasons[code];
  }
  if (packet.session_present && packet.reason != ReasonCode::kSuccess) {
    return protocol_error("session present in a refusal [MQTT-3.2.2-6]");
  }
  return properties(properties_of(PacketType::kConnack), packet.properties) && at_end();
}

bool Body::ack(PacketType type, Ack& packet) {
  packet.type = type;
  packet.reason = ReasonCode::kSuccess;
  packet.properties.clear();
  if (!packet_id(packet.packet_id)) return false;
  // Version 5 may leave out the property length, and before it a reason of 0.
  if (!v5() || cursor.at == cursor.end) return at_end();
  if (!reason(type, packet.reason)) return false;
  if (cursor.at == cursor.end) return true;
  return properties(properties_of(type), packet.properties) && at_end();
}

bool Body::subscribe(Subscribe& packet) {
  packet.subscriptions.clear();
  if (!packet_id(packet.packet_id) || !properties(properties_of(PacketType::kSubscribe), packet.properties))
    return false;
  if (cursor.at == cursor.end) return protocol_error("SUBSCRIBE without a topic filter [MQTT-3.8.3-2]");
  while (cursor.at != cursor.end) {
    if (packet.subscriptions.size() >= options.filters_max) {
      return refuse(ReasonCode::kQuotaExceeded, "more topic filters in SUBSCRIBE than this server takes");
    }
    Subscription subscription;
    if (!text(subscription.filter, "topic filter is not well-formed UTF-8 [MQTT-3.8.3-1]")) return false;
    if (subscription.filter.empty()) return protocol_error("topic filter is empty [MQTT-4.7.3-1]");
    if (!subscription_options(subscription)) return false;
    packet.subscriptions.push_back(subscription);
  }
  return true;
}

bool Body::subscription_options(Subscription& subscription) {
  uint8_t byte = 0;
  if (!cursor.u8(byte)) return short_packet();
  subscription.qos = byte & 3;
  if (subscription.qos == 3) return protocol_error("subscription QoS is 3 (MQTT 5 section 3.8.3.1)");
  if (!v5()) {
    return (byte & 0xFC) == 0 ||
           malformed("reserved bits of the requested QoS are not 0 [MQTT-3.1.1: MQTT-3-8.3-4]");
  }
  if ((byte & 0xC0) != 0) return malformed("reserved subscription options are not 0 [MQTT-3.8.3-5]");
  subscription.no_local = (byte & 4) != 0;
  subscription.retain_as_published = (byte & 8) != 0;
  subscription.retain_handling = (byte >> 4) & 3;
  if (subscription.retain_handling == 3)
    return protocol_error("retain handling is 3 (MQTT 5 section 3.8.3.1)");
  if (subscription.no_local && subscription.filter.starts_with("$share/")) {
    return protocol_error("no local on a shared subscription [MQTT-3.8.3-4]");
  }
  return true;
}

bool Body::unsubscribe(Unsubscribe& packet) {
  packet.filters.clear();
  if (!packet_id(packet.packet_id) || !properties(properties_of(PacketType::kUnsubscribe), packet.properties))
    return false;
  if (cursor.at == cursor.end) return protocol_error("UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]");
  while (cursor.at != cursor.end) {
    if (packet.filters.size() >= options.filters_max) {
      return refuse(ReasonCode::kQuotaExceeded, "more topic filters in UNSUBSCRIBE than this server takes");
    }
    std::string_view filter;
    if (!text(filter, "topic filter is not well-formed UTF-8 [MQTT-3.10.3-1]")) return false;
    if (filter.empty()) return protocol_error("topic filter is empty [MQTT-4.7.3-1]");
    packet.filters.push_back(filter);
  }
  return true;
}

bool Body::subscription_ack(PacketType type, SubscriptionAck& packet) {
  packet.type = type;
  packet.reasons.clear();
  if (!packet_id(packet.packet_id) || !properties(properties_of(type), packet.properties)) return false;
  if (!v5() && type == PacketType::kUnsuback) return at_end();
  if (cursor.at == cursor.end)
    return protocol_error("an acknowledgement without reason codes [MQTT-3.8.4-5]");
  while (cursor.at != cursor.end) {
    ReasonCode code = ReasonCode::kSuccess;
    if (!reason(type, code)) return false;
    if (!v5() && is_error(code) && code != ReasonCode::kUnspecifiedError) {
      return protocol_error("reserved SUBACK return code [MQTT-3.1.1: MQTT-3.9.3-2]");
    }
    packet.reasons.push_back(code);
  }
  return true;
}

bool Body::disconnect(Disconnect& packet) {
  packet.reason = ReasonCode::kSuccess;
  packet.properties.clear();
  if (!v5() || cursor.at == cursor.end) return at_end();
  if (!reason(PacketType::kDisconnect, packet.reason)) return false;
  if (cursor.at == cursor.end) return true;
  if (!properties(properties_of(PacketType::kDisconnect), packet.properties) || !at_end()) return false;
  if (options.receiver == Receiver::kClient && packet.properties.has(Property::kSessionExpiry)) {
    return protocol_error("a server's DISCONNECT holds a session expiry interval [MQTT-3.14.2-2]");
  }
  return true;
}

bool Body::auth(Auth& packet) {
  packet.reason = ReasonCode::kSuccess;
  packet.properties.clear();
  if (!v5()) return protocol_error("AUTH is a packet of MQTT 5 only (MQTT 3.1.1 section 2.2.1)");
  if (cursor.at == cursor.end) return true;
  return reason(PacketType::kAuth, packet.reason) &&
         properties(properties_of(PacketType::kAuth), packet.properties) && at_end();
}

}  // namespace fleetward::mqtt
