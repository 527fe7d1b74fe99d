#pragma once

#include <string>

#include "core/result.h"
#include "log/log.h"

namespace fleetward::pipeline {

// Asked by a consumer before it tries a refused step again: is the step in the log nevertheless? That is so
// when only the sync failed (log::Committed). `next` is the offset that the step commits and must lie beyond
// the one before. kUnavailable while the log is in trouble, when there is no telling yet.
Result<bool> is_committed(const log::Log& log, const std::string& consumer, const log::Partition& partition,
                          log::Offset next);

}  // namespace fleetward::pipeline
