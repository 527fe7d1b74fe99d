#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/time.h"
#include "detect/engine.h"
#include "log/log.h"
#include "pipeline/detect_tables.h"
#include "pipeline/history_fold.h"
#include "pipeline/stage_thread.h"
#include "pipeline/threshold_maker.h"
#include "state/store.h"

namespace fleetward::pipeline {

struct DetectStageOptions {
  uint32_t partitions = 8;  // of "events"; see settle_partitions()
  detect::EngineOptions engine;
  Duration values_kept{14LL * 24 * 3600 * 1000};
  Duration violations_kept{30LL * 24 * 3600 * 1000};
  // Alerts have targets that profiles do not name: events of profiles without an SNS topic are told, too.
  bool alerts_without_sns = false;
  size_t read_bytes_max = 1 << 20;  // records of one step
  size_t tick_things_max = 10'000;  // things of one step of a tick or of its thresholds
  Duration retry_interval{500};     // between attempts while the log refuses
  // Whether checks of the tick's boundary and of retention happen on the stage's own thread. Tests that call
  // step() append ticks themselves.
  bool appends_ticks = true;
};

// The number of partitions of "events" and "exports" is fixed when a log is new, since a thing's state stays
// where its events are. Answers the number in force: `wanted` for a new log.
Result<uint32_t> settle_partitions(log::Log& log, uint32_t wanted);

// Runs Detect over the log stream "events" (consumer "detect"): each step reads records of one partition,
// applies them and writes everything that follows from them in one batch: kept values, violations, things'
// states, records of "exports" and "alerts", and the committed offset. So a crash at any moment loses nothing
// and repeats nothing.
//
// start() and stop() from one thread. step() is for tests; it runs on the caller's thread instead.
class DetectStage {
 public:
  DetectStage(DetectStageOptions options, log::Log& log, const state::Store& store, DetectTables tables,
              registry::Tables registry, AccountScope account, const Clock& clock, Logger& logger,
              Metrics& metrics);
  ~DetectStage();  // stops

  // Loads the things' states. kCorrupt only if the log cannot be read; a state that does not parse is logged,
  // counted and forgotten.
  Status load();
  // After load(), before anybody can connect: appends that connections from before are no more. Then there
  // are two threads: the stage's, and one that folds what it kept (history_fold.h).
  void start();
  void stop();

  // One step of every partition that has records. True if there may be more to do. The error is the log's:
  // the step is tried again by the next call, with the same outcome.
  Result<bool> step();
  // Appends to each partition that the server began anew: what Detect holds for connected is no more.
  Status append_restart();
  // Appends the tick of the latest boundary that is not in the log yet, if it has passed.
  Status append_due_ticks();
  // Erases what is older than it is kept. Cheap: a few ranges per partition.
  Status expire();
  // Folds a slice of the values of days that are over (history_fold.h); true if there may be more. For tests.
  Result<bool> fold();

 private:
  struct PartitionState;
  struct Counters;

  void run();
  Result<bool> round();
  bool wait_for_work(bool failed);  // false: stop
  void configure(PartitionState& partition);
  Status prepare(PartitionState& partition);
  void settle(PartitionState& partition);
  Status apply_records(PartitionState& partition);
  void count(PartitionState& partition);
  void append_to_all(const std::string& record, Timestamp at);
  Status write_own_records();
  Status write(log::Batch batch);

  const DetectStageOptions options_;
  log::Log& log_;
  const state::Store& store_;
  ThresholdMaker thresholds_;
  DetectConfigBuilder builder_;
  detect::ConfigPtr config_;
  AccountScope account_;
  const Clock& clock_;
  Logger& logger_;
  std::unique_ptr<Counters> counters_;
  std::vector<std::unique_ptr<PartitionState>> partitions_;
  HistoryFold fold_;
  Timestamp last_tick_, last_expiry_;
  std::optional<log::Batch> own_records_;  // ticks or the restart, until the log has taken them

  StageThread thread_;
};

}  // namespace fleetward::pipeline
