#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/logger.h"
#include "core/time.h"

namespace fleetward::broker {

// Tells the operator that rules feed each other: at most one line a second, with how many were not told. One
// thread.
class CutChains {
 public:
  // `topic`: of the message that was dropped. `steady`: of a clock that is never set.
  void log(Logger& logger, std::string_view topic, Timestamp steady) {
    constexpr Duration kQuiet{1000};
    if (logged_.ms != 0 && steady - logged_ < kQuiet) {
      ++untold_;
      return;
    }
    logger.warn("republish_loop_cut", {{"topic", topic}, {"others_not_logged", std::to_string(untold_)}});
    logged_ = steady;
    untold_ = 0;
  }

 private:
  Timestamp logged_;
  uint64_t untold_ = 0;
};

}  // namespace fleetward::broker
