#include "mqtt/utf8.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "mqtt/decoder.h"

namespace fleetward::mqtt {
namespace {

constexpr uint64_t kOnes = 0x0101010101010101;
constexpr uint64_t kHighs = 0x8080808080808080;

// High bit set in (at least) the lowest byte that is zero.
constexpr uint64_t zero_bytes(uint64_t word) {
  return (word - kOnes) & ~word & kHighs;
}

// Length of the well-formed sequence at `at` that starts with a byte >= 0x80; 0 if it is none (Unicode 15,
// table 3-7: no overlong forms, surrogates, or values above U+10FFFF).
size_t sequence(const uint8_t* at, size_t left) {
  const auto continues = [&](size_t i, uint8_t low = 0x80, uint8_t high = 0xBF) {
    return i < left && at[i] >= low && at[i] <= high;
  };
  const uint8_t lead = at[0];
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if ((lead & 0xF0) == 0xE0) {
    const uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
    const uint8_t high = lead == 0xED ? 0x9F : 0xBF;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

TextScan scan_text(std::string_view text) {
  TextScan scan;
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  size_t left = text.size();
  while (left > 0) {
    if (left >= 8) {
      uint64_t word = 0;
      std::memcpy(&word, at, 8);
      // Eight bytes of ASCII without NUL, '+' and '#': nearly always.
      if (((word & kHighs) | zero_bytes(word) | zero_bytes(word ^ kOnes * '+') |
           zero_bytes(word ^ kOnes * '#')) == 0) {
        at += 8;
        left -= 8;
        continue;
      }
    }
    size_t used = 1;
    if (*at >= 0x80) {
      used = sequence(at, left);
    } else if (*at == 0) {
      used = 0;
    } else if (*at == '+' || *at == '#') {
      scan.wildcard = true;
    }
    if (used == 0) return {false, scan.wildcard};
    at += used;
    left -= used;
  }
  return scan;
}

bool is_mqtt_utf8(std::string_view text) {
  return scan_text(text).valid;
}

}  // namespace fleetward::mqtt
