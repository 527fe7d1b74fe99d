#pragma once

#include <string>
#include <string_view>

#include "core/time.h"

namespace fleetward::alerts {

// How an attempt ended. `status` is the HTTP status, 0 if there was no answer.
struct AttemptResult {
  int status = 0;
  std::string error;      // why there was no answer
  bool is_final = false;  // nor will there ever be one
};

// SNS's default policy: three retries, 20 seconds apart. Source: Amazon SNS Developer Guide, "Message
// delivery retries".
struct RetryPolicy {
  int retries_max = 3;
  Duration delay{20'000};
};

struct RetryDecision {
  enum class Next { kDone, kRetry, kDrop } next = Next::kDone;
  Timestamp when;           // kRetry
  std::string_view reason;  // kDrop: "refused" (a permanent 4xx) or "exhausted"; a metric label
};

// `attempts` counts the one that just ended. 2xx is success; a 4xx other than 429 is final.
RetryDecision decide(const AttemptResult& result, int attempts, const RetryPolicy& policy, Timestamp now);

}  // namespace fleetward::alerts
