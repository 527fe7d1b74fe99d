#include <cstdint>
#include <cstdlib>
#include <string>

#include "mqtt/decoder.h"
#include "test/support/encode_again.h"

// Any bytes, either receiver, either version: the decoder must not read beyond them, and what it accepts must
// survive encoding and decoding again unchanged.
namespace {

using namespace fleetward::mqtt;
using fleetward::mqtt::test::encode_again;

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
