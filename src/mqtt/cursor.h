#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fleetward::mqtt {

// Reads the encodings of MQTT 5 section 1.5 from a range of bytes; each answers false, having moved nothing
// of use, if the bytes do not suffice. Internal to the codec.
struct Cursor {
  const char* at;
  const char* end;

  size_t left() const { return static_cast<size_t>(end - at); }
  bool u8(uint8_t& value) {
    if (left() < 1) return false;
    value = static_cast<uint8_t>(*at++);
    return true;
  }
  bool u16(uint16_t& value) {
    if (left() < 2) return false;
    value = static_cast<uint16_t>(static_cast<uint8_t>(at[0]) << 8 | static_cast<uint8_t>(at[1]));
    at += 2;
    return true;
  }
  bool u32(uint32_t& value) {
    uint16_t high = 0;
    uint16_t low = 0;
    if (left() < 4 || !u16(high) || !u16(low)) return false;
    value = static_cast<uint32_t>(high) << 16 | low;
    return true;
  }
  // Two bytes of length, then as many bytes.
  bool binary(std::string_view& value) {
    uint16_t size = 0;
    if (!u16(size) || left() < size) return false;
    value = {at, size};
    at += size;
    return true;
  }
  enum class Varint : uint8_t { kOk, kShort, kBad };  // kBad: over four bytes, or not the shortest form
  Varint varint(uint32_t& value) {
    value = 0;
    for (unsigned i = 0; i < 4; ++i) {
      uint8_t byte = 0;
      if (!u8(byte)) return Varint::kShort;
      value |= static_cast<uint32_t>(byte & 0x7F) << (7 * i);
      if ((byte & 0x80) == 0) return byte == 0 && i > 0 ? Varint::kBad : Varint::kOk;
    }
    return Varint::kBad;
  }
};

}  // namespace fleetward::mqtt
