#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

// Reading and writing of the room's binary forms: varints (LEB128), also of signed numbers (zigzag),
// little-endian fixed widths, counted strings. Internal to detect/ and export/.
namespace fleetward::detect::bytes {

// So that small numbers of either sign have few bytes as a varint.
inline uint64_t zigzag(int64_t value) {
  return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
}
inline int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>(value >> 1 ^ (0 - (value & 1)));
}

inline void put_varint(std::string& out, uint64_t value) {
  char raw[10];
  size_t size = 0;
  while (value >= 0x80) {
    raw[size++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  raw[size++] = static_cast<char>(value);
  out.append(raw, size);
}
inline void put_u64(std::string& out, uint64_t value) {
  static_assert(std::endian::native == std::endian::little, "the log's binary forms are little-endian");
  char raw[8];
  std::memcpy(raw, &value, 8);
  out.append(raw, 8);
}
inline void put_double(std::string& out, double value) {
  put_u64(out, std::bit_cast<uint64_t>(value));
}
inline void put_string(std::string& out, std::string_view text) {
  put_varint(out, text.size());
  out.append(text);
}

// Takes values off the front; after a short read `ok` is false and everything reads as zero or empty.
struct Reader {
  std::string_view rest;
  bool ok = true;

  uint8_t u8() {
    if (rest.empty()) {
      ok = false;
      return 0;
    }
    const auto value = static_cast<uint8_t>(rest.front());
    rest.remove_prefix(1);
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest.empty()) break;
      const auto byte = static_cast<uint8_t>(rest.front());
      rest.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    ok = false;
    return 0;
  }
  std::string_view take(size_t count) {
    if (!ok || rest.size() < count) {
      ok = false;
      return {};
    }
    const std::string_view taken = rest.substr(0, count);
    rest.remove_prefix(count);
    return taken;
  }
  uint64_t u64() {
    const std::string_view raw = take(8);
    uint64_t value = 0;
    if (!raw.empty()) std::memcpy(&value, raw.data(), 8);
    return value;
  }
  double f64() { return std::bit_cast<double>(u64()); }
  std::string_view string() { return take(varint()); }
  // A count of elements of at least `bytes_each` bytes, so that a forged one cannot reserve memory.
  size_t count(size_t bytes_each) {
    const uint64_t value = varint();
    if (!ok || value > rest.size() / bytes_each) {
      ok = false;
      return 0;
    }
    return static_cast<size_t>(value);
  }
};

}  // namespace fleetward::detect::bytes
