#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "mqtt/packet.h"

namespace fleetward::mqtt {

// Appends one packet to `out`. Properties are written only for version 5 and are not checked against the
// packet: the caller sets those that belong. Texts above 65,535 bytes and packets above 268,435,455 bytes are
// the caller's fault: callers keep to limits far below.
void encode(std::string& out, const Connect& packet);  // by packet.version
void encode(std::string& out, Version version, const Connack& packet);
void encode(std::string& out, Version version, const Publish& packet);
void encode(std::string& out, Version version, const Ack& packet);
void encode(std::string& out, Version version, const Subscribe& packet);
void encode(std::string& out, Version version, const Unsubscribe& packet);
void encode(std::string& out, Version version, const SubscriptionAck& packet);
void encode(std::string& out, Version version, const Disconnect& packet);
void encode(std::string& out, const Auth& packet);  // version 5 only
// A PUBLISH whose header differs from what `packet` says.
struct PublishHeader {
  uint8_t qos = 0;
  bool dup = false;
  bool retain = false;
  uint16_t packet_id = 0;
};
void encode_publish(std::string& out, Version version, const Publish& packet, const PublishHeader& header);
void encode_pingreq(std::string& out);
void encode_pingresp(std::string& out);

// The short acknowledgement without properties: 4 bytes, or 5 with a reason in version 5.
inline void encode_ack(std::string& out, PacketType type, Version version, uint16_t packet_id,
                       ReasonCode reason = ReasonCode::kSuccess) {
  const bool with_reason = version == Version::k5 && reason != ReasonCode::kSuccess;
  const char flags = type == PacketType::kPubrel ? 2 : 0;  // [MQTT-3.6.1-1]
  const char bytes[5] = {static_cast<char>(static_cast<uint8_t>(type) << 4 | flags),
                         static_cast<char>(with_reason ? 3 : 2), static_cast<char>(packet_id >> 8),
                         static_cast<char>(packet_id & 0xFF), static_cast<char>(reason)};
  out.append(bytes, with_reason ? 5 : 4);
}

// A PUBLISH encoded once and sent to many: only the packet identifier differs between receivers.
struct PublishFrame {
  Version version = Version::k311;
  uint8_t qos = 0;
  std::string bytes;
  size_t packet_id_at = 0;  // offset of its two bytes; 0 with QoS 0

  // Appends the frame with this packet identifier (ignored with QoS 0).
  void append_to(std::string& out, uint16_t packet_id) const {
    const size_t start = out.size();
    out.append(bytes);
    if (packet_id_at != 0) {
      out[start + packet_id_at] = static_cast<char>(packet_id >> 8);
      out[start + packet_id_at + 1] = static_cast<char>(packet_id & 0xFF);
    }
  }
};
PublishFrame make_frame(Version version, const Publish& packet);
PublishFrame make_frame(Version version, const Publish& packet, uint8_t qos, bool retain);

// The frames of one message, each made when first asked for. `message` and what it points to must outlive
// this object. Not thread safe: one per shard and fan-out.
class PublishFrames {
 public:
  explicit PublishFrames(const Publish& message) : message_(message) {}
  // qos 0..2; the message's own qos and dup are ignored. `retain` is the flag to send.
  const PublishFrame& get(Version version, uint8_t qos, bool retain);

 private:
  const Publish& message_;
  std::array<std::unique_ptr<PublishFrame>, 12> frames_;  // version x qos x retain
};

// Bytes of the variable byte integer [MQTT-1.5.5-1]: 1..4.
size_t varint_size(uint32_t value);

}  // namespace fleetward::mqtt
