#include "alerts/retry.h"

namespace fleetward::alerts {

RetryDecision decide(const AttemptResult& result, int attempts, const RetryPolicy& policy, Timestamp now) {
  using Next = RetryDecision::Next;
  if (result.status >= 200 && result.status < 300) return {Next::kDone, {}, {}};
  if (result.is_final) return {Next::kDrop, {}, "refused"};
  if (result.status >= 400 && result.status < 500 && result.status != 429)
    return {Next::kDrop, {}, "refused"};
  if (attempts > policy.retries_max) return {Next::kDrop, {}, "exhausted"};
  return {Next::kRetry, now + policy.delay, {}};
}

}  // namespace fleetward::alerts
