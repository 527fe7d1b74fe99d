#include "delivery/object_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fleetward::delivery {
namespace {

constexpr Timestamp kOldest{1'795'503'909'042};  // 2026-11-24T07:05:09.042Z

Stream stream_with(std::string prefix, std::string error = {}) {
  Stream s;
  s.name = "metrics";
  s.version = 3;
  s.destination.prefix = std::move(prefix);
  s.destination.error_prefix = std::move(error);
  return s;
}

constexpr const char* kSuffix =
    "metrics-3-2026-11-24-07-05-09-"
    "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

struct Case {
  const char* prefix;
  const char* error_prefix;
  const char* key_before_suffix;  // a regular expression
  const char* evaluated_error;
};

class Names : public testing::TestWithParam<Case> {};

TEST_P(Names, AreEvaluated) {
  const Case& c = GetParam();
  const Stream stream = stream_with(c.prefix, c.error_prefix);
  const auto checked = check_names(stream.destination);
  ASSERT_TRUE(checked) << checked.error().message;
  SeededRandom random(5);
  const std::string key = object_key(stream, kOldest, random);
  EXPECT_THAT(key, testing::MatchesRegex(std::string(c.key_before_suffix) + kSuffix));
  EXPECT_EQ(error_prefix(stream.destination, kOldest, "processing-failed", random), c.evaluated_error);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, Names,
    testing::Values(Case{"", "", "2026/11/24/07/", "processing-failed/2026/11/24/07/"},
                    Case{"foo", "", "foo2026/11/24/07/", "fooprocessing-failed/2026/11/24/07/"},
                    Case{"foo/", "bad/", "foo/2026/11/24/07/", "bad/"},
                    Case{"year=!{timestamp:yyyy}/m=!{timestamp:MM}/",
                         "e/!{firehose:error-output-type}/!{timestamp:yyyy}/", "year=2026/m=11/",
                         "e/processing-failed/2026/"},
                    Case{"!{firehose:random-string}/", "!{firehose:error-output-type}/",
                         "[A-Za-z0-9]{11}/2026/11/24/07/", "processing-failed/"},
                    Case{"a!{timestamp:'x!'}b", "!{firehose:error-output-type}", "ax!b", "processing-failed"},
                    Case{"!!{timestamp:yyyy}", "!{firehose:error-output-type}", "!2026",
                         "processing-failed"}));

TEST(Names, RandomStringsDiffer) {
  const Stream stream = stream_with("!{firehose:random-string}-!{firehose:random-string}/!{timestamp:yyyy}/",
                                    "!{firehose:error-output-type}");
  SeededRandom random(5);
  const std::string key = object_key(stream, kOldest, random);
  EXPECT_NE(key.substr(0, 11), key.substr(12, 11));
}

TEST(Names, ExtensionsAndZones) {
  SeededRandom random(5);
  Stream stream = stream_with("");
  EXPECT_FALSE(object_key(stream, kOldest, random).ends_with(".gz"));
  stream.destination.compression = Compression::kGzip;
  EXPECT_TRUE(object_key(stream, kOldest, random).ends_with(".gz"));
  stream.destination.file_extension = ".json.gz";
  EXPECT_TRUE(object_key(stream, kOldest, random).ends_with(".json.gz"));
  stream.destination.time_zone = "Asia/Kolkata";
  const std::string key = object_key(stream, kOldest, random);
  EXPECT_TRUE(key.starts_with("2026/11/24/12/metrics-3-2026-11-24-12-35-09-")) << key;
}

struct Refusal {
  const char* prefix;
  const char* error_prefix;
  const char* reason;
  ErrorCode code = ErrorCode::kInvalidArgument;
};

class Refusals : public testing::TestWithParam<Refusal> {};

TEST_P(Refusals, NameTheReason) {
  const Refusal& r = GetParam();
  const auto checked = check_names(stream_with(r.prefix, r.error_prefix).destination);
  ASSERT_FALSE(checked) << r.prefix;
  EXPECT_EQ(checked.error().code, r.code);
  EXPECT_NE(checked.error().message.find(r.reason), std::string::npos) << checked.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Rules, Refusals,
    testing::Values(Refusal{"!{timestamp:yyyy}/", "", "ErrorOutputPrefix must be given"},
                    Refusal{"!{firehose:random-string}/", "", "ErrorOutputPrefix must be given"},
                    Refusal{"!{timestamp:yyyy}/", "err/!{timestamp:yyyy}/", "error-output-type"},
                    Refusal{"!{firehose:error-output-type}/", "e/", "Prefix must not contain"},
                    Refusal{"!{nonsense:yyyy}/", "e/", "not a valid expression"},
                    Refusal{"!{firehose:else}/", "e/", "not a valid expression"},
                    Refusal{"!{timestamp}/", "e/", "not a valid expression"},
                    Refusal{"!{timestamp:}/", "e/", "not a valid"},
                    Refusal{"!{timestamp:yyyy", "e/", "not closed"}, Refusal{"x!{", "e/", "not closed"},
                    Refusal{"!{timestamp:YYYY}/", "e/", "Prefix: the pattern letter 'Y'"},
                    Refusal{"a/", "!{bad:x}", "ErrorOutputPrefix: "},
                    Refusal{"!{partitionKeyFromQuery:thing}/", "!{firehose:error-output-type}/",
                            "dynamic partitioning", ErrorCode::kUnimplemented}));

TEST(Refusals, LengthsZonesAndExtensions) {
  Destination d;
  d.prefix = std::string(1025, 'p');
  EXPECT_FALSE(check_names(d));
  d.prefix = std::string(500, 'p');
  EXPECT_FALSE(check_names(d));  // 512 once the date is added
  d.prefix = std::string(400, 'p');
  EXPECT_TRUE(check_names(d));
  d.time_zone = "Nowhere";
  EXPECT_FALSE(check_names(d));
  d.time_zone = "Europe/Berlin";
  EXPECT_TRUE(check_names(d));
  for (const char* bad : {"gz", ".", ".GZ", ".a b", ".a/b"}) {
    d.file_extension = bad;
    EXPECT_FALSE(check_names(d)) << bad;
  }
  for (const char* good : {"", ".gz", ".json.gz", ".a-b_c'()!*"}) {
    d.file_extension = good;
    EXPECT_TRUE(check_names(d)) << good;
  }
}

}  // namespace
}  // namespace fleetward::delivery
