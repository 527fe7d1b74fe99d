#include "http/websocket_handshake.h"

#include <array>
#include <openssl/evp.h>

#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::http {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 1.3
constexpr size_t kKeyBytes = 16;

tl::unexpected<Response> refuse(int status, std::string text) {
  Response out;
  out.status = status;
  out.headers.add("Content-Type", "text/plain");
  if (status == 426) out.headers.add("Sec-WebSocket-Version", "13");
  out.body = std::move(text) + "\n";
  return tl::unexpected<Response>(std::move(out));
}

// Is `wanted` among the comma-separated values of all fields of that name?
bool lists(const Headers& headers, std::string_view name, std::string_view wanted) {
  for (const auto& [field, value] : headers.all()) {
    if (!equal_ignoring_case(field, name)) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const size_t comma = rest.find(',');
      if (trim(rest.substr(0, comma)) == wanted) return true;
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  return false;
}

std::string accept_of(std::string_view key) {
  const std::string text = std::string(key) + std::string(kGuid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return to_base64({reinterpret_cast<const char*>(digest.data()), size});
}

}  // namespace

tl::expected<Response, Response> accept_mqtt_websocket(const RequestHead& head) {
  if (!equal_ignoring_case(trim(head.headers.get("upgrade")), "websocket")) {
    return refuse(501, "the only upgrade here is to a WebSocket");
  }
  if (head.method != "GET") return refuse(405, "a WebSocket begins with GET");
  if (trim(head.headers.get("sec-websocket-version")) != "13") {
    return refuse(426, "Sec-WebSocket-Version must be 13");
  }
  const std::string_view key = trim(head.headers.get("sec-websocket-key"));
  const auto bytes = from_base64(key);
  if (!bytes || bytes->size() != kKeyBytes)
    return refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64");
  if (!lists(head.headers, "sec-websocket-protocol", "mqtt")) {
    return refuse(400, "Sec-WebSocket-Protocol must offer 'mqtt'");
  }
  Response out;
  out.status = 101;
  out.headers.add("Upgrade", "websocket");
  out.headers.add("Connection", "Upgrade");
  out.headers.add("Sec-WebSocket-Accept", accept_of(key));
  out.headers.add("Sec-WebSocket-Protocol", "mqtt");
  return out;
}

}  // namespace fleetward::http
