#pragma once

#include <limits>
#include <string>
#include <string_view>

#include "core/time.h"

namespace fleetward::alerts {

// How an attempt ended. `status` is the HTTP status (200 for other ways that succeeded), 0 if there was no
// answer.
struct AttemptResult {
  int status = 0;
  std::string error;      // why there was no answer
  bool is_final = false;  // nor will there ever be one
};

// The default is SNS's: three retries, 20 seconds apart. Source: Amazon SNS Developer Guide, "Message
// delivery retries".
struct RetryPolicy {
  int retries_max = 3;
  Duration delay{20'000};  // after the first failure; doubles with each further one
  Duration delay_max{20'000};
  Duration age_max = Duration::max();  // no attempt later than this after `created`
  bool refusals_are_final = true;      // every 4xx but 429; else 410 only
};

struct RetryDecision {
  enum class Next { kDone, kRetry, kDrop } next = Next::kDone;
  Duration pause{0};  // kRetry: until the next attempt
  // kDrop, a metric label: "refused" (a final 4xx), "exhausted" (retries_max) or "expired" (age_max)
  std::string_view reason;
};

// `attempts` counts the one that just ended. 2xx is success.
RetryDecision decide(const AttemptResult& result, int attempts, Timestamp created, const RetryPolicy& policy,
                     Timestamp now);

}  // namespace fleetward::alerts
