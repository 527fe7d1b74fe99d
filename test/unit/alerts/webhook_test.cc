#include "alerts/webhook.h"

#include <gtest/gtest.h>

namespace fleetward::alerts {
namespace {

const std::string kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

// The values of the specification's reference libraries; the signature was computed with another language's
// HMAC.
TEST(Webhook, SignsAsTheSpecificationSays) {
  const auto keys = parse_secrets(kSecret).value();
  EXPECT_EQ(webhook_signature(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, R"({"test": 2432232314})"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(Webhook, SignsWithEverySecretThatIsGiven) {
  const auto keys = parse_secrets("\n" + kSecret + "\r\n  whsec_" + std::string(32, 'A') + "\n").value();
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[1], std::string(24, '\0'));
  const std::string both = webhook_signature(keys, "id", 1, "x");
  EXPECT_EQ(both,
            webhook_signature({keys[0]}, "id", 1, "x") + " " + webhook_signature({keys[1]}, "id", 1, "x"));
}

TEST(Webhook, BadSecretsAreRefusedWithoutBeingShown) {
  for (const std::string& text :
       {std::string(), std::string("whsec_"), std::string("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        std::string("whsec_c2hvcnQ="), std::string("whsec_!!!"), "whsec_" + std::string(88, 'A'),
        kSecret + "\n" + kSecret + "\n" + kSecret + "\n" + kSecret + "\n" + kSecret}) {
    const auto keys = parse_secrets(text);
    ASSERT_FALSE(keys) << text;
    EXPECT_EQ(keys.error().message.find("MfKQ"), std::string::npos);
  }
}

TEST(Webhook, APostHasTheHeadersAndTheTimeOfItsAttempt) {
  Target target;
  target.url = "https://hooks.example/x";
  target.ca_file = "ca.pem";
  target.timeout = Duration{3'000};
  target.keys = parse_secrets(kSecret).value();
  const HttpPost post = webhook_post(target, "id-1", "{}", {1614265330999});
  EXPECT_EQ(post.url, target.url);
  EXPECT_EQ(post.body, "{}");
  EXPECT_EQ(post.headers,
            (std::vector<std::string>{
                "Content-Type: application/json", "User-Agent: Fleetward", "webhook-id: id-1",
                "webhook-timestamp: 1614265330",
                "webhook-signature: " + webhook_signature(target.keys, "id-1", 1614265330, "{}")}));
  EXPECT_EQ(post.authorities_pem, "ca.pem");
  EXPECT_EQ(post.timeout, Duration{3'000});
}

}  // namespace
}  // namespace fleetward::alerts
