#include "core/address_list.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <optional>

#include "core/text.h"

namespace fleetward {
namespace {

struct Ip {
  std::array<uint8_t, 16> bytes{};
  int family = 0;
};

std::optional<Ip> parse_ip(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size()) return std::nullopt;
  std::memcpy(copy.data(), text.data(), text.size());
  Ip out;
  for (const int family : {AF_INET, AF_INET6}) {
    out.family = family;
    if (::inet_pton(family, copy.data(), out.bytes.data()) == 1) return out;
  }
  return std::nullopt;
}

bool same_bits(const std::array<uint8_t, 16>& a, const std::array<uint8_t, 16>& b, int bits) {
  const auto whole = static_cast<size_t>(bits / 8);
  if (!std::equal(a.begin(), a.begin() + static_cast<ptrdiff_t>(whole), b.begin())) return false;
  const int rest = bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

}  // namespace

Result<AddressList> AddressList::parse(const std::vector<std::string>& texts) {
  AddressList out;
  for (const std::string& text : texts) {
    const size_t slash = text.find('/');
    const auto ip = parse_ip(std::string_view(text).substr(0, slash));
    Network network;
    bool good = ip.has_value();
    if (good) {
      const int most = ip->family == AF_INET ? 32 : 128;
      network = {ip->bytes, ip->family, most};
      if (slash != std::string::npos) {
        const auto bits = parse_number<int>(std::string_view(text).substr(slash + 1));
        good = bits && *bits >= 0 && *bits <= most;
        if (good) network.bits = *bits;
      }
    }
    if (!good) {
      return fail(ErrorCode::kInvalidArgument, "'" + text + "' is no IP address or network (10.0.0.0/8)");
    }
    out.networks_.push_back(network);
  }
  return out;
}

bool AddressList::contains(std::string_view text) const {
  const auto ip = parse_ip(text);
  return ip && std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
           return network.family == ip->family && same_bits(network.bytes, ip->bytes, network.bits);
         });
}

}  // namespace fleetward
