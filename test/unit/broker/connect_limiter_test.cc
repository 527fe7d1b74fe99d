#include "broker/connect_limiter.h"

#include <gtest/gtest.h>

namespace fleetward::broker {
namespace {

using Verdict = ConnectLimiter::Verdict;

int admitted(ConnectLimiter& limiter, const std::string& ip, int count, Timestamp now) {
  int out = 0;
  for (int i = 0; i < count; ++i) out += limiter.ask(ip, now) == Verdict::kAdmitted;
  return out;
}

TEST(ConnectLimiter, holds_the_rate_of_all) {
  ConnectLimiter limiter(10, 0, 16);
  Timestamp now{1'000};
  EXPECT_EQ(admitted(limiter, "192.0.2.1", 15, now), 10);
  EXPECT_EQ(limiter.ask("192.0.2.2", now), Verdict::kTooManyInAll);
  now = now + Duration{500};
  EXPECT_EQ(admitted(limiter, "192.0.2.2", 15, now), 5);
  now = now + Duration{60'000};
  EXPECT_EQ(admitted(limiter, "", 15, now), 10) << "no more than a second is saved";
}

TEST(ConnectLimiter, holds_the_rate_of_a_source_and_others_do_not_pay) {
  ConnectLimiter limiter(100, 2, 16);
  const Timestamp now{1'000};
  EXPECT_EQ(admitted(limiter, "192.0.2.1", 1'000, now), 2);
  EXPECT_EQ(limiter.ask("192.0.2.1", now), Verdict::kTooManyOfSource);
  EXPECT_EQ(admitted(limiter, "192.0.2.2", 3, now), 2);
  // An IPv6 source is its /64.
  EXPECT_EQ(admitted(limiter, "2001:db8::1", 2, now), 2);
  EXPECT_EQ(limiter.ask("2001:db8::ffff:1", now), Verdict::kTooManyOfSource);
  EXPECT_EQ(limiter.ask("2001:db8:0:1::1", now), Verdict::kAdmitted);
  EXPECT_EQ(admitted(limiter, "192.0.2.1", 3, now + Duration{500}), 1);
}

TEST(ConnectLimiter, tells_no_more_sources_apart_than_it_may) {
  ConnectLimiter limiter(0, 1, 3);
  const Timestamp now{1'000};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(admitted(limiter, "192.0.2." + std::to_string(i), 5, now), 1);
  EXPECT_EQ(admitted(limiter, "192.0.2.9", 5, now), 5) << "only the bound of all, which is none";
  EXPECT_EQ(admitted(limiter, "192.0.2.9", 5, now + Duration{1'000}), 1) << "room again: the others are idle";
}

TEST(ConnectLimiter, no_rate_is_no_bound) {
  ConnectLimiter limiter(0, 0, 1);
  EXPECT_EQ(admitted(limiter, "192.0.2.1", 10'000, {1'000}), 10'000);
}

}  // namespace
}  // namespace fleetward::broker
