#include "http/sigv4.h"

#include <fstream>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

#include "core/encoding.h"
#include "http/aws_chunked.h"

namespace fleetward::http {
namespace {

constexpr Timestamp kNow{1795503600000};  // 2026-11-24T07:00:00Z

std::string read_file(const std::string& name) {
  std::ifstream in(std::string(FLEETWARD_TEST_DATA) + "/sigv4/" + name, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class FakeKeys final : public CredentialLookup {
 public:
  std::optional<identity::Credentials> find(std::string_view id) const override {
    if (id == "AKIDEXAMPLE")
      return identity::Credentials{"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "", {}, {}};
    if (id == "ASIATEMPORARY") {
      return identity::Credentials{"temporary/secret", "the+session/token==", token_expires, {}};
    }
    return std::nullopt;
  }
  Timestamp token_expires = kNow + Duration{1000};
};

const std::map<AuthFailure, std::string> kNames = {{AuthFailure::kIncomplete, "incomplete"},
                                                   {AuthFailure::kUnsupported, "unsupported"},
                                                   {AuthFailure::kUnknownKey, "unknown_key"},
                                                   {AuthFailure::kMismatch, "mismatch"},
                                                   {AuthFailure::kUnsignedHeader, "unsigned_header"},
                                                   {AuthFailure::kSkewed, "skewed"},
                                                   {AuthFailure::kPresignedExpired, "presigned_expired"},
                                                   {AuthFailure::kTokenInvalid, "token_invalid"},
                                                   {AuthFailure::kTokenExpired, "token_expired"},
                                                   {AuthFailure::kWrongRegion, "wrong_region"}};

struct Case {
  std::string name, expect, body;
  RequestHead head;
};

std::vector<Case> read_cases() {
  std::vector<Case> cases;
  std::istringstream in(read_file("requests.txt"));
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with("=== ")) {
      if (!cases.empty() && !line.empty()) cases.back().body += line;
      continue;
    }
    Case c;
    c.name = line.substr(4);
    std::getline(in, line);
    c.expect = line.substr(8);
    std::getline(in, line);
    std::getline(in, line);
    c.head.method = line.substr(0, line.find(' '));
    const size_t start = line.find(' ') + 1;
    EXPECT_TRUE(parse_target(line.substr(start, line.rfind(' ') - start), c.head));
    while (std::getline(in, line) && !line.empty()) {
      const size_t colon = line.find(": ");
      c.head.headers.add(line.substr(0, colon), line.substr(colon + 2));
    }
    cases.push_back(std::move(c));
  }
  return cases;
}

std::string outcome(const Case& c, const CredentialLookup& keys) {
  const auto claim = parse_authentication(c.head);
  if (!claim) return kNames.at(claim.error().kind);
  if (!*claim) return "none";
  const auto verified = verify(c.head, **claim, sha256_hex(c.body), {"eu-west-1"}, keys, kNow);
  return verified ? "ok" : kNames.at(verified.error().kind);
}

TEST(SigV4, AgreesWithRequestsSignedByBotocore) {
  const auto cases = read_cases();
  ASSERT_GT(cases.size(), 35u);
  const FakeKeys keys;
  for (const Case& c : cases) EXPECT_EQ(outcome(c, keys), c.expect) << c.name;
}

TEST(SigV4, ExpiredSession) {
  FakeKeys keys;
  keys.token_expires = kNow;
  for (const Case& c : read_cases()) {
    if (c.name == "temporary credentials") {
      EXPECT_EQ(outcome(c, keys), "token_expired");
    }
  }
}

// Any single changed character of the signature or of a signed header must be noticed.
TEST(SigV4, OneCharacterMatters) {
  const FakeKeys keys;
  for (Case c : read_cases()) {
    if (c.name != "firehose, json 1.1") continue;
    std::string authorization(c.head.headers.get("authorization"));
    for (size_t i = authorization.find("Signature=") + 10; i < authorization.size(); ++i) {
      std::string changed = authorization;
      changed[i] = changed[i] == '0' ? '1' : '0';
      c.head.headers.set("Authorization", changed);
      EXPECT_EQ(outcome(c, keys), "mismatch");
    }
  }
}

TEST(SigV4, OurSignerIsUnderstood) {
  const FakeKeys keys;
  identity::sigv4::Outgoing request{
      "PUT", "/bucket/a%20b", {{"x", "1 2"}}, {{"Host", "h:1"}, {"Content-Type", "t"}}, sha256_hex("data")};
  const identity::sigv4::Credentials credentials{"ASIATEMPORARY", "temporary/secret", "the+session/token=="};
  const auto received = [](const identity::sigv4::Outgoing& sent) {
    RequestHead head;
    head.method = sent.method;
    EXPECT_TRUE(parse_target(sent.raw_path + "?" + identity::sigv4::encode_query(sent.query), head));
    for (const auto& [name, value] : sent.headers) head.headers.add(name, value);
    return head;
  };
  auto presigned = request;
  identity::sigv4::sign(request, credentials, "eu-west-1", "s3", kNow);
  EXPECT_EQ(outcome({"", "", "data", received(request)}, keys), "ok");
  identity::sigv4::presign(presigned, credentials, "eu-west-1", "s3", kNow, 60);
  EXPECT_EQ(outcome({"", "", "data", received(presigned)}, keys), "ok");
}

ChunkSigning chunk_signing() {
  const identity::sigv4::Scope scope{"20261124", "eu-west-1", "s3"};
  return {identity::sigv4::signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", scope), "20261124T070000Z",
          scope.text(), "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"};
}

Status decode(PayloadForm form, std::string_view bytes, size_t step, std::string& out,
              ChunkSigning signing = chunk_signing(), uint64_t length = 25, std::string* checksum = nullptr) {
  ChunkedDecoder decoder(form, std::move(signing), length);
  for (size_t at = 0; at < bytes.size(); at += step) {
    if (auto ok = decoder.feed(bytes.substr(at, step), out); !ok) return ok;
  }
  auto ok = decoder.finish();
  if (checksum != nullptr) *checksum = decoder.trailers().get("x-amz-checksum-crc32");
  return ok;
}

TEST(AwsChunked, EveryFormInPiecesOfAnySize) {
  const std::pair<const char*, PayloadForm> forms[] = {
      {"chunks-signed.bin", PayloadForm::kStreamingSigned},
      {"chunks-signed-trailer.bin", PayloadForm::kStreamingSignedTrailer},
      {"chunks-unsigned-trailer.bin", PayloadForm::kStreamingUnsignedTrailer}};
  for (const auto& [file, form] : forms) {
    const std::string bytes = read_file(file);
    for (const size_t step : {size_t{1}, size_t{2}, size_t{7}, size_t{64}, bytes.size()}) {
      std::string out, checksum;
      const auto ok = decode(form, bytes, step, out, chunk_signing(), 25, &checksum);
      ASSERT_TRUE(ok) << file << " " << step << " " << ok.error().message;
      EXPECT_EQ(out, "first chunk, second chunk");
      EXPECT_EQ(checksum, form == PayloadForm::kStreamingSigned ? "" : "AAAAAA==");
    }
    std::string out;
    EXPECT_FALSE(decode(form, std::string_view(bytes).substr(0, bytes.size() / 2), 9, out)) << file;
    EXPECT_FALSE(decode(form, bytes, 9, out, chunk_signing(), 24)) << file;
    EXPECT_FALSE(decode(form, bytes, 9, out, chunk_signing(), 26)) << file;
  }
}

// No byte of a signed stream can change without being noticed, except in the framing's own optional parts.
TEST(AwsChunked, ChangedBytesAreNoticed) {
  for (const char* file : {"chunks-signed.bin", "chunks-signed-trailer.bin"}) {
    const std::string bytes = read_file(file);
    const auto form = std::string_view(file) == "chunks-signed.bin" ? PayloadForm::kStreamingSigned
                                                                    : PayloadForm::kStreamingSignedTrailer;
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (bytes[i] == '\r' || bytes[i] == '\n') continue;
      std::string changed = bytes;
      changed[i] ^= 1;
      std::string out;
      const auto ok = decode(form, changed, changed.size(), out);
      EXPECT_FALSE(ok) << file << " byte " << i;
    }
  }
}

// The example of the S3 API reference: 66,560 bytes of 'a' in chunks of 64 KiB.
TEST(AwsChunked, ExampleOfTheReference) {
  const identity::sigv4::Scope scope{"20130524", "us-east-1", "s3"};
  const ChunkSigning signing{identity::sigv4::signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", scope),
                             "20130524T000000Z", scope.text(),
                             "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"};
  const std::string body =
      "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" +
      std::string(65536, 'a') +
      "\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" +
      std::string(1024, 'a') +
      "\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n";
  std::string out;
  const auto ok = decode(PayloadForm::kStreamingSigned, body, 4096, out, signing, 66560);
  ASSERT_TRUE(ok) << ok.error().message;
  EXPECT_EQ(out.size(), 66560u);
}

TEST(Target, Parses) {
  RequestHead head;
  ASSERT_TRUE(parse_target("/b/a%20b?x=1+2&acl&y=%2F", head));
  EXPECT_EQ(head.path, "/b/a b");
  EXPECT_EQ(head.raw_path, "/b/a%20b");
  ASSERT_EQ(head.query.size(), 3u);
  EXPECT_EQ(head.find_query("x")->value, "1 2");
  EXPECT_FALSE(head.find_query("acl")->has_value);
  EXPECT_FALSE(parse_target("http://h/", head));
  EXPECT_FALSE(parse_target("/%zz", head));
}

}  // namespace
}  // namespace fleetward::http
