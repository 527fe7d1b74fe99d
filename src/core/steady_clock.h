#pragma once

#include <chrono>

#include "core/time.h"

namespace fleetward {

// Elapsed time: a clock that nobody sets and that never goes back. Its Timestamps count from some instant
// before the start of the program: they mean nothing outside of it, and are never compared with wall time.
class SteadyClock final : public Clock {
 public:
  Timestamp now() const override {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    // {0} means "never", also right after a machine's start.
    return {std::chrono::duration_cast<std::chrono::milliseconds>(since).count() + 1};
  }
};

}  // namespace fleetward
