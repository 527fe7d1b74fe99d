#pragma once

#include <memory>
#include <string>

#include "core/logger.h"
#include "core/metrics.h"
#include "log/log.h"

namespace rocksdb {
class Env;
}

namespace fleetward::log {

struct LogOptions {
  std::string directory;                      // created if missing
  size_t queue_bytes_max = size_t{64} << 20;  // batches waiting for the writer or being written
  size_t group_bytes_max = size_t{8} << 20;   // merged into one synced write
  Duration retry_interval{1000};              // between attempts while the disk refuses
  bool accept_loss = false;                   // open a log that lost acknowledged writes all the same
  rocksdb::Env* env = nullptr;                // for tests that inject faults; the default one if null
};

// Opens (or creates) the log on RocksDB. kConflict if another process holds it; kCorrupt if it does not
// parse, or if writes that were acknowledged are missing; kInvalidArgument if a newer release wrote it;
// kUnavailable if the directory cannot be written.
//
// When a write fails (disk full, read-only, I/O error) nothing of its group is acknowledged: its batches and
// all that are queued fail at once with kUnavailable and the reason, and so does every later one until the
// disk takes writes again, which is tried each retry_interval. Destruction writes what is queued, then
// closes.
Result<std::unique_ptr<Log>> open_embedded_log(LogOptions options, Logger& logger, Metrics& metrics);

}  // namespace fleetward::log
