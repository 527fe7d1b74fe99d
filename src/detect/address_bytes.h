#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "detect/address.h"
#include "detect/bytes.h"

// The compact form of a list of addresses: varint 2 * count + 1 if all are IPv4 (else 2 * count), then for
// each its 4 (or 16) bytes in network order. Internal to detect/.
namespace fleetward::detect::bytes {

inline void put_addresses(std::string& out, std::span<const IpAddress> addresses) {
  const bool v4 =
      std::all_of(addresses.begin(), addresses.end(), [](const IpAddress& a) { return a.is_v4(); });
  put_varint(out, addresses.size() << 1 | (v4 ? 1 : 0));
  for (const IpAddress& address : addresses) {
    const size_t from = v4 ? 12 : 0;
    out.append(reinterpret_cast<const char*>(address.bytes.data()) + from, 16 - from);
  }
}

// The bytes of the list's addresses; `each` becomes 4 or 16.
inline std::string_view take_addresses(Reader& in, size_t& each) {
  const uint64_t head = in.varint();
  each = (head & 1) != 0 ? 4 : 16;
  if (head >> 1 > in.rest.size() / each) in.ok = false;
  return in.take(in.ok ? (head >> 1) * each : 0);
}

// Adds to `out`.
inline void read_addresses(Reader& in, std::vector<IpAddress>& out) {
  size_t each = 0;
  for (std::string_view raw = take_addresses(in, each); !raw.empty(); raw.remove_prefix(each)) {
    IpAddress& address = out.emplace_back();
    if (each == 4) address.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::memcpy(address.bytes.data() + (16 - each), raw.data(), each);
  }
}

}  // namespace fleetward::detect::bytes
