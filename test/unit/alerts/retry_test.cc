#include "alerts/retry.h"

#include <gtest/gtest.h>

#include "alerts/target.h"

namespace fleetward::alerts {
namespace {

using Next = RetryDecision::Next;
constexpr Timestamp kCreated{1'000'000};

TEST(Retry, SnsTriesFourTimesTwentySecondsApart) {
  const RetryPolicy sns;
  for (int attempts = 1; attempts <= 3; ++attempts) {
    const auto decision = decide({500, ""}, attempts, kCreated, sns, kCreated);
    EXPECT_EQ(decision.next, Next::kRetry);
    EXPECT_EQ(decision.pause, Duration{20'000});
  }
  EXPECT_EQ(decide({0, "refused"}, 4, kCreated, sns, kCreated).reason, "exhausted");
  EXPECT_EQ(decide({404, ""}, 1, kCreated, sns, kCreated).reason, "refused");
  EXPECT_EQ(decide({429, ""}, 1, kCreated, sns, kCreated).next, Next::kRetry);
}

TEST(Retry, ATargetsPausesDoubleUpToABoundAndEndAtAnAge) {
  Target target;
  target.retry_first = Duration{1'000};
  target.retry_max = Duration{10'000};
  target.give_up_after = Duration{60'000};
  const RetryPolicy policy = target.retry();
  Timestamp now = kCreated;
  std::vector<int64_t> pauses;
  for (int attempts = 1;; ++attempts) {
    const auto decision = decide({503, ""}, attempts, kCreated, policy, now);
    if (decision.next != Next::kRetry) {
      EXPECT_EQ(decision.reason, "expired");
      break;
    }
    pauses.push_back(decision.pause.count());
    now = now + decision.pause;
  }
  EXPECT_EQ(pauses, (std::vector<int64_t>{1000, 2000, 4000, 8000, 10000, 10000, 10000, 10000}));
  EXPECT_LE(now, kCreated + target.give_up_after);
}

TEST(Retry, ATargetTakesOnlyGoneForARefusal) {
  const RetryPolicy policy = Target{}.retry();
  EXPECT_EQ(decide({204, ""}, 1, kCreated, policy, kCreated).next, Next::kDone);
  for (const int status : {0, 302, 400, 401, 404, 429, 500}) {
    EXPECT_EQ(decide({status, ""}, 1, kCreated, policy, kCreated).next, Next::kRetry) << status;
  }
  EXPECT_EQ(decide({410, ""}, 1, kCreated, policy, kCreated).reason, "refused");
}

}  // namespace
}  // namespace fleetward::alerts
