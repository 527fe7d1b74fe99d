#include "alerts/retry.h"

#include <algorithm>

namespace fleetward::alerts {

RetryDecision decide(const AttemptResult& result, int attempts, Timestamp created, const RetryPolicy& policy,
                     Timestamp now) {
  using Next = RetryDecision::Next;
  if (result.status >= 200 && result.status < 300) return {Next::kDone, Duration{0}, {}};
  if (result.is_final) return {Next::kDrop, Duration{0}, "refused"};
  const bool client_error = result.status >= 400 && result.status < 500 && result.status != 429;
  if (policy.refusals_are_final ? client_error : result.status == 410)
    return {Next::kDrop, Duration{0}, "refused"};
  if (attempts > policy.retries_max) return {Next::kDrop, Duration{0}, "exhausted"};
  Duration delay = policy.delay;
  for (int i = 1; i < attempts && delay < policy.delay_max; ++i) delay *= 2;
  delay = std::min(delay, policy.delay_max);
  if (now - created > policy.age_max - delay) return {Next::kDrop, Duration{0}, "expired"};
  return {Next::kRetry, delay, {}};
}

}  // namespace fleetward::alerts
