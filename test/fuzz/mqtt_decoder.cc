#include <cstdint>
#include <cstdlib>
#include <string>

#include "mqtt/decoder.h"
#include "mqtt/encoder.h"

// Any bytes, either receiver, either version: the decoder must not read beyond them, and what it accepts must
// survive encoding and decoding again unchanged.
namespace {

using namespace fleetward::mqtt;

std::string encode_again(const Packet& packet, Version version) {
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

void require(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  DecoderOptions options;
  options.receiver = (data[0] & 1) != 0 ? Receiver::kClient : Receiver::kServer;
  options.packet_bytes_max = 65'536;
  Decoder decoder(options);
  decoder.set_version((data[0] & 2) != 0 ? Version::k5 : Version::k311);
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  Packet packet;
  while (true) {
    const auto outcome = decoder.next(bytes, packet);
    if (outcome.kind == Decoder::Kind::kError) require(!outcome.error.text.empty());
    if (outcome.kind != Decoder::Kind::kPacket) return 0;
    require(outcome.bytes >= 2 && outcome.bytes <= bytes.size());
    bytes.remove_prefix(outcome.bytes);
    const std::string once = encode_again(packet, decoder.version());
    Decoder again(options);
    again.set_version(decoder.version());
    Packet copy;
    const auto second = again.next(once, copy);
    require(second.kind == Decoder::Kind::kPacket && second.bytes == once.size() && copy.type == packet.type);
    require(encode_again(copy, decoder.version()) == once);
  }
}
