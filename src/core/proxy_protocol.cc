#include "core/proxy_protocol.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <netinet/in.h>
#include <string>

#include "core/text.h"

namespace fleetward {
namespace {

using State = ProxyHeader::State;

constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kStart1 = "PROXY ";
constexpr size_t kLine1BytesMax = 107;  // its end included
constexpr size_t kFixed2Bytes = 16;

constexpr uint8_t kVersion2 = 0x20;
enum Command2 : uint8_t { kLocal = 0, kProxy = 1 };
enum Family2 : uint8_t { kUnspecified = 0x00, kTcp4 = 0x11, kTcp6 = 0x21, kUnixStream = 0x31 };

ProxyHeader invalid() {
  ProxyHeader out;
  out.state = State::kInvalid;
  return out;
}

bool starts_alike(std::string_view a, std::string_view b) {
  const size_t n = std::min(a.size(), b.size());
  return a.substr(0, n) == b.substr(0, n);
}

SocketAddress address_of(int family, const void* ip, uint16_t port) {
  sockaddr_storage storage{};
  if (family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, ip, sizeof v4->sin_addr);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    std::memcpy(&v6->sin6_addr, ip, sizeof v6->sin6_addr);
  }
  return describe_address(storage);
}

// "TCP4 192.0.2.7 198.51.100.1 4711 443"; false if it is not that.
bool read_line(std::string_view line, std::optional<SocketAddress>& source) {
  std::array<std::string, 5> words;
  size_t count = 0;
  for (size_t at = 0; at <= line.size(); ++count) {
    const size_t end = std::min(line.find(' ', at), line.size());
    if (count == 0 && line.substr(0, end) == "UNKNOWN") return true;  // what follows is to be ignored
    if (count == words.size()) return false;
    words[count] = line.substr(at, end - at);
    at = end + 1;
  }
  if (count != words.size() || (words[0] != "TCP4" && words[0] != "TCP6")) return false;
  const int family = words[0] == "TCP4" ? AF_INET : AF_INET6;
  std::array<unsigned char, sizeof(in6_addr)> from, to;
  const auto from_port = parse_number<uint16_t>(words[3]), to_port = parse_number<uint16_t>(words[4]);
  if (::inet_pton(family, words[1].c_str(), from.data()) != 1 ||
      ::inet_pton(family, words[2].c_str(), to.data()) != 1 || !from_port || !to_port) {
    return false;
  }
  source = address_of(family, from.data(), *from_port);
  return true;
}

ProxyHeader parse_version1(std::string_view bytes) {
  const size_t end = bytes.substr(0, kLine1BytesMax).find("\r\n");
  ProxyHeader out;
  if (end == std::string_view::npos) return bytes.size() >= kLine1BytesMax ? invalid() : out;
  if (!read_line(bytes.substr(kStart1.size(), end - kStart1.size()), out.source)) return invalid();
  out.state = State::kComplete;
  out.bytes = end + 2;
  return out;
}

ProxyHeader parse_version2(std::string_view bytes) {
  ProxyHeader out;
  if (bytes.size() < kFixed2Bytes) return out;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const auto number = [&](size_t i) { return static_cast<uint16_t>(byte(i) << 8 | byte(i + 1)); };
  const uint8_t command = byte(12) & 0x0F, family = byte(13);
  const size_t size = kFixed2Bytes + number(14);
  if ((byte(12) & 0xF0) != kVersion2 || command > kProxy || size > kProxyHeaderBytesMax) return invalid();
  const size_t ip_bytes = family == kTcp4 ? sizeof(in_addr) : family == kTcp6 ? sizeof(in6_addr) : 0;
  if (command == kProxy) {
    if (ip_bytes == 0 && family != kUnspecified && family != kUnixStream) return invalid();
    if (size < kFixed2Bytes + (ip_bytes == 0 ? 0 : 2 * ip_bytes + 4)) return invalid();
  }
  if (bytes.size() < size) return out;
  if (command == kProxy && ip_bytes > 0) {
    out.source = address_of(family == kTcp4 ? AF_INET : AF_INET6, bytes.data() + kFixed2Bytes,
                            number(kFixed2Bytes + 2 * ip_bytes));
  }
  out.state = State::kComplete;
  out.bytes = size;
  return out;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
  if (starts_alike(bytes, kSignature2)) return bytes.empty() ? ProxyHeader{} : parse_version2(bytes);
  if (!starts_alike(bytes, kStart1)) return invalid();
  return bytes.size() < kStart1.size() ? ProxyHeader{} : parse_version1(bytes);
}

}  // namespace fleetward
