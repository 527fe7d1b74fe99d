#include "alerts/webhook.h"

#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::alerts {

Result<std::vector<std::string>> parse_secrets(std::string_view text) {
  constexpr std::string_view kPrefix = "whsec_";
  constexpr size_t kKeyBytesMin = 24, kKeyBytesMax = 64;
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end), " \t\r");
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.empty()) continue;
    const auto key = from_base64(line.starts_with(kPrefix) ? line.substr(kPrefix.size()) : "?");
    if (!key || key->size() < kKeyBytesMin || key->size() > kKeyBytesMax) {
      return fail(ErrorCode::kInvalidArgument, "must be whsec_ and the base64 form of 24 to 64 bytes");
    }
    out.push_back(*key);
  }
  if (out.empty()) return fail(ErrorCode::kInvalidArgument, "is empty");
  if (out.size() > kWebhookKeysMax) return fail(ErrorCode::kInvalidArgument, "has more than 4 secrets");
  return out;
}

std::string webhook_signature(const std::vector<std::string>& keys, std::string_view id, int64_t seconds,
                              std::string_view body) {
  std::string text(id);
  text += '.';
  text += std::to_string(seconds);
  text += '.';
  text += body;
  std::string out;
  for (const std::string& key : keys) {
    if (!out.empty()) out += ' ';
    out += "v1," + to_base64(hmac_sha256(key, text));
  }
  return out;
}

HttpPost webhook_post(const Target& target, std::string_view id, std::string_view body, Timestamp now) {
  const int64_t seconds = now.ms / 1000;
  HttpPost out{.url = target.url, .headers = {}, .body = std::string(body)};
  out.headers = {"Content-Type: application/json", "User-Agent: Fleetward", "webhook-id: " + std::string(id),
                 "webhook-timestamp: " + std::to_string(seconds),
                 "webhook-signature: " + webhook_signature(target.keys, id, seconds, body)};
  out.authorities_pem = target.ca_file;
  out.timeout = target.timeout;
  out.private_allowed = true;
  return out;
}

}  // namespace fleetward::alerts
