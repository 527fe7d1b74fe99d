#include "api/page.h"

#include "core/encoding.h"

namespace fleetward::api {
namespace {

constexpr size_t kChecksumBytes = 8;
constexpr size_t kTokenBytesMax = 4096;

std::string checksum(std::string_view operation, std::string_view key) {
  std::string text(operation);
  text += '\0';
  text += key;
  const Digest256 digest = sha256(text);
  return std::string(reinterpret_cast<const char*>(digest.data()), kChecksumBytes);
}

}  // namespace

std::string encode_page_token(std::string_view operation, std::string_view last_key) {
  return to_base64(checksum(operation, last_key) + std::string(last_key));
}

std::optional<std::string> decode_page_token(std::string_view operation, std::string_view token) {
  if (token.size() > kTokenBytesMax) return std::nullopt;
  auto bytes = from_base64(token);
  if (!bytes || bytes->size() < kChecksumBytes) return std::nullopt;
  std::string key = bytes->substr(kChecksumBytes);
  if (checksum(operation, key) != std::string_view(*bytes).substr(0, kChecksumBytes)) return std::nullopt;
  return key;
}

}  // namespace fleetward::api
