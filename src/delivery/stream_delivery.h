#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>

#include "core/logger.h"
#include "core/random.h"
#include "core/time.h"
#include "delivery/plan.h"
#include "delivery/probe.h"
#include "delivery/stream.h"
#include "delivery/worker.h"
#include "lake/sink.h"
#include "log/log.h"

namespace fleetward::delivery {

// May the role store this object now? The reason if not.
using RoleCheck = std::function<Status(const Stream& stream, const std::string& role_arn,
                                       const std::string& bucket, const std::string& key)>;

// What every stream's delivery works with.
struct DeliveryContext {
  const WorkerOptions& options;
  log::Log& log;
  RoleCheck may_put;
  lake::Sink& sink;
  Random& random;
  Logger& logger;
  Probe& probe;
};

// One instant on both clocks. Intervals and pauses are of the steady one; what records, objects and their
// retention say is wall time, which somebody may set at any moment.
struct Instant {
  Timestamp wall, steady;
};

// On the steady clock.
inline constexpr Timestamp kNever{std::numeric_limits<int64_t>::max()};

// The delivery of one stream, as a sequence of steps. Its durable state is in the log: the consumer offset
// "delivery/<id>" and, while an object is under way, the key "delivery/<id>/pending". A new object of this
// class, after a crash at any point, goes on from there. One thread at a time; reads no clock.
class StreamDelivery {
 public:
  StreamDelivery(const DeliveryContext& context, std::string stream_id);

  // Does what is due, at most one upload, and answers when to call again: the end of an interval or of a
  // pause, `now` if there is more to do, or kNever (when records arrive); all on the steady clock.
  // `control_version` changes with the control state and with the buckets: a refusal is tried again soon
  // after.
  Timestamp step(const Stream& stream, uint64_t control_version, const Instant& now);

  // What stands to be delivered, for metrics.
  struct Backlog {
    enum class State { kIdle, kBuffering, kFailing } state = State::kIdle;
    uint64_t bytes = 0;  // records not looked at yet are estimated
    Timestamp oldest;
  };
  const Backlog& backlog() const { return backlog_; }
  // Empty while all goes well.
  const std::string& last_error() const { return last_error_; }

 private:
  Status load();
  Status scan(const Stream& stream);
  Status write_pending(Pending pending);
  Timestamp due_at(const Stream& stream, const Instant& now);
  Timestamp attempt(const Stream& stream, const Instant& now);
  Status upload(const Stream& stream);
  Status conclude();
  Result<std::string> build() const;
  Timestamp failed(const Stream& stream, const Error& error, const Instant& now);
  Timestamp log_failed(const Error& error, const Instant& now);
  void retry_early(const Stream& stream, uint64_t control_version, const Instant& now);
  void measure();

  const DeliveryContext& context_;
  const std::string id_;
  const log::Partition records_;
  bool loaded_ = false;
  Buffer buffer_;
  std::optional<Timestamp> waiting_since_;  // steady: of the first record in buffer_
  std::optional<Pending> pending_;
  uint32_t attempts_ = 0;                  // of pending_, by this object
  Timestamp last_attempt_, next_attempt_;  // steady
  bool refused_ = false;                   // by role or store, so that a change of control state may help
  uint64_t seen_control_version_ = 0;
  Backlog backlog_;
  std::string last_error_;
};

std::string consumer_of(const std::string& stream_id);     // "delivery/<id>"
std::string pending_key_of(const std::string& stream_id);  // "delivery/<id>/pending"
// Removes all a deleted stream left in the log.
void add_removal(log::Batch& batch, const std::string& stream_id);

}  // namespace fleetward::delivery
