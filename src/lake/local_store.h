#pragma once

#include <memory>
#include <string>

#include "core/logger.h"
#include "core/metrics.h"
#include "core/random.h"
#include "core/time.h"
#include "lake/object_store.h"

namespace fleetward::lake {

struct LocalStoreOptions {
  std::string directory;  // created if absent
  StoreLimits limits;
  // Bodies up to this size live in the index itself: one sync instead of three (docs/decisions/070).
  size_t inline_bytes_max = 32 * 1024;
  // Room left on the disk below which no body is taken.
  uint64_t free_bytes_min = uint64_t{64} << 20;
};

// Opens (or creates) the store of a directory; the layout is specified in src/lake/README.md. Cleans up what
// a crash left behind. kConflict: another process holds it; kCorrupt; kInvalidArgument: a newer format;
// kUnavailable: the disk refuses. `clock`, `random`, `logger` and `metrics` must outlive the store.
Result<std::unique_ptr<ObjectStore>> open_local_store(LocalStoreOptions options, const Clock& clock,
                                                      Random& random, Logger& logger, Metrics& metrics);

}  // namespace fleetward::lake
