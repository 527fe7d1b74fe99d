#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "core/logger.h"
#include "core/metrics.h"
#include "core/time.h"
#include "detect/population.h"
#include "log/log.h"

namespace fleetward::pipeline {

// The step between two of Detect's for statistical criteria: reads the log stream "populations" (one
// partition, consumer "thresholds"), to which each partition of "events" gives one record per tick, and once
// those of all partitions are there appends the tick's thresholds to each partition of "events", in one write
// with its offset. A tick whose parts are not complete when those of a later one are is given up, so that a
// partition that misses one holds up nobody. The detect stage's thread.
class ThresholdMaker {
 public:
  static constexpr const char* kStream = "populations";
  static constexpr size_t kPendingTicksMax = 16;  // incomplete ones; the oldest is given up

  ThresholdMaker(uint32_t partitions, uint64_t population_min, log::Log& log, Logger& logger,
                 Metrics& metrics);

  void load();  // before the first step()
  // Reads what is new; true if it wrote. The error is the log's; the call is to be repeated then, and tries
  // the same write again.
  Result<bool> step(Timestamp now);

 private:
  struct Tick {
    log::Offset first = 0;                                      // of its records
    std::map<uint32_t, std::vector<detect::Population>> parts;  // by partition
  };

  // What is to be written, and what of pending_ it settles.
  struct Outcome {
    log::Batch batch;
    std::optional<int64_t> done;  // the tick whose thresholds are in it
    log::Offset superseded = 0;   // ticks whose records begin before it are given up
    size_t given_up = 0;
  };

  Status read();
  std::optional<Outcome> settle(Timestamp now);
  void take(const log::Record& record);
  std::map<int64_t, Tick>::iterator complete();
  void append_thresholds(Timestamp tick, const Tick& parts, Timestamp now, log::Batch& batch);

  uint32_t partitions_;
  uint64_t population_min_;
  log::Log& log_;
  Logger& logger_;
  prometheus::Counter &made_, &skipped_, &given_up_, &corrupt_;
  log::Offset next_ = 0;
  std::map<int64_t, Tick> pending_;  // by the tick's time
  std::optional<Outcome> outcome_;   // that the log has not taken yet
};

}  // namespace fleetward::pipeline
