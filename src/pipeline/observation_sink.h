#pragma once

#include <memory>
#include <vector>

#include "broker/hooks.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "log/log.h"

namespace fleetward::pipeline {

// Appends what the broker observed to the log stream "events", each in its thing's partition. What the log
// refuses (disk full) is lost and counted: observations are not acknowledged to anybody. Thread safe.
class LogObservationSink final : public broker::ObservationSink {
 public:
  LogObservationSink(uint32_t partitions, log::Log& log, Logger& logger, Metrics& metrics);
  void on_observations(std::vector<broker::Observation> batch) override;

 private:
  uint32_t partitions_;
  log::Log& log_;
  Logger& logger_;
  prometheus::Counter &kept_, &lost_;
};

}  // namespace fleetward::pipeline
