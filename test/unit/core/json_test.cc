#include "core/json.h"

#include <gtest/gtest.h>

namespace fleetward::json {
namespace {

TEST(Json, KeepsOrderAndPrintsNumbersPlainly) {
  const auto v = parse(R"({"b":1.5,"a":-102,"c":[1e2,0.1,18446744073709551615],"d":"x\u0001\"é"})");
  ASSERT_TRUE(v);
  EXPECT_EQ(serialize(*v), R"({"b":1.5,"a":-102,"c":[100,0.1,18446744073709551615],"d":"x\u0001\"é"})");
}

TEST(Json, RefusesWhatIsNotOneValue) {
  EXPECT_FALSE(parse(""));
  EXPECT_FALSE(parse("{} {}"));
  EXPECT_FALSE(parse("{\"a\":"));
  EXPECT_FALSE(parse("\"\xff\""));
  EXPECT_TRUE(parse("{}  \n"));
}

TEST(Json, BoundsDepthAndSize) {
  EXPECT_EQ(parse(std::string(40, '[') + std::string(40, ']')).error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(parse("[1,2,3]", {.bytes_max = 3}).error().code, ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace fleetward::json
