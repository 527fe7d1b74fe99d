#include "alerts/endpoint_address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <string_view>
#include <sys/socket.h>

namespace fleetward::alerts {
namespace {

using V6 = std::array<uint8_t, 16>;

enum class Reach { kPublic, kPrivate, kNever };

struct Range4 {
  uint32_t network;
  int bits;
  Reach reach;
};

constexpr Range4 kRanges4[] = {
    {0x00000000, 8, Reach::kNever},     // "this network": 0.0.0.0 is this machine
    {0x0A000000, 8, Reach::kPrivate},   // 10/8
    {0x64400000, 10, Reach::kPrivate},  // 100.64/10
    {0x7F000000, 8, Reach::kPrivate},   // loopback
    {0xA9FE0000, 16, Reach::kNever},    // 169.254/16, link-local
    {0xAC100000, 12, Reach::kPrivate},  // 172.16/12
    {0xC0000000, 24, Reach::kNever},    // IETF protocol assignments
    {0xC0A80000, 16, Reach::kPrivate},  // 192.168/16
    {0xC6120000, 15, Reach::kPrivate},  // 198.18/15, benchmarks
    {0xE0000000, 3, Reach::kNever},     // multicast, reserved, broadcast
};

Reach reach_of(uint32_t address) {
  for (const Range4& range : kRanges4) {
    if ((address ^ range.network) >> (32 - range.bits) == 0) return range.reach;
  }
  return Reach::kPublic;
}

uint32_t word(const V6& address, size_t at) {
  return static_cast<uint32_t>(address[at]) << 24 | static_cast<uint32_t>(address[at + 1]) << 16 |
         static_cast<uint32_t>(address[at + 2]) << 8 | address[at + 3];
}

// The IPv4 address that an IPv6 one stands for.
std::optional<uint32_t> embedded(const V6& a) {
  const bool zeros = std::all_of(a.begin(), a.begin() + 10, [](uint8_t b) { return b == 0; });
  if (zeros && a[10] == 0xFF && a[11] == 0xFF) return word(a, 12);                    // ::ffff:a.b.c.d
  if (zeros && a[10] == 0 && a[11] == 0 && word(a, 12) > 0xFFFF) return word(a, 12);  // ::a.b.c.d, deprecated
  if (word(a, 0) == 0x0064FF9B && word(a, 4) == 0 && word(a, 8) == 0) return word(a, 12);  // NAT64
  if (a[0] == 0x20 && a[1] == 0x02) return word(a, 2);                                     // 6to4
  return std::nullopt;
}

Reach reach_of(const V6& a) {
  if (const auto v4 = embedded(a)) return reach_of(*v4);
  const bool zeros = std::all_of(a.begin(), a.begin() + 15, [](uint8_t b) { return b == 0; });
  if (zeros && a[15] == 1) return Reach::kPrivate;                                // ::1
  if (zeros && a[15] == 0) return Reach::kNever;                                  // ::
  if ((a[0] & 0xFE) == 0xFC) return Reach::kPrivate;                              // fc00::/7
  if (word(a, 0) == 0x0064FF9B && word(a, 4) >> 16 == 1) return Reach::kPrivate;  // 64:ff9b:1::/48
  return (a[0] & 0xE0) == 0x20 ? Reach::kPublic : Reach::kNever;  // 2000::/3 is what is global
}

}  // namespace

Status check_endpoint_address(const sockaddr& address, bool private_allowed) {
  Reach reach = Reach::kNever;
  char text[INET6_ADDRSTRLEN] = "of another family";
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    reach = reach_of(ntohl(v4.sin_addr.s_addr));
  } else if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    V6 bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    reach = reach_of(bytes);
  }
  if (reach == Reach::kPublic || (reach == Reach::kPrivate && private_allowed)) return {};
  return fail(ErrorCode::kPermissionDenied,
              "the address " + std::string(text) +
                  (reach == Reach::kPrivate ? " is private ([sns] private_endpoints)"
                                            : " is link-local, multicast or reserved"));
}

std::string url_authority_problem(const std::string& url) {
  std::string_view rest = url;
  rest.remove_prefix(rest.find("://") + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) rest.remove_prefix(at + 1);
  std::string_view port;
  std::string_view host = rest;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return "the URL's host is not closed with ']'";
    host = rest.substr(1, end - 1);
    in6_addr parsed{};
    if (::inet_pton(AF_INET6, std::string(host).c_str(), &parsed) != 1) {
      return "the URL's host is not an IPv6 address";
    }
    port = rest.substr(end + 1);
  } else if (const size_t colon = rest.find(':'); colon != std::string_view::npos) {
    host = rest.substr(0, colon);
    port = rest.substr(colon);
  }
  if (host.empty()) return "the URL names no host";
  if (host.find_first_of("<>\"\\^`{|}[]%") != std::string_view::npos) {
    return "the URL's host holds a character that no host name has";
  }
  if (port.empty()) return "";
  if (port.front() != ':') return "the URL's host is followed by something that is no port";
  port.remove_prefix(1);
  uint32_t number = 0;
  for (const char c : port) {
    if (c < '0' || c > '9' || number > 65'535) return "the URL's port must be a number from 1 to 65535";
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  if (number == 0 || number > 65'535) return "the URL's port must be a number from 1 to 65535";
  return "";
}

}  // namespace fleetward::alerts
