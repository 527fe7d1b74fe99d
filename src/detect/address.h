#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fleetward::detect {

// An IPv4 or IPv6 address as 16 bytes in network order; IPv4 is held in its IPv4-mapped form, so that both
// families order and compare in one way.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  auto operator<=>(const IpAddress&) const = default;
  bool is_v4() const;
  // "192.0.2.7", "2001:db8::1": the canonical form, not the one received.
  std::string text() const;
  // False if the text is not exactly one address (no port, no prefix, no zone).
  static bool parse(std::string_view text, IpAddress& out);
  // "192.0.2.7:443", "[2001:db8::1]:443", "2001:db8::1:443" (the port follows the last colon).
  static bool parse_endpoint(std::string_view text, IpAddress& address, uint16_t& port);
};

// Addresses covered by a list of CIDRs ("10.0.0.0/8", "2001:db8::/32", a bare address is itself). Kept as
// sorted, merged ranges of each family: one binary search per question, whatever the list's length.
class CidrSet {
 public:
  // kInvalidArgument names the entry that is not a CIDR. Host bits below the prefix are ignored.
  static Result<CidrSet> parse(const std::vector<std::string>& cidrs);
  bool contains(const IpAddress& address) const;

 private:
  struct Range {
    IpAddress first, last;  // inclusive
  };
  using Ranges = std::vector<Range>;
  static Ranges merge(Ranges ranges);
  Ranges v4_, v6_;
};

}  // namespace fleetward::detect
