#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/hooks.h"
#include "broker/stats.h"
#include "core/time.h"
#include "log/log.h"

namespace fleetward::broker {

// Who waits for records of a batch: a round of a shard.
struct Waiter {
  uint32_t shard = 0;
  uint64_t round = 0;
  uint32_t count = 1;  // how many times it waits
};

// One shard's way to the log: while one batch is being synced, the next ones gather (so there is at most one
// in flight per shard, and the order of the shard's changes is kept even when the log refuses one and it is
// tried again). A batch that the log refused is kept and tried again until it passes; what waits for it
// waits. It is repeatable, so that it is there once even if only the sync failed.
class CommitGate {
 public:
  // The log takes batches up to a size of its own: what gathers is cut into batches of about this size.
  static constexpr size_t kBatchBytes = 4 << 20;

  // `report` brings the log's answer back to the shard's thread, where on_result() is called with it.
  CommitGate(log::Log& log, size_t gathering_bytes_max, Duration retry_interval, ShardStats& stats,
             std::function<void(Status)> report);

  // What joins the next commit. The reference holds until the next call of roll(), wait() or submit().
  log::Batch& batch() { return gathering_.batch; }
  // Changes when something joined: compare before and after.
  size_t mark() const { return sealed_marks_ + marks_of(gathering_.batch); }
  // Cuts what gathered if it is large enough. At any time: who calls wait() later waits for all that joined
  // before.
  void roll();
  // What joins between true and false is one batch, so that it is there wholly or not at all after a crash:
  // nothing is cut meanwhile (up to kWholeBytes, which keeps to what the log takes).
  static constexpr size_t kWholeBytes = 32 << 20;
  void keep_whole(bool whole);
  // `waiter` waits for everything that joined so far. At least one thing has since the last submit().
  void wait(const Waiter& waiter);
  // Batches cut so far: a round that waits for the present one has to wait again when this has changed.
  uint64_t cuts() const { return cuts_; }

  // Once per wake-up of the shard: submits the oldest batch unless one is in flight.
  void submit(Timestamp now);
  // The waiters whose records are durable now.
  std::vector<Waiter> on_result(const Status& result, Timestamp now);

  // The last attempt failed: why; else empty.
  const std::string& trouble() const { return trouble_; }
  // Nothing more should be taken in.
  bool full() const { return sealed_bytes_ + gathering_.batch.bytes() >= gathering_bytes_max_; }
  // Everything is durable.
  bool idle() const { return !in_flight_ && sealed_.empty() && gathering_.batch.empty(); }

 private:
  struct Gathered {
    log::Batch batch;
    std::vector<Waiter> waiters;
  };
  static size_t marks_of(const log::Batch& batch) {
    return batch.appends.size() + batch.change_count() + batch.commits.size() + batch.truncations.size();
  }
  void seal();
  void send();

  log::Log& log_;
  const size_t gathering_bytes_max_;
  const Duration retry_interval_;
  ShardStats& stats_;
  const std::function<void(Status)> report_;

  Gathered gathering_;
  std::deque<Gathered> sealed_;  // older than gathering_, in order
  size_t sealed_bytes_ = 0, sealed_marks_ = 0;
  uint64_t cuts_ = 0;
  bool whole_ = false;
  bool in_flight_ = false;
  bool awaiting_ = false;  // in flight and handed to the log (else waiting for retry_at_)
  Gathered sent_;          // a copy, for another attempt
  Timestamp retry_at_;
  std::string trouble_;
};

// What one wake-up of a shard (a "round") does once everything it made durable is durable: acknowledge,
// answer, call back. Rounds end in order, so "acknowledge through" is right. Pure; one thread.
class Rounds {
 public:
  struct Round {
    uint64_t id = 0;
    uint32_t waits = 0;  // batches, here and on other shards
    bool closed = false;
    struct Acknowledge {
      uint64_t connection;
      uint64_t through;  // mqtt::AckTicket
    };
    std::vector<Acknowledge> acknowledgements;
    // A QoS 2 message of a persistent session that may be sent, or released, now.
    struct Send {
      uint64_t connection;
      uint64_t sequence;  // Outgoing::sequence
    };
    std::vector<Send> sends;
    std::vector<std::function<void()>> then;  // SUBACKs, callers of InternalPublisher
    std::vector<MessagePtr> replies;
  };

  // The round of this wake-up; opened by the first call.
  Round& current() {
    if (rounds_.empty() || rounds_.back().closed)
      rounds_.push_back(Round{++last_id_, 0, false, {}, {}, {}, {}});
    return rounds_.back();
  }
  bool is_open() const { return !rounds_.empty() && !rounds_.back().closed; }
  // The wake-up is over.
  void close() {
    if (is_open()) rounds_.back().closed = true;
  }
  // `count` things that the round waited for are durable.
  void arrived(uint64_t id, uint32_t count) {
    if (rounds_.empty() || id < rounds_.front().id) return;
    Round& round = rounds_[id - rounds_.front().id];
    round.waits -= std::min(round.waits, count);
  }
  // The oldest round if it is complete: removes it.
  bool pop(Round& out) {
    if (rounds_.empty() || !rounds_.front().closed || rounds_.front().waits != 0) return false;
    out = std::move(rounds_.front());
    rounds_.pop_front();
    return true;
  }
  bool empty() const { return rounds_.empty(); }

 private:
  std::deque<Round> rounds_;  // ids are consecutive
  uint64_t last_id_ = 0;
};

}  // namespace fleetward::broker
