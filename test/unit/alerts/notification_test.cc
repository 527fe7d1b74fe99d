#include "alerts/notification.h"

#include <filesystem>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <gtest/gtest.h>

#include "alerts/signer.h"
#include "core/encoding.h"

namespace fleetward::alerts {
namespace {

Notification example() {
  Notification n;
  n.message_id = "id-1";
  n.topic_arn = "arn:aws:sns:eu-west-1:123456789012:alerts";
  n.subject = "Subject";
  n.message = "Line one\n\"quoted\"";
  n.time = {1795503600000};
  n.unsubscribe_url = "https://h/?Action=Unsubscribe";
  return n;
}

TEST(Notification, WhatIsSigned) {
  Notification n = example();
  EXPECT_EQ(string_to_sign(n),
            "Message\nLine "
            "one\n\"quoted\"\nMessageId\nid-1\nSubject\nSubject\nTimestamp\n2026-11-24T07:00:00.000Z\n"
            "TopicArn\narn:aws:sns:eu-west-1:123456789012:alerts\nType\nNotification\n");
  n.subject.clear();
  EXPECT_EQ(string_to_sign(n).find("Subject"), std::string::npos);
  n.kind = NotificationKind::kSubscriptionConfirmation;
  n.token = "t";
  n.subscribe_url = "u";
  EXPECT_EQ(
      string_to_sign(n),
      "Message\nLine one\n\"quoted\"\nMessageId\nid-1\nSubscribeURL\nu\nTimestamp\n2026-11-24T07:00:00.000Z\n"
      "Token\nt\nTopicArn\narn:aws:sns:eu-west-1:123456789012:alerts\nType\nSubscriptionConfirmation\n");
}

TEST(Notification, Json) {
  Notification n = example();
  n.attributes = delivered_attributes(
      json::parse(R"({"k":{"DataType":"String","StringValue":"v"}})").value().get_object());
  EXPECT_EQ(
      notification_json(n, "1", "SIG", "https://h/c.pem"),
      R"({"Type":"Notification","MessageId":"id-1","TopicArn":"arn:aws:sns:eu-west-1:123456789012:alerts",)"
      R"("Subject":"Subject","Message":"Line one\n\"quoted\"","Timestamp":"2026-11-24T07:00:00.000Z",)"
      R"("SignatureVersion":"1","Signature":"SIG","SigningCertURL":"https://h/c.pem",)"
      R"("UnsubscribeURL":"https://h/?Action=Unsubscribe","MessageAttributes":{"k":{"Type":"String","Value":"v"}}})");
}

TEST(Notification, StructuredMessages) {
  EXPECT_TRUE(check_structured(R"({"default":"d","http":"h"})"));
  EXPECT_FALSE(check_structured(R"({"http":"h"})"));
  EXPECT_FALSE(check_structured(R"({"default":5})"));
  EXPECT_FALSE(check_structured("text"));
  EXPECT_EQ(structured_message(R"({"default":"d","http":"h"})", "http"), "h");
  EXPECT_EQ(structured_message(R"({"default":"d","http":"h"})", "mqtt"), "d");
}

bool verifies(const std::string& pem, const std::string& text, const std::string& signature,
              const EVP_MD* digest) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const std::string raw = from_base64(signature).value();
  const bool ok =
      EVP_DigestVerifyInit(context, nullptr, digest, nullptr, X509_get0_pubkey(certificate)) == 1 &&
      EVP_DigestVerify(context, reinterpret_cast<const unsigned char*>(raw.data()), raw.size(),
                       reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
  EVP_MD_CTX_free(context);
  X509_free(certificate);
  BIO_free(bio);
  return ok;
}

TEST(Signer, KeepsItsKey) {
  const std::string directory = testing::TempDir() + "fleetward-signer";
  std::filesystem::remove_all(directory);
  SystemRandom random;
  const auto first = Signer::open(directory, "sns.eu-west-1.amazonaws.com", random, SystemClock().now());
  ASSERT_TRUE(first) << first.error().message;
  const std::string one = (*first)->sign("text", "1"), two = (*first)->sign("text", "2");
  EXPECT_TRUE(verifies((*first)->certificate_pem(), "text", one, EVP_sha1()));
  EXPECT_TRUE(verifies((*first)->certificate_pem(), "text", two, EVP_sha256()));
  EXPECT_FALSE(verifies((*first)->certificate_pem(), "texT", two, EVP_sha256()));
  const auto permissions = std::filesystem::status(directory + "/signing.key").permissions();
  EXPECT_EQ(permissions & std::filesystem::perms::others_read, std::filesystem::perms::none);

  const auto second = Signer::open(directory, "other", random, SystemClock().now());
  ASSERT_TRUE(second);
  EXPECT_EQ((*second)->certificate_path(), (*first)->certificate_path());
  EXPECT_EQ((*second)->sign("text", "2"), two);
  std::filesystem::remove(directory + "/signing.key");
  EXPECT_FALSE(Signer::open(directory, "other", random, SystemClock().now()));
}

}  // namespace
}  // namespace fleetward::alerts
