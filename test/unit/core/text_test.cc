#include "core/text.h"

#include <gtest/gtest.h>

namespace fleetward {
namespace {

TEST(Text, CaseIsAscii) {
  EXPECT_EQ(to_lower("X-Amz-\xC3\x84 09[]"), "x-amz-\xC3\x84 09[]");
  EXPECT_TRUE(equal_ignoring_case("Content-TYPE", "content-type"));
  EXPECT_FALSE(equal_ignoring_case("@", "`"));
  EXPECT_FALSE(equal_ignoring_case("ab", "abc"));
}

TEST(Text, TrimTakesWhatIsNamed) {
  EXPECT_EQ(trim(" \ta b\t "), "a b");
  EXPECT_EQ(trim("a\r\n"), "a\r\n");
  EXPECT_EQ(trim("a\r\n", " \t\r\n"), "a");
  EXPECT_EQ(trim(" \t"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Text, ParseNumberTakesTheWholeText) {
  EXPECT_EQ(parse_number<int>("-12"), -12);
  EXPECT_EQ(parse_number<uint64_t>("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_number<uint64_t>("fF", 16), 255u);
  EXPECT_EQ(parse_number<double>("1.5e3"), 1500.0);
  for (const char* bad : {"", "+1", " 1", "1 ", "1x", "99999999999"}) {
    EXPECT_EQ(parse_number<int>(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(parse_number<unsigned>("-1"), std::nullopt);
}

}  // namespace
}  // namespace fleetward
