#include "core/proxy_protocol.h"

#include <gtest/gtest.h>

namespace fleetward {
namespace {

using State = ProxyHeader::State;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string version2(uint8_t command, uint8_t family, const std::string& body) {
  return kSignature + static_cast<char>(command) + static_cast<char>(family) +
         static_cast<char>(body.size() >> 8) + static_cast<char>(body.size()) + body;
}

const std::string kTcp4("\xC0\x00\x02\x07\xC6\x33\x64\x01\x12\x67\x01\xBB", 12);
const std::string kTcp6 = std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07", 16) +
                          std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) + "\x12\x67\x01\xBB";

TEST(ProxyProtocol, SaysWhoTheClientIs) {
  struct Case {
    const char* name;
    std::string header;
    std::string ip;  // empty: the connection's own
    uint16_t port;
  };
  for (const Case& c : {
           Case{"TCP4", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n", "192.0.2.7", 4711},
           Case{"TCP6", "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "2001:db8::7", 4711},
           Case{"TCP6 of IPv4", "PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "192.0.2.7", 1},
           Case{"UNKNOWN", "PROXY UNKNOWN\r\n", "", 0},
           Case{"UNKNOWN with words", "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", "", 0},
           Case{"2 TCP4", version2(0x21, 0x11, kTcp4), "192.0.2.7", 4711},
           Case{"2 TCP4 and more", version2(0x21, 0x11, kTcp4 + std::string("\x04\x00\x01x", 4)), "192.0.2.7",
                4711},
           Case{"2 TCP6", version2(0x21, 0x21, kTcp6), "2001:db8::7", 4711},
           Case{"2 LOCAL", version2(0x20, 0x00, ""), "", 0},
           Case{"2 LOCAL with an address", version2(0x20, 0x11, kTcp4), "", 0},
           Case{"2 UNSPEC", version2(0x21, 0x00, ""), "", 0},
           Case{"2 Unix", version2(0x21, 0x31, std::string(216, 'x')), "", 0},
       }) {
    for (size_t cut = 0; cut < c.header.size(); ++cut) {
      EXPECT_EQ(parse_proxy_header(std::string_view(c.header).substr(0, cut)).state, State::kIncomplete)
          << c.name << " after " << cut;
    }
    const ProxyHeader header = parse_proxy_header(c.header + "\x16\x03\x01");
    ASSERT_EQ(header.state, State::kComplete) << c.name;
    EXPECT_EQ(header.bytes, c.header.size()) << c.name;
    EXPECT_EQ(header.source.has_value(), !c.ip.empty()) << c.name;
    if (!header.source) continue;
    EXPECT_EQ(header.source->ip, c.ip) << c.name;
    EXPECT_EQ(header.source->port, c.port) << c.name;
  }
}

TEST(ProxyProtocol, RefusesWhatIsNone) {
  std::string huge = kSignature + std::string("\x21\x11\x10\x00", 4);
  for (const std::string& bytes : {
           std::string("\x16\x03\x01"),
           std::string("GET / HTTP/1.1\r\n"),
           std::string("PROXX"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 1\r\n"),
           std::string("PROXY TCP4 192.0.2.7  198.51.100.1 4711 443\r\n"),
           std::string("PROXY TCP4 192.0.2.256 198.51.100.1 4711 443\r\n"),
           std::string("PROXY TCP4 2001:db8::7 198.51.100.1 4711 443\r\n"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n"),
           std::string("PROXY UDP4 192.0.2.7 198.51.100.1 1 443\r\n"),
           std::string("PROXY \r\n"),
           "PROXY " + std::string(101, 'x'),
           version2(0x11, 0x11, kTcp4),                // version 1 in the form of 2
           version2(0x22, 0x11, kTcp4),                // unknown command
           version2(0x21, 0x12, kTcp4),                // UDP
           version2(0x21, 0x11, kTcp4.substr(0, 11)),  // too short
           version2(0x21, 0x21, kTcp6.substr(0, 35)),
           huge,
       }) {
    EXPECT_EQ(parse_proxy_header(bytes).state, State::kInvalid) << bytes;
  }
}

}  // namespace
}  // namespace fleetward
