#include "registry/pki.h"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace fleetward::registry {
namespace {

constexpr Timestamp kNow{1767225600000};  // 2026-01-01
constexpr Duration kDay{24 * 3600 * 1000};

struct Directory {
  Directory() {
    char name[] = "/tmp/fleetward_pki_XXXXXX";
    path = mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path;
};

std::string contents(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Pki, DeviceCertificates) {
  SystemRandom random;
  auto authority = CertificateAuthority::create(random, kNow);
  ASSERT_TRUE(authority);
  for (const KeyType type : {KeyType::kP256, KeyType::kRsa2048}) {
    auto device = authority->issue_device(type, random, kNow);
    ASSERT_TRUE(device);
    EXPECT_TRUE(check_signed_by(device->certificate_pem, authority->certificate_pem()));
    auto facts = parse_certificate(device->certificate_pem);
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->id.str().size(), 64u);
    EXPECT_EQ(facts->subject.at("CommonName"), std::vector<std::string>{"AWS IoT Certificate"});
    EXPECT_EQ(to_iso8601(facts->not_after), "2049-12-31T23:59:59.000Z");
    EXPECT_FALSE(facts->is_authority);
    EXPECT_EQ(facts->issuer.at("Organization"), std::vector<std::string>{"Fleetward"});
    EXPECT_EQ(device->private_key_pem.substr(0, 31), type == KeyType::kP256
                                                         ? "-----BEGIN PRIVATE KEY-----\nMIG"
                                                         : "-----BEGIN RSA PRIVATE KEY-----");
    EXPECT_EQ(device->public_key_pem.substr(0, 26), "-----BEGIN PUBLIC KEY-----");
  }
}

TEST(Pki, RefusesWhatIsNotACertificate) {
  SystemRandom random;
  auto authority = CertificateAuthority::create(random, kNow);
  ASSERT_TRUE(authority);
  EXPECT_EQ(parse_certificate("").error().code, ErrorCode::kMalformed);
  EXPECT_EQ(parse_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").error().code,
            ErrorCode::kMalformed);
  EXPECT_EQ(parse_certificate(authority->private_key_pem()).error().code, ErrorCode::kMalformed);
  EXPECT_EQ(parse_certificate(std::string(kPemBytesMax + 1, 'x')).error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(parse_certificate_der("\x30\x03\x02\x01\x01").error().code, ErrorCode::kMalformed);
  EXPECT_FALSE(CertificateAuthority::load(authority->certificate_pem(), "x"));
  auto other = CertificateAuthority::create(random, kNow);
  ASSERT_TRUE(other);
  EXPECT_FALSE(CertificateAuthority::load(authority->certificate_pem(), other->private_key_pem()));
  EXPECT_FALSE(check_signed_by(authority->certificate_pem(), other->certificate_pem()));
}

TEST(Pki, Requests) {
  SystemRandom random;
  auto authority = CertificateAuthority::create(random, kNow);
  ASSERT_TRUE(authority);
  const std::string request = contents(std::string(FLEETWARD_TEST_DATA) + "/p256.csr");
  auto first = authority->issue_from_request(request, random, kNow);
  auto second = authority->issue_from_request(request, random, kNow);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_TRUE(second);
  EXPECT_NE(parse_certificate(first->certificate_pem)->id, parse_certificate(second->certificate_pem)->id);
  EXPECT_EQ(parse_certificate(first->certificate_pem)->subject.at("CommonName").front(), "soundbox-1");
  EXPECT_TRUE(first->private_key_pem.empty());
  EXPECT_EQ(authority->issue_from_request("nonsense", random, kNow).error().code, ErrorCode::kMalformed);
  EXPECT_EQ(
      authority->issue_from_request(contents(std::string(FLEETWARD_TEST_DATA) + "/rsa1024.csr"), random, kNow)
          .error()
          .code,
      ErrorCode::kInvalidArgument);
  std::string forged = request;  // one bit of the signed part
  forged[forged.find('\n') + 40] ^= 1;
  EXPECT_FALSE(authority->issue_from_request(forged, random, kNow));
}

TEST(Pki, FilesAreMadeOnceAndRenewed) {
  Directory directory;
  SystemRandom random;
  const std::string pki = directory.path + "/pki";
  auto first = open_pki(pki, {"localhost", "127.0.0.1", "::1"}, random, kNow);
  ASSERT_TRUE(first) << first.error().message;
  const std::string authority = contents(first->authority_certificate_path);
  const std::string server = contents(first->server.certificate_chain_path);
  struct stat facts{};
  for (const char* key : {"/ca.key", "/server.key"}) {
    ASSERT_EQ(stat((pki + key).c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0600u);
  }
  auto names = parse_certificate(server);
  ASSERT_TRUE(names);
  EXPECT_EQ(names->subject.at("AlternativeName.DNSName"), std::vector<std::string>{"localhost"});
  EXPECT_EQ(names->subject.at("AlternativeName.IPAddress"), (std::vector<std::string>{"127.0.0.1", "::1"}));

  const auto reopened = [&](const ServerNames& wanted, Timestamp now) {
    auto pki_again = open_pki(pki, wanted, random, now);
    EXPECT_TRUE(pki_again) << pki_again.error().message;
    EXPECT_EQ(contents(pki + "/ca.pem"), authority);
    return contents(pki + "/server.pem");
  };
  EXPECT_EQ(reopened({"127.0.0.1", "localhost", "0:0::1"}, kNow + 300 * kDay), server);
  const std::string late = reopened({"localhost", "127.0.0.1", "::1"}, kNow + 370 * kDay);
  EXPECT_NE(late, server);
  const std::string renamed = reopened({"broker.example"}, kNow + 370 * kDay);
  EXPECT_NE(renamed, late);
  EXPECT_NE(renamed.find(authority), std::string::npos) << "the chain ends with the CA";
}

TEST(Pki, AShortServerCertificateIsRenewedWithAThirdLeft) {
  Directory directory;
  SystemRandom random;
  const Duration lifetime{90'000};
  auto pki = open_pki(directory.path, {"localhost"}, random, kNow, lifetime);
  ASSERT_TRUE(pki);
  EXPECT_EQ(pki->server_not_after, kNow + lifetime);
  const std::string first = contents(pki->server.certificate_chain_path);
  EXPECT_FALSE(*renew_server(*pki, {"localhost"}, random, kNow + Duration{59'000}, lifetime));
  EXPECT_EQ(contents(pki->server.certificate_chain_path), first);
  EXPECT_TRUE(*renew_server(*pki, {"localhost"}, random, kNow + Duration{61'000}, lifetime));
  EXPECT_NE(contents(pki->server.certificate_chain_path), first);
  EXPECT_EQ(pki->server_not_after, kNow + Duration{61'000} + lifetime);
}

TEST(Pki, ALostKeyIsNotPapered) {
  Directory directory;
  SystemRandom random;
  ASSERT_TRUE(open_pki(directory.path, {"localhost"}, random, kNow));
  std::filesystem::remove(directory.path + "/ca.key");
  EXPECT_EQ(open_pki(directory.path, {"localhost"}, random, kNow).error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(open_pki(directory.path + "/other", {"bad name"}, random, kNow));
}

}  // namespace
}  // namespace fleetward::registry
