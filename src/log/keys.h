#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "log/log.h"

// The keys of the embedded log; their form is told in storage.h.
namespace fleetward::log::keys {

inline constexpr std::string_view kFormat = "F";
inline constexpr std::string_view kNextId = "N";
inline constexpr std::string_view kGroup = "G";
inline constexpr std::string_view kGroupOfState{"\0G", 2};
inline constexpr std::string_view kStateBegin = "\1";  // of the keys that are not the log's own

inline void put_u32(uint32_t n, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
}
inline void put_u64(uint64_t n, std::string& out) {
  put_u32(static_cast<uint32_t>(n >> 32), out);
  put_u32(static_cast<uint32_t>(n), out);
}
inline uint64_t get_big_endian(std::string_view bytes) {
  uint64_t n = 0;
  for (const char c : bytes) n = n << 8 | static_cast<uint8_t>(c);
  return n;
}

inline std::string record(uint32_t id, Offset last) {
  std::string out;
  put_u32(id, out);
  put_u64(last, out);
  return out;
}
inline std::string group_of_records() {
  return record(0, 0);
}
inline std::string partition(const Partition& p) {
  std::string out = "P" + p.stream;
  put_u32(p.index, out);
  return out;
}
inline std::string consumer(const std::string& name, const Partition& p) {
  std::string out = "C" + name + '\0' + p.stream;
  put_u32(p.index, out);
  return out;
}

}  // namespace fleetward::log::keys
