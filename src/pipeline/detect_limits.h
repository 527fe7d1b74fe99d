#pragma once

#include <cstddef>

#include "core/time.h"
#include "detect/profile.h"

namespace fleetward::pipeline {

// What AWS publishes as quotas of an account (Device Defender endpoints and quotas), and how long Detect
// keeps what it records. Checked when something is added: a lower limit than before takes nothing away.
struct DetectLimits {
  size_t custom_metrics_max = 100;
  size_t dimensions_max = 10;
  size_t profiles_per_target_max = 5;
  size_t behaviors_max = detect::kBehaviorsMax;           // of a profile
  size_t value_elements_max = detect::kValueElementsMax;  // of a profile
  Duration values_kept{14LL * 24 * 3600 * 1000};
  Duration violations_kept{30LL * 24 * 3600 * 1000};
};

}  // namespace fleetward::pipeline
