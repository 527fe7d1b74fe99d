#pragma once

#include <string_view>

#include "mqtt/cursor.h"
#include "mqtt/decoder.h"
#include "mqtt/packet.h"

namespace fleetward::mqtt {

// Reads what follows the fixed header, one function for each packet type; each fills its packet and answers
// true, or sets `error` and answers false. Internal to the decoder.
struct Body {
  Cursor cursor;
  Version version;
  const DecoderOptions& options;
  DecodeError error;

  bool publish(uint8_t flags, Publish& packet);
  // Every type but PUBLISH.
  bool control(PacketType type, Packet& packet);

 private:
  bool connect(Connect& packet);
  bool connect_version(Connect& packet);
  bool connect_flags(uint8_t flags, Connect& packet);
  bool connect_will(Connect& packet);
  bool connack(Connack& packet);
  bool ack(PacketType type, Ack& packet);
  bool subscribe(Subscribe& packet);
  bool subscription_options(Subscription& subscription);
  bool unsubscribe(Unsubscribe& packet);
  bool subscription_ack(PacketType type, SubscriptionAck& packet);
  bool disconnect(Disconnect& packet);
  bool auth(Auth& packet);

  bool refuse(ReasonCode reason, std::string_view text) {
    error = {reason, text};
    return false;
  }
  bool malformed(std::string_view text) { return refuse(ReasonCode::kMalformedPacket, text); }
  bool protocol_error(std::string_view text) { return refuse(ReasonCode::kProtocolError, text); }
  bool short_packet() { return malformed("the packet ends before its fields (MQTT 5 section 2.1.4)"); }

  bool v5() const { return version == Version::k5; }
  bool text(std::string_view& value, std::string_view fault);
  bool packet_id(uint16_t& id);
  bool reason(PacketType type, ReasonCode& value);
  // The property list where version 5 has one; clears them in 3.1.1.
  bool properties(unsigned list, Properties& values);
  bool at_end() {
    return cursor.at == cursor.end || malformed("bytes after the last field (MQTT 5 section 2.1.4)");
  }
};

}  // namespace fleetward::mqtt
