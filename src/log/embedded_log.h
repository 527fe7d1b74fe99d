#pragma once

#include <memory>
#include <string>

#include "core/logger.h"
#include "core/metrics.h"
#include "log/log.h"

namespace fleetward::log {

struct LogOptions {
  std::string directory;                      // created if missing
  size_t queue_bytes_max = size_t{64} << 20;  // batches waiting for the writer
  Duration retry_interval{1000};              // between attempts while the disk refuses
};

// Opens (or creates) the log on RocksDB. kConflict if another process holds it, kCorrupt if it does not open.
Result<std::unique_ptr<Log>> open_embedded_log(LogOptions options, Logger& logger, Metrics& metrics);

}  // namespace fleetward::log
