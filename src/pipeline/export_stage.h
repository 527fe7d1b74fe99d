#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/hooks.h"
#include "core/time.h"
#include "export/batcher.h"
#include "log/log.h"
#include "pipeline/rule_runner.h"
#include "pipeline/stage_thread.h"

namespace fleetward::pipeline {

struct ExportStageOptions {
  uint32_t partitions = 8;     // of "exports", as of "events"
  Duration interval{300'000};  // between batches; at least 1 s
  exporting::BatchOptions batch;
  size_t read_bytes_max = 1 << 20;
  size_t batch_bytes_max = 64 << 20;  // of datapoints in memory; then the batch closes early
  // A publish that is refused (role, topic, broker) is tried this often, then dropped with a counted reason.
  // A destination that was refused the time before is tried once. What the log refuses waits for the log.
  uint32_t attempts_max = 3;
  Duration retry_interval{1000};
  Duration publish_timeout{10'000};  // for the broker's word that a message was handed on
};

// Consumes the log stream "exports" (consumer "export"): gathers the datapoints of an interval and publishes
// the payloads to their topics, each by its profile's export role (iot:Publish on the topic).
//
//   $aws/rules/<rule>[/<topic>]  that rule alone; its delivery-stream records are in the same write as the
//                                consumer's offset, so none is lost or repeated by a crash
//   any other topic              the rules that match it, likewise, and the broker's subscribers: at least
//                                once (a repeated element has the same version and timestamp)
//
// start() and stop() from one thread. step() is for tests; it runs on the caller's thread instead.
class ExportStage {
 public:
  ExportStage(ExportStageOptions options, log::Log& log, const RuleServices& services,
              broker::InternalPublisher& publisher, const Clock& clock);
  ~ExportStage();  // stops

  void start();
  void stop();

  // Reads what is there, closes batches whose time has come and publishes them. True if there is more to do
  // at once. The error is the log's.
  Result<bool> step();

 private:
  struct Position;
  struct Counters;
  struct Outgoing;

  void run();
  bool wait_for_work(bool failed);               // false: stop
  Result<bool> read_points(Position& position);  // false: nothing new
  void close_batch();
  // True once every payload was published or dropped.
  bool publish_batch();
  Status publish_payload(Outgoing& outgoing);
  Status hand_to_subscribers(const exporting::Payload& payload);
  void refuse(Outgoing& outgoing, const Error& why);
  Status commit_batch();
  void prepare_commit();
  void run_rules(const exporting::Payload& payload);

  const ExportStageOptions options_;
  log::Log& log_;
  const RuleServices services_;
  broker::InternalPublisher& publisher_;
  const Clock& clock_;
  RuleRunner runner_;  // used on the stage's thread only
  std::unique_ptr<Counters> counters_;
  // One batch over all partitions, so that a message carries as many devices as it can.
  exporting::Batcher batcher_;
  std::vector<Position> positions_;
  Timestamp close_at_;   // 0 while there is nothing to close
  bool closed_ = false;  // `outgoing_` holds the batch, even if it is empty
  std::vector<Outgoing> outgoing_;
  std::optional<log::Batch> commit_;  // the batch's write, until the log has taken it, and what follows it
  std::vector<broker::MessagePtr> replies_;
  Timestamp try_at_;
  std::set<std::pair<std::string, std::string>> refused_;  // (role, topic) of the latest batches
  static constexpr size_t kRefusedMax = 1000;

  StageThread thread_;
};

}  // namespace fleetward::pipeline
