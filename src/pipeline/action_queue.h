#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "log/log.h"
#include "pipeline/action_record.h"

namespace fleetward::pipeline {

struct ActionStageOptions {
  size_t window_records_max = 256;  // unfinished records held at once; a record is one run of one rule
  size_t window_bytes_max = 16 << 20;
  uint32_t attempts_max = 6;  // then the action has failed and the error action fires
  Duration retry_min{500};    // doubles up to retry_max: 0.5, 1, 2, 4, 8 s
  Duration retry_max{30'000};
};

// Which task is tried when, what a failure means, and what may be committed: the decisions of ActionStage,
// pure.
class ActionQueue {
 public:
  // `begin` is the consumer's committed offset.
  ActionQueue(const ActionStageOptions& options, log::Offset begin)
      : options_(options), committed_(begin), next_(begin) {}

  // Takes a record that was read; records come in the order of their offsets.
  void add(log::Offset offset, ActionRecord record, Timestamp now);
  // A record that cannot be read counts as finished.
  void skip(log::Offset offset);
  bool has_room() const;

  struct Attempt {
    log::Offset offset = 0;
    size_t task = 0;
  };
  // The task that has waited longest among those due.
  std::optional<Attempt> due(Timestamp now) const;
  // When the next one is due; nullopt if nothing waits.
  std::optional<Timestamp> next_due() const;
  const ActionRecord& record(log::Offset offset) const { return pending_.at(offset).record; }

  enum class Outcome { kDone, kRetry, kFailed };
  // What the attempt gave. kUnavailable, kThrottled and kInternal are tried again, attempts_max times in all.
  Outcome finish(const Attempt& attempt, const Status& result, Timestamp now);
  // Takes out the records all of whose tasks have ended, with every failure in them.
  std::vector<ActionRecord> take_finished();

  // The first offset that is not finished: everything before it may be forgotten.
  log::Offset committed() const { return committed_; }
  // Where reading goes on.
  log::Offset next() const { return next_; }

 private:
  struct TaskState {
    bool ended = false;
    uint32_t attempts = 0;
    Timestamp due;
  };
  struct Pending {
    ActionRecord record;
    std::vector<TaskState> tasks;
    size_t open = 0;
    size_t bytes = 0;
  };
  Duration pause_after(uint32_t attempts) const;
  void settle();

  const ActionStageOptions options_;
  std::map<log::Offset, Pending> pending_;  // at most window_records_max
  size_t bytes_ = 0;
  log::Offset committed_;
  log::Offset next_;
};

}  // namespace fleetward::pipeline
