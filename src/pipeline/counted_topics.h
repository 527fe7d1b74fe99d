#pragma once

#include <mutex>

#include "broker/hooks.h"
#include "pipeline/detect_tables.h"
#include "state/store.h"

namespace fleetward::pipeline {

// What the broker is to count apart: the dimensions that security profiles use, of any profile, attached or
// not. Thread safe.
class TopicsInUse {
 public:
  explicit TopicsInUse(DetectTables tables) : tables_(tables) {}

  // Null if no profile uses a dimension. The pointer stays the same while nothing of it changes; for a
  // snapshot older than the latest that was asked for, the latest's answer.
  broker::CountedTopicsPtr of(const state::SnapshotPtr& snapshot);

 private:
  bool same_tables(const state::Snapshot& snapshot) const;

  const DetectTables tables_;
  std::mutex mutex_;
  state::SnapshotPtr last_;  // kept alive, so that its maps' addresses tell whether they changed
  broker::CountedTopicsPtr topics_;
};

}  // namespace fleetward::pipeline
