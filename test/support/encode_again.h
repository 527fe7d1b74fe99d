#pragma once

#include <string>

#include "mqtt/encoder.h"
#include "mqtt/packet.h"

namespace fleetward::mqtt::test {

// Encodes the member that `packet.type` names: what was decoded must come out as it went in.
inline std::string encode_again(const Packet& packet, Version version) {
  std::string out;
  switch (packet.type) {
    case PacketType::kConnect:
      encode(out, packet.connect);
      break;
    case PacketType::kConnack:
      encode(out, version, packet.connack);
      break;
    case PacketType::kPublish:
      encode(out, version, packet.publish);
      break;
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp:
      encode(out, version, packet.ack);
      break;
    case PacketType::kSubscribe:
      encode(out, version, packet.subscribe);
      break;
    case PacketType::kUnsubscribe:
      encode(out, version, packet.unsubscribe);
      break;
    case PacketType::kSuback:
    case PacketType::kUnsuback:
      encode(out, version, packet.subscription_ack);
      break;
    case PacketType::kDisconnect:
      encode(out, version, packet.disconnect);
      break;
    case PacketType::kAuth:
      encode(out, packet.auth);
      break;
    case PacketType::kPingreq:
      encode_pingreq(out);
      break;
    case PacketType::kPingresp:
      encode_pingresp(out);
      break;
  }
  return out;
}

}  // namespace fleetward::mqtt::test
