#include "broker/client_hello.h"

#include <cstdint>
#include <optional>

namespace fleetward::broker {
namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHelloMessage = 1;
constexpr uint16_t kServerNameExtension = 0;
constexpr uint16_t kAlpnExtension = 16;

// Reads big-endian fields; every read past the end fails and stays failed.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  std::optional<uint32_t> number(size_t width) {
    if (bytes_.size() < width) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < width; ++i) value = value << 8 | static_cast<uint8_t>(bytes_[i]);
    bytes_.remove_prefix(width);
    return value;
  }
  std::optional<std::string_view> take(size_t count) {
    if (bytes_.size() < count) return std::nullopt;
    const std::string_view out = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return out;
  }
  // A vector with a length prefix of `width` bytes.
  std::optional<std::string_view> vector(size_t width) {
    const auto size = number(width);
    return size ? take(*size) : std::nullopt;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

bool read_alpn(std::string_view body, ClientHello& hello) {
  Reader outer(body);
  const auto list = outer.vector(2);
  if (!list || !outer.empty()) return false;
  Reader names(*list);
  while (!names.empty()) {
    const auto name = names.vector(1);
    if (!name || name->empty()) return false;
    hello.alpn.emplace_back(*name);
  }
  return !hello.alpn.empty();
}

bool read_server_name(std::string_view body, ClientHello& hello) {
  Reader outer(body);
  const auto list = outer.vector(2);
  if (!list || !outer.empty()) return false;
  Reader names(*list);
  while (!names.empty()) {
    const auto type = names.number(1);
    const auto name = names.vector(2);
    if (!type || !name) return false;
    if (*type == 0 && hello.server_name.empty()) hello.server_name = std::string(*name);
  }
  return true;
}

bool read_extensions(std::string_view extensions, ClientHello& hello) {
  Reader reader(extensions);
  while (!reader.empty()) {
    const auto type = reader.number(2);
    const auto body = reader.vector(2);
    if (!type || !body) return false;
    if (*type == kAlpnExtension && (!hello.alpn.empty() || !read_alpn(*body, hello))) return false;
    if (*type == kServerNameExtension && !read_server_name(*body, hello)) return false;
  }
  return true;
}

bool read_hello(std::string_view message, ClientHello& hello) {
  Reader reader(message);
  if (!reader.take(2 + 32)) return false;  // version, random
  if (!reader.vector(1)) return false;     // session id
  const auto ciphers = reader.vector(2);
  if (!ciphers || ciphers->empty() || ciphers->size() % 2 != 0) return false;
  if (!reader.vector(1)) return false;  // compression methods
  if (reader.empty()) return true;      // TLS 1.2 without extensions
  const auto extensions = reader.vector(2);
  return extensions && reader.empty() && read_extensions(*extensions, hello);
}

}  // namespace

ClientHello parse_client_hello(std::string_view bytes) {
  ClientHello hello;
  const auto invalid = [&hello] {
    hello = ClientHello{};
    hello.state = ClientHello::State::kInvalid;
    return hello;
  };
  // Undo the record layer: each record carries a piece of the handshake message.
  std::string message;
  Reader records(bytes);
  while (!records.empty()) {
    const auto type = records.number(1);
    if (*type != kHandshakeRecord) return invalid();
    const auto version = records.number(2);
    if (version && (*version >> 8) != 3) return invalid();
    const auto length = records.number(2);
    if (!version || !length) break;
    if (*length == 0 || *length > 16 * 1024) return invalid();
    const auto whole = records.take(*length);
    if (!whole) break;
    message.append(*whole);
    if (static_cast<uint8_t>(message[0]) != kClientHelloMessage) return invalid();
    if (message.size() < 4) continue;
    Reader reader(std::string_view(message).substr(1));
    const uint32_t size = *reader.number(3);
    if (size > kClientHelloBytesMax) return invalid();
    const auto body = reader.take(size);
    if (!body) continue;
    if (!read_hello(*body, hello)) return invalid();
    hello.state = ClientHello::State::kComplete;
    return hello;
  }
  return bytes.size() >= kClientHelloBytesMax ? invalid() : hello;
}

}  // namespace fleetward::broker
