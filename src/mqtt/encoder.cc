#include "mqtt/encoder.h"

#include "mqtt/properties.h"

namespace fleetward::mqtt {
namespace {

void put_u16(std::string& out, size_t value) {
  const char bytes[2] = {static_cast<char>(value >> 8), static_cast<char>(value & 0xFF)};
  out.append(bytes, 2);
}

void put_text(std::string& out, std::string_view text) {
  put_u16(out, text.size());
  out.append(text);
}

void put_header(std::string& out, PacketType type, unsigned flags, size_t remaining) {
  out.push_back(static_cast<char>(static_cast<unsigned>(type) << 4 | flags));
  write_varint(out, static_cast<uint32_t>(remaining));
}

// A property list with its size, counted once. Empty for 3.1.1.
struct List {
  List(Version version, const Properties& list) : properties(list), used(version == Version::k5) {
    size = used && !list.empty() ? properties_size(list) : 0;
  }
  size_t bytes() const { return used ? varint_size(static_cast<uint32_t>(size)) + size : 0; }
  void put(std::string& out) const {
    if (used) write_properties(out, properties, size);
  }
  const Properties& properties;
  bool used;
  size_t size;
};

uint8_t suback_code_311(ReasonCode reason) {
  return is_error(reason) ? 0x80 : static_cast<uint8_t>(reason);
}

// DISCONNECT and AUTH: nothing but the header if the reason is 0 and there are no properties.
void put_reason(std::string& out, PacketType type, ReasonCode reason, const Properties& properties) {
  const List list(Version::k5, properties);
  if (list.size == 0 && reason == ReasonCode::kSuccess) return put_header(out, type, 0, 0);
  const bool with_list = list.size != 0;
  put_header(out, type, 0, 1 + (with_list ? list.bytes() : 0));
  out.push_back(static_cast<char>(reason));
  if (with_list) list.put(out);
}

// Appends the packet; answers the offset in it of the packet identifier, 0 if there is none.
size_t put_publish(std::string& out, Version version, const Publish& packet, const PublishHeader& header) {
  const List list(version, packet.properties);
  const size_t id_bytes = header.qos > 0 ? 2 : 0;
  const size_t remaining = 2 + packet.topic.size() + id_bytes + list.bytes() + packet.payload.size();
  const size_t start = out.size();
  const unsigned flags =
      (header.dup ? 8U : 0U) | static_cast<unsigned>(header.qos) << 1 | (header.retain ? 1U : 0U);
  put_header(out, PacketType::kPublish, flags, remaining);
  put_text(out, packet.topic);
  const size_t id_at = out.size() - start;
  if (id_bytes != 0) put_u16(out, header.packet_id);
  list.put(out);
  out.append(packet.payload);
  return id_bytes != 0 ? id_at : 0;
}

}  // namespace

size_t varint_size(uint32_t value) {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20'0000 ? 3 : 4;
}

void encode(std::string& out, const Connect& packet) {
  const List list(packet.version, packet.properties);
  const List will_list(packet.version, packet.will.properties);
  size_t remaining = 10 + list.bytes() + 2 + packet.client_id.size();
  unsigned flags = packet.clean_start ? 0x02U : 0U;
  if (packet.has_will) {
    remaining += will_list.bytes() + 4 + packet.will.topic.size() + packet.will.payload.size();
    flags |= 0x04U | static_cast<unsigned>(packet.will.qos) << 3 | (packet.will.retain ? 0x20U : 0U);
  }
  if (packet.has_password) {
    remaining += 2 + packet.password.size();
    flags |= 0x40U;
  }
  if (packet.has_user_name) {
    remaining += 2 + packet.user_name.size();
    flags |= 0x80U;
  }
  put_header(out, PacketType::kConnect, 0, remaining);
  put_text(out, "MQTT");
  out.push_back(static_cast<char>(packet.version));
  out.push_back(static_cast<char>(flags));
  put_u16(out, packet.keep_alive_s);
  list.put(out);
  put_text(out, packet.client_id);
  if (packet.has_will) {
    will_list.put(out);
    put_text(out, packet.will.topic);
    put_text(out, packet.will.payload);
  }
  if (packet.has_user_name) put_text(out, packet.user_name);
  if (packet.has_password) put_text(out, packet.password);
}

void encode(std::string& out, Version version, const Connack& packet) {
  const List list(version, packet.properties);
  put_header(out, PacketType::kConnack, 0, 2 + list.bytes());
  out.push_back(packet.session_present ? 1 : 0);
  out.push_back(static_cast<char>(version == Version::k5 ? static_cast<uint8_t>(packet.reason)
                                                         : connack_code_311(packet.reason)));
  list.put(out);
}

void encode(std::string& out, Version version, const Publish& packet) {
  put_publish(out, version, packet, {packet.qos, packet.dup, packet.retain, packet.packet_id});
}

void encode_publish(std::string& out, Version version, const Publish& packet, const PublishHeader& header) {
  put_publish(out, version, packet, header);
}

void encode(std::string& out, Version version, const Ack& packet) {
  if (version == Version::k311 || packet.properties.empty()) {
    return encode_ack(out, packet.type, version, packet.packet_id, packet.reason);
  }
  const List list(version, packet.properties);
  put_header(out, packet.type, packet.type == PacketType::kPubrel ? 2 : 0, 3 + list.bytes());
  put_u16(out, packet.packet_id);
  out.push_back(static_cast<char>(packet.reason));
  list.put(out);
}

void encode(std::string& out, Version version, const Subscribe& packet) {
  const List list(version, packet.properties);
  size_t remaining = 2 + list.bytes();
  for (const Subscription& s : packet.subscriptions) remaining += 3 + s.filter.size();
  put_header(out, PacketType::kSubscribe, 2, remaining);
  put_u16(out, packet.packet_id);
  list.put(out);
  for (const Subscription& s : packet.subscriptions) {
    put_text(out, s.filter);
    unsigned options = s.qos;
    if (version == Version::k5) {
      options |= (s.no_local ? 4U : 0U) | (s.retain_as_published ? 8U : 0U) |
                 static_cast<unsigned>(s.retain_handling) << 4;
    }
    out.push_back(static_cast<char>(options));
  }
}

void encode(std::string& out, Version version, const Unsubscribe& packet) {
  const List list(version, packet.properties);
  size_t remaining = 2 + list.bytes();
  for (const std::string_view filter : packet.filters) remaining += 2 + filter.size();
  put_header(out, PacketType::kUnsubscribe, 2, remaining);
  put_u16(out, packet.packet_id);
  list.put(out);
  for (const std::string_view filter : packet.filters) put_text(out, filter);
}

void encode(std::string& out, Version version, const SubscriptionAck& packet) {
  const List list(version, packet.properties);
  const bool with_reasons = version == Version::k5 || packet.type == PacketType::kSuback;
  put_header(out, packet.type, 0, 2 + list.bytes() + (with_reasons ? packet.reasons.size() : 0));
  put_u16(out, packet.packet_id);
  list.put(out);
  if (!with_reasons) return;
  for (const ReasonCode reason : packet.reasons) {
    out.push_back(
        static_cast<char>(version == Version::k5 ? static_cast<uint8_t>(reason) : suback_code_311(reason)));
  }
}

void encode(std::string& out, Version version, const Disconnect& packet) {
  if (version == Version::k311) return put_header(out, PacketType::kDisconnect, 0, 0);
  put_reason(out, PacketType::kDisconnect, packet.reason, packet.properties);
}

void encode(std::string& out, const Auth& packet) {
  put_reason(out, PacketType::kAuth, packet.reason, packet.properties);
}

void encode_pingreq(std::string& out) {
  put_header(out, PacketType::kPingreq, 0, 0);
}

void encode_pingresp(std::string& out) {
  put_header(out, PacketType::kPingresp, 0, 0);
}

PublishFrame make_frame(Version version, const Publish& packet) {
  return make_frame(version, packet, packet.qos, packet.retain);
}

PublishFrame make_frame(Version version, const Publish& packet, uint8_t qos, bool retain) {
  PublishFrame frame;
  frame.version = version;
  frame.qos = qos;
  frame.bytes.reserve(packet.topic.size() + packet.payload.size() + 16);
  frame.packet_id_at = put_publish(frame.bytes, version, packet, {qos, false, retain, 0});
  return frame;
}

const PublishFrame& PublishFrames::get(Version version, uint8_t qos, bool retain) {
  auto& slot = frames_[(version == Version::k5 ? 6U : 0U) + qos * 2U + (retain ? 1U : 0U)];
  if (!slot) slot = std::make_unique<PublishFrame>(make_frame(version, message_, qos, retain));
  return *slot;
}

}  // namespace fleetward::mqtt
