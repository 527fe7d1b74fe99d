#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "log/log.h"
#include "log/subscriptions.h"

namespace fleetward::log {

// The log in memory, for tests of the rooms above and for simulations: same semantics, but synchronous.
// submit() applies the batch and calls `done`, then the subscribers, before it returns, on the caller's
// thread and without a lock held. Durable only as long as the object lives. Thread safe.
class MemoryLog final : public Log {
 public:
  MemoryLog() = default;

  void submit(Batch batch, CommitCallback done) override;
  Committed write(Batch batch) override;
  Result<std::vector<Record>> read(const Partition& partition, Offset from, size_t bytes_max) const override;
  Range range(const Partition& partition) const override;
  Offset committed(const std::string& consumer, const Partition& partition) const override;
  std::vector<Partition> partitions(std::string_view stream_prefix) const override;
  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end, size_t count_max,
                                     bool reverse) const override;
  Subscription subscribe(std::string stream_prefix, std::function<void(const Partition&)> wake) override;
  std::string trouble() const override;

  // While not empty, every write fails with kUnavailable and this reason, as on a full disk.
  void set_trouble(std::string reason);
  // The next write is answered like this and nevertheless there, as when a sync fails after its bytes reached
  // the disk; trouble until set_trouble("").
  void fail_next_sync(std::string reason);

 private:
  struct Contents {
    Offset begin = 0;
    std::deque<Record> records;
    Offset end() const { return begin + records.size(); }
  };
  Committed apply(Batch& batch);  // under the mutex

  mutable std::mutex mutex_;
  std::map<Partition, Contents> partitions_;
  std::map<std::pair<Partition, std::string>, Offset> committed_;
  std::map<std::string, std::string, std::less<>> keys_;
  std::string trouble_, sync_failure_;
  std::shared_ptr<Subscriptions> subscriptions_ = std::make_shared<Subscriptions>();
};

}  // namespace fleetward::log
