#pragma once

#include <array>
#include <cstdint>
#include <string>

// WebSocket frames as clients send them.
namespace fleetward::broker::frames {

inline constexpr uint8_t kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;

struct FrameOptions {
  bool fin = true, masked = true;
  uint8_t reserved = 0;
  int width = 0;  // of the length: 0 the least that holds it, else 2 or 8 bytes
};

// A client's frame.
inline std::string frame(uint8_t opcode, std::string payload, FrameOptions options = {}) {
  std::string out(1, static_cast<char>((options.fin ? 0x80 : 0) | options.reserved | opcode));
  int width = options.width;
  if (width == 0 && payload.size() > 125) width = payload.size() > 0xFFFF ? 8 : 2;
  const uint8_t mask_bit = options.masked ? 0x80 : 0;
  out += static_cast<char>(mask_bit | (width == 0 ? payload.size() : width == 2 ? 126 : 127));
  for (int i = width - 1; i >= 0; --i) out += static_cast<char>(uint64_t{payload.size()} >> (8 * i));
  if (options.masked) {
    constexpr std::array<char, 4> kKey = {'\x12', '\x00', '\xFE', '\x7B'};
    out.append(kKey.data(), kKey.size());
    for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(payload[i] ^ kKey[i % 4]);
  }
  return out + payload;
}

}  // namespace fleetward::broker::frames
