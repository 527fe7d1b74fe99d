#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "broker/hooks.h"
#include "core/metrics.h"
#include "core/time.h"
#include "detect/report.h"
#include "log/log.h"

namespace fleetward::pipeline {

// Where the publish hook hands what arrives on $aws/things/<thing>/defender/metrics/<format>.
class ReportIntake {
 public:
  virtual ~ReportIntake() = default;
  // Called on a shard's thread; thread safe; does not block. An accepted report joins `batch`; the answer for
  // .../accepted or .../rejected joins `replies`, to be published once the batch is durable.
  virtual void on_report(std::string_view thing, detect::ReportFormat format, std::string_view payload,
                         Timestamp now, log::Batch& batch, std::vector<broker::MessagePtr>& replies) = 0;
};

struct ReportIntakeOptions {
  uint32_t partitions = 8;  // of the log stream "events"
  detect::ReportLimits limits;
  // Reports of one thing closer together are rejected as Throttled. 0: no such rule (AWS's quota is 300 s).
  Duration minimum_delay{0};
  // Well-formed reports in one second of the wall clock, of all things; more are rejected as Throttled. 0: no
  // such rule (AWS's quota is 3500).
  uint32_t rate_max = 0;
  size_t throttled_things_max = 1'000'000;  // remembered for minimum_delay; beyond it the rule is not applied
};

std::unique_ptr<ReportIntake> make_report_intake(ReportIntakeOptions options, Metrics& metrics);

// The partition of the log stream "events" that a thing's events go to: stable for ever.
uint32_t partition_of(std::string_view thing, uint32_t partitions);

}  // namespace fleetward::pipeline
