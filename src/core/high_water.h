#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/result.h"

namespace fleetward {

// A number that only rises, in a small file beside a database: the last write that was acknowledged. A
// database that holds fewer writes than that when it is opened has lost some, whatever became of its files.
// raise() does not sync: the file is right after the death of the process, and after a power cut at most
// behind, never ahead of what the database synced. One thread at a time.
class HighWater {
 public:
  HighWater() = default;
  ~HighWater();  // syncs
  HighWater(const HighWater&) = delete;
  HighWater& operator=(const HighWater&) = delete;

  // What the file at `path` says; no value if there is none. kCorrupt if it is damaged; kUnavailable if it
  // cannot be read.
  Status read(std::string path);
  std::optional<uint64_t> value() const { return value_; }
  // Sets the file (it is created if missing) to `value`, synced, and keeps it open.
  Status open(uint64_t value);
  // A write that fails is forgotten: what is there stays a lower bound.
  void raise(uint64_t value);

 private:
  void close();

  std::string path_;
  std::optional<uint64_t> value_;
  int descriptor_ = -1;
};

}  // namespace fleetward
