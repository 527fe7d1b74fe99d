#pragma once

#include <memory>
#include <string>

#include "core/logger.h"
#include "core/metrics.h"
#include "core/random.h"
#include "core/time.h"
#include "delivery/stream.h"
#include "identity/authorizer.h"
#include "lake/sink.h"
#include "log/log.h"
#include "state/store.h"

namespace fleetward::delivery {

struct WorkerOptions {
  std::string account;                      // sts:ExternalId and aws:SourceAccount of the assumed roles
  size_t uploads_max = 2;                   // objects built and uploaded at once; bounds memory
  Duration retention{24 * 60 * 60 * 1000};  // how long a refused record is kept
  Duration retry_min{1'000};                // first pause after a refusal; doubles up to
  Duration retry_max{300'000};
  Duration scan_interval{200};  // new records of one stream are looked at no more often
};

// Delivers the records of every stream: buffers by size and time, names the object, records name and range in
// the log, uploads, commits the offset. A crash at any point repeats the same bytes under the same name.
// Brings CREATING streams to ACTIVE and clears away DELETING ones (their buffered records are dropped,
// counted). Owns uploads_max threads between start() and stop().
// `steady` is a clock that is never set: intervals and pauses are its.
class Worker {
 public:
  Worker(WorkerOptions options, log::Log& log, state::Store& store, const Tables& tables,
         const identity::Authorizer& authorizer, lake::Sink& sink, const Clock& clock, const Clock& steady,
         Random& random, Logger& logger, Metrics& metrics);
  ~Worker();  // stops

  // After Store::open.
  void start();
  // Lets uploads under way end, then returns. What is buffered stays in the log.
  void stop();

  // Why the stream of this id does not deliver at the moment; empty if it does. Thread safe.
  std::string last_error(const std::string& stream_id) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetward::delivery
