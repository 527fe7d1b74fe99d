#pragma once

#include <string>

#include "core/ids.h"
#include "core/json.h"
#include "core/logger.h"
#include "detect/engine.h"
#include "log/log.h"

namespace fleetward::pipeline {

// Turns the effects of detect steps into what the log keeps. Rows and states, which each event has, are put
// in the order of their keys: then the log's engine finds the place of each near that of the one before. One
// partition's; the stage's thread.
class DetectWriter {
 public:
  // `alerts_without_sns`: see DetectStageOptions.
  DetectWriter(uint32_t partition, bool alerts_without_sns, const AccountScope& account, log::Log& log,
               Logger& logger)
      : partition_(partition),
        alerts_without_sns_(alerts_without_sns),
        account_(account),
        log_(log),
        logger_(logger) {}

  // Adds everything to `batch`. `now` is the time of appended records. kUnavailable if the log cannot be read
  // (for the copy of a behaviour that is gone).
  Status write(const detect::Engine& engine, const detect::Effects& effects, Timestamp now,
               log::Batch& batch) const;

 private:
  void write_values(const detect::Effects& effects, log::Batch& batch) const;
  void write_exports(const detect::Effects& effects, Timestamp now, log::Batch& batch) const;
  void write_states(const detect::Engine& engine, const detect::Effects& effects, log::Batch& batch) const;
  void write_updates(const detect::Effects& effects, log::Batch& batch) const;
  Status write_event(const detect::ViolationEvent& event, Timestamp now, log::Batch& batch) const;
  Result<json::object> describe(const detect::ViolationEvent& event, const log::Batch& batch) const;
  void send_alert(const detect::ViolationEvent& event, const json::object& document, Timestamp now,
                  log::Batch& batch) const;

  uint32_t partition_;
  bool alerts_without_sns_;
  const AccountScope& account_;
  log::Log& log_;
  Logger& logger_;
};

}  // namespace fleetward::pipeline
