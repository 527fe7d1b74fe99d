#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "alerts/http_sender.h"
#include "alerts/target.h"
#include "core/result.h"
#include "core/time.h"

// Signed posts. Pure. Source: the Standard Webhooks specification 1.0.0 ("Webhook metadata", "Signature
// scheme").
namespace fleetward::alerts {

// Secrets as "whsec_<base64 of 24 to 64 bytes>", one a line, at most kWebhookKeysMax: while two are given
// every post is signed with both, so that a receiver can change its own at any moment. Answers their bytes.
// kInvalidArgument never shows the secret.
inline constexpr size_t kWebhookKeysMax = 4;
Result<std::vector<std::string>> parse_secrets(std::string_view text);

// The value of webhook-signature: "v1,<base64 of HMAC-SHA256(key, id.seconds.body)>" for each key, with
// spaces between.
std::string webhook_signature(const std::vector<std::string>& keys, std::string_view id, int64_t seconds,
                              std::string_view body);

// The request of one attempt, signed with its own time.
HttpPost webhook_post(const Target& target, std::string_view id, std::string_view body, Timestamp now);

}  // namespace fleetward::alerts
