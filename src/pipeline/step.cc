#include "pipeline/step.h"

namespace fleetward::pipeline {

Result<bool> is_committed(const log::Log& log, const std::string& consumer, const log::Partition& partition,
                          log::Offset next) {
  // In this order: once the trouble is over, the offsets are those of the disk.
  if (std::string why = log.trouble(); !why.empty()) return fail(ErrorCode::kUnavailable, std::move(why));
  return log.committed(consumer, partition) >= next;
}

}  // namespace fleetward::pipeline
