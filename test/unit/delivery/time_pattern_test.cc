#include "delivery/time_pattern.h"

#include <gtest/gtest.h>

namespace fleetward::delivery {
namespace {

// 2026-11-24T07:05:09.042Z, a Tuesday.
constexpr Timestamp kMorning{1'795'503'909'042};
constexpr Timestamp kEvening{1'795'503'909'042 + 12 * 3600'000};

struct Case {
  const char* pattern;
  const char* zone;
  const char* expected;
  Timestamp time = kMorning;
};

class Patterns : public testing::TestWithParam<Case> {};

TEST_P(Patterns, Format) {
  const Case& c = GetParam();
  const auto pattern = TimePattern::parse(c.pattern);
  ASSERT_TRUE(pattern) << c.pattern << ": " << pattern.error().message;
  const auto zone = Zone::find(c.zone);
  ASSERT_TRUE(zone) << c.zone;
  EXPECT_EQ(pattern->format(zone->at(c.time)), c.expected) << c.pattern;
}

// Expected values as Java's DateTimeFormatter prints them (Locale.ENGLISH).
INSTANTIATE_TEST_SUITE_P(
    Java, Patterns,
    testing::Values(
        Case{"yyyy/MM/dd/HH/", "", "2026/11/24/07/"}, Case{"yyyy-MM-dd-HH-mm-ss", "", "2026-11-24-07-05-09"},
        Case{"yy y u uuuu", "", "26 2026 2026 2026"}, Case{"M MM MMM MMMM MMMMM", "", "11 11 Nov November N"},
        Case{"L LL LLL", "", "11 11 Nov"}, Case{"d D DDD", "", "24 328 328"},
        Case{"E EEE EEEE EEEEE", "", "Tue Tue Tuesday T"}, Case{"Q QQ QQQ QQQQ", "", "4 04 Q4 4th quarter"},
        Case{"G GGGG", "", "AD Anno Domini"}, Case{"h:mm a", "", "7:05 AM"},
        Case{"h:mm a", "", "7:05 PM", kEvening}, Case{"H HH k K kk", "", "19 19 19 7 19", kEvening},
        Case{"S SSS SSSSSS", "", "0 042 042000"}, Case{"n A N", "", "42000000 25509042 25509042000000"},
        Case{"'year='yyyy", "", "year=2026"}, Case{"yyyy''MM", "", "2026'11"},
        Case{"'it''s' d", "", "it's 24"}, Case{"", "", ""}, Case{"!-_.*() 12", "", "!-_.*() 12"},
        Case{"X XX XXX x", "", "Z Z Z +00"}, Case{"Z ZZZZ ZZZZZ O", "", "+0000 GMT Z GMT"},
        Case{"yyyy-MM-dd HH:mm", "Asia/Kolkata", "2026-11-24 12:35"},
        Case{"X XX XXX x xxx O OOOO Z ZZZZ VV z", "Asia/Kolkata",
             "+0530 +0530 +05:30 +0530 +05:30 GMT+5:30 GMT+05:30 +0530 GMT+05:30 Asia/Kolkata IST"},
        Case{"dd HH X z", "America/New_York", "24 02 -05 EST"},
        Case{"dd HH z", "America/New_York", "11 18 EDT", Timestamp{1'781'217'000'000}},
        Case{"yyyy/MM/dd HH", "Pacific/Auckland", "2026/11/25 08", kEvening},
        Case{"yyyy-MM-dd HH:mm:ss.SSS", "", "1969-12-31 23:59:59.999", Timestamp{-1}}));

TEST(TimePattern, RefusesWhatItDoesNotHave) {
  for (const char* pattern :
       {"YYYY",   "w",     "W",      "e",   "c",  "F", "B",  "p",   "g", "b", "yyyy'open",
        "[yyyy]", "yyyy#", "MMMMMM", "HHH", "aa", "V", "OO", "ddd", "i", "j"}) {
    const auto parsed = TimePattern::parse(pattern);
    ASSERT_FALSE(parsed) << pattern;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Zone, RefusesUnknownNames) {
  for (const char* name : {"Mars/Olympus", "../../etc/passwd", "america/new_york", "/"}) {
    EXPECT_FALSE(Zone::find(name)) << name;
  }
  EXPECT_TRUE(Zone::find("UTC"));
  EXPECT_TRUE(Zone::find("America/Argentina/Buenos_Aires"));
}

}  // namespace
}  // namespace fleetward::delivery
