#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"

// The durable log, spine of the program: partitioned streams of records, consumers' committed offsets and
// consumers' state, written together. Semantics are Kafka's (append answers an offset, a consumer reads from
// its committed offset, retention deletes from the front), so that Kafka can back the same interface.
namespace fleetward::log {

// A stream ("events", "records/<delivery stream>", ...) and one of its partitions, counted from 0.
struct Partition {
  std::string stream;
  uint32_t index = 0;
  auto operator<=>(const Partition&) const = default;
};

using Offset = uint64_t;  // of a record in its partition, from 0, dense

struct Record {
  Offset offset = 0;
  Timestamp appended;  // given by the writer's Batch
  std::string value;
};

// What one step writes: appended records, consumers' offsets and consumers' state. All of it becomes durable
// at once, or nothing does. A value type without locks; build it on one thread, then hand it to Log::submit.
class Batch {
 public:
  // The record's place in the batch, to find its offset in the result.
  size_t append(Partition partition, std::string value, Timestamp now);
  // `next` is the first offset the consumer has not yet processed.
  void commit(std::string consumer, Partition partition, Offset next);
  void put(std::string_view key, std::string_view value);
  void erase(std::string_view key);
  // Every key in [begin, end).
  void erase_range(std::string_view begin, std::string_view end);
  // Deletes records before `first_kept` (at most all there are); the partition's offsets go on from its end.
  void truncate(Partition partition, Offset first_kept);
  // Forgets the partition: its records, its offsets and what consumers committed on it. Appending to it later
  // starts it afresh at offset 0.
  void drop(Partition partition);

  // For a caller that submits a refused batch again until it passes: from now on this batch and its copies
  // are one write to the log. If it was refused and is there nevertheless (see Committed), submitting it
  // again writes nothing and answers the offsets it got. As long as the log lives; one submission at a time.
  void make_repeatable() { identity = std::make_shared<Identity>(); }

  bool empty() const;
  size_t bytes() const { return bytes_; }

  struct Append {
    Partition partition;
    std::string value;
    Timestamp now;
  };
  struct Commit {
    std::string consumer;
    Partition partition;
    Offset next;
  };
  struct KeyChange {
    enum class Kind : uint8_t { kPut, kErase, kEraseRange } kind = Kind::kPut;
    std::string_view key;
    std::string_view value;  // the end of the range for kEraseRange
  };
  struct Truncate {
    Partition partition;
    Offset first_kept;
  };
  // What puts and erasures there are, in the order given, as views that hold until the batch changes.
  template <typename F>
  void visit_changes(F each) const {
    for (size_t at = 0; at < changes_.size();) each(change_at(at));
  }
  size_t change_count() const { return change_count_; }

  // Applied in this order, the changes after the commits; within one kind, in the order given.
  std::vector<Append> appends;
  std::vector<Commit> commits;
  std::vector<Truncate> truncations;
  std::vector<Partition> drops;

  // Shared by a repeatable batch and its copies. The log's own, on its writer's thread.
  struct Identity {
    std::optional<std::vector<Offset>> written;  // it was refused, and is there
  };
  std::shared_ptr<Identity> identity;

 private:
  void change(KeyChange::Kind kind, std::string_view key, std::string_view value);
  KeyChange change_at(size_t& at) const;  // moves on to the next

  // All changes in one block, since a step of Detect has thousands and copies them to be able to repeat: of
  // each its kind, the two lengths (u32), key and value.
  std::string changes_;
  size_t change_count_ = 0;
  size_t bytes_ = 0;
};

// Offsets of the batch's appends, in their order; or why nothing was acknowledged. kUnavailable: disk full or
// read-only, queue full, shutting down. kLimitExceeded: the batch alone is larger than the queue may be.
// If the disk failed in the middle of a sync the batch may, once the trouble is over, turn out to be there,
// whole. So a caller either submits the same batch again (Batch::make_repeatable), or starts again from what
// the log then holds, not from what it remembers.
using Committed = Result<std::vector<Offset>>;
using CommitCallback = std::function<void(Committed)>;

struct KeyValue {
  std::string key;
  std::string value;
};

// Thread safe. The embedded backing has one writer thread that merges the batches of all callers into one
// synced write (group commit: while one sync runs, the next group gathers).
class Log {
 public:
  virtual ~Log() = default;

  // Queues the batch. `done` runs on the writer's thread after the sync (or the failure): it must only hand
  // the result over and return. Batches of one caller thread are applied in the order of submission. A full
  // queue (LogOptions::queue_bytes_max) answers kUnavailable at once, on the caller's thread.
  virtual void submit(Batch batch, CommitCallback done) = 0;
  // Submits and waits. Never from a shard's or the writer's thread.
  virtual Committed write(Batch batch) = 0;

  // Records from `from` on (from the first kept one if `from` is older), at most `bytes_max` of values but at
  // least one record if there is any. Durable records only.
  virtual Result<std::vector<Record>> read(const Partition& partition, Offset from,
                                           size_t bytes_max) const = 0;
  // [first kept, next to be written).
  struct Range {
    Offset begin = 0;
    Offset end = 0;
  };
  virtual Range range(const Partition& partition) const = 0;
  // 0 if the consumer has committed nothing.
  virtual Offset committed(const std::string& consumer, const Partition& partition) const = 0;
  virtual std::vector<Partition> partitions(std::string_view stream_prefix) const = 0;

  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  // Keys in [begin, end) in byte order, at most `count_max` (from the end backwards if `reverse`).
  virtual Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end, size_t count_max,
                                             bool reverse = false) const = 0;

  // `wake` runs on the writer's thread after each durable append to a stream whose name starts with the
  // prefix (once per group and partition); it must only signal, not call the log, not drop a subscription.
  // Lives as long as the returned handle; once that is released no call is under way or will come. The handle
  // may outlive the log.
  using Subscription = std::shared_ptr<void>;
  virtual Subscription subscribe(std::string stream_prefix, std::function<void(const Partition&)> wake) = 0;

  // Empty while healthy; else why nothing is acknowledged ("No space left on device"). Recovers by itself.
  virtual std::string trouble() const = 0;
};

}  // namespace fleetward::log
