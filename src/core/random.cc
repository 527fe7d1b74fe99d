#include "core/random.h"

#include <cstdlib>
#include <openssl/rand.h>

#include "core/encoding.h"

namespace fleetward {

std::string Random::uuid() {
  std::string raw = bytes(16);
  raw[6] = static_cast<char>((raw[6] & 0x0F) | 0x40);
  raw[8] = static_cast<char>((raw[8] & 0x3F) | 0x80);
  const std::string hex = to_hex(raw);
  return hex.substr(0, 8) + '-' + hex.substr(8, 4) + '-' + hex.substr(12, 4) + '-' + hex.substr(16, 4) + '-' +
         hex.substr(20);
}

std::string Random::text(size_t count, const std::string& alphabet) {
  const size_t usable = 256 - 256 % alphabet.size();  // bytes above this would favour the first characters
  std::string out;
  while (out.size() < count) {
    for (const char c : bytes(count - out.size())) {
      const auto b = static_cast<uint8_t>(c);
      if (b < usable) out += alphabet[b % alphabet.size()];
    }
  }
  return out;
}

std::string SystemRandom::bytes(size_t count) {
  std::string out(count, '\0');
  // Without entropy no key or token may be made; there is no honest way to go on.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) != 1) std::abort();
  return out;
}

std::string SeededRandom::bytes(size_t count) {
  const std::lock_guard lock(mutex_);
  std::string out(count, '\0');
  for (char& c : out) c = static_cast<char>(engine_() >> 56);
  return out;
}

}  // namespace fleetward
