#include "mqtt/decoder.h"

#include "mqtt/body.h"

namespace fleetward::mqtt {
namespace {

Decoder::Outcome need_more(size_t whole) {
  return {Decoder::Kind::kNeedMore, whole, {}};
}

Decoder::Outcome refused(ReasonCode reason, std::string_view text) {
  return {Decoder::Kind::kError, 0, {reason, text}};
}

// The flags that the fixed header of each type must have [MQTT-2.1.3-1]; PUBLISH's are its own.
struct FlagRule {
  uint8_t flags;
  std::string_view fault;
};
constexpr std::array<FlagRule, 16> kFlagRules = {{
    {0, ""},
    {0, "reserved flags of CONNECT are not 0 [MQTT-2.1.3-1]"},
    {0, "reserved flags of CONNACK are not 0 [MQTT-2.1.3-1]"},
    {0, ""},
    {0, "reserved flags of PUBACK are not 0 [MQTT-2.1.3-1]"},
    {0, "reserved flags of PUBREC are not 0 [MQTT-2.1.3-1]"},
    {2, "reserved flags of PUBREL are not 2 [MQTT-3.6.1-1]"},
    {0, "reserved flags of PUBCOMP are not 0 [MQTT-2.1.3-1]"},
    {2, "reserved flags of SUBSCRIBE are not 2 [MQTT-3.8.1-1]"},
    {0, "reserved flags of SUBACK are not 0 [MQTT-2.1.3-1]"},
    {2, "reserved flags of UNSUBSCRIBE are not 2 [MQTT-3.10.1-1]"},
    {0, "reserved flags of UNSUBACK are not 0 [MQTT-2.1.3-1]"},
    {0, "reserved flags of PINGREQ are not 0 [MQTT-2.1.3-1]"},
    {0, "reserved flags of PINGRESP are not 0 [MQTT-2.1.3-1]"},
    {0, "reserved flags of DISCONNECT are not 0 [MQTT-3.14.1-1]"},
    {0, "reserved flags of AUTH are not 0 [MQTT-3.15.1-1]"},
}};

// Who may send what (MQTT 5 table 2-1).
constexpr uint16_t bit(PacketType type) {
  return static_cast<uint16_t>(1U << static_cast<unsigned>(type));
}
constexpr uint16_t kOnlyToServer = bit(PacketType::kConnect) | bit(PacketType::kSubscribe) |
                                   bit(PacketType::kUnsubscribe) | bit(PacketType::kPingreq);
constexpr uint16_t kOnlyToClient = bit(PacketType::kConnack) | bit(PacketType::kSuback) |
                                   bit(PacketType::kUnsuback) | bit(PacketType::kPingresp);

}  // namespace

Decoder::Outcome Decoder::next(std::string_view bytes, Packet& packet) {
  if (bytes.size() < 2) return need_more(0);
  Cursor cursor{bytes.data(), bytes.data() + bytes.size()};
  uint8_t first = 0;
  cursor.u8(first);
  uint32_t remaining = 0;
  switch (cursor.varint(remaining)) {
    case Cursor::Varint::kShort:
      return need_more(0);
    case Cursor::Varint::kBad:
      return refused(ReasonCode::kMalformedPacket, "malformed remaining length [MQTT-1.5.5-1]");
    case Cursor::Varint::kOk:
      break;
  }
  const size_t header = static_cast<size_t>(cursor.at - bytes.data());
  const size_t whole = header + remaining;
  if (whole > options_.packet_bytes_max) {
    return refused(ReasonCode::kPacketTooLarge, "packet above the maximum packet size [MQTT-3.2.2-15]");
  }
  const auto type = static_cast<PacketType>(first >> 4);
  if (first >> 4 == 0)
    return refused(ReasonCode::kMalformedPacket, "packet type 0 is reserved (MQTT 5 section 2.1.2)");
  const uint8_t flags = first & 0x0F;
  if (type != PacketType::kPublish) {
    const uint16_t forbidden = options_.receiver == Receiver::kServer ? kOnlyToClient : kOnlyToServer;
    if ((forbidden & bit(type)) != 0) {
      return refused(ReasonCode::kProtocolError,
                     "a packet type that only the other side may send (MQTT 5 section 2.1.2)");
    }
    const FlagRule& rule = kFlagRules[first >> 4];
    if (flags != rule.flags) return refused(ReasonCode::kMalformedPacket, rule.fault);
  }
  if (bytes.size() < whole) return need_more(whole);

  Body body{{cursor.at, cursor.at + remaining}, version_, options_, {}};
  const bool ok =
      type == PacketType::kPublish ? body.publish(flags, packet.publish) : body.control(type, packet);
  // A refused CONNECT still says how to answer it.
  if (type == PacketType::kConnect) version_ = body.version;
  if (!ok) return {Kind::kError, whole, body.error};
  packet.type = type;
  return {Kind::kPacket, whole, {}};
}

}  // namespace fleetward::mqtt
