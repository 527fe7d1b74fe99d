#include "core/encoding.h"

#include <gtest/gtest.h>

#include "core/ids.h"
#include "core/random.h"
#include "core/time.h"

namespace fleetward {
namespace {

TEST(Encoding, Base64RoundTripsAndRefusesLooseText) {
  EXPECT_EQ(to_base64("hello"), "aGVsbG8=");
  EXPECT_EQ(*from_base64("aGVsbG8="), "hello");
  EXPECT_EQ(*from_base64(""), "");
  for (const char* bad : {"aGVsbG8", "aGVs bG8", "aGV=bG8=", "====", "a==="})
    EXPECT_FALSE(from_base64(bad)) << bad;
}

TEST(Encoding, PercentEscapes) {
  EXPECT_EQ(percent_encode("a b/c~é"), "a%20b%2Fc~%C3%A9");
  EXPECT_EQ(percent_encode("a/b", true), "a/b");
  EXPECT_EQ(*percent_decode("a%20b+c"), "a b+c");
  EXPECT_EQ(*percent_decode("a+b", true), "a b");
  EXPECT_FALSE(percent_decode("%4"));
  EXPECT_FALSE(percent_decode("%zz"));
}

TEST(Encoding, Utf8) {
  EXPECT_TRUE(is_utf8("aé€😀"));
  for (const char* bad :
       {"\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

TEST(Encoding, Sha256) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Ids, AreCheckedWhenBuilt) {
  EXPECT_TRUE(ThingName::parse("pump-17:a_b"));
  EXPECT_FALSE(ThingName::parse("pump 17"));
  EXPECT_FALSE(ClientId::parse("$x"));
  EXPECT_FALSE(AccountId::parse("12345"));
  EXPECT_EQ(parse_arn("arn:aws:iot:ap-south-1:123456789012:thing/a:b")->resource, "thing/a:b");
  EXPECT_FALSE(parse_arn("arn:aws:iot"));
}

TEST(Time, Formats) {
  EXPECT_EQ(to_iso8601({1767225600012}), "2026-01-01T00:00:00.012Z");
  EXPECT_EQ(to_iso8601_basic({1767225600000}), "20260101T000000Z");
  EXPECT_EQ(to_http_date({1767225600000}), "Thu, 01 Jan 2026 00:00:00 GMT");
}

TEST(Random, UuidHasVersionAndVariant) {
  SeededRandom random(7);
  const std::string id = random.uuid();
  EXPECT_EQ(id.size(), 36u);
  EXPECT_EQ(id[14], '4');
  EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
}

}  // namespace
}  // namespace fleetward
