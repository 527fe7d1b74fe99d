#include "log/embedded_log.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <thread>

#include "log/group.h"
#include "log/storage.h"
#include "log/subscriptions.h"

namespace fleetward::log {
namespace {

// What a batch costs beside its bytes, so that many empty ones are bounded too.
constexpr size_t kOperationBytes = 96;

size_t cost_of(const Batch& batch) {
  return batch.bytes() +
         kOperationBytes * (1 + batch.appends.size() + batch.commits.size() + batch.change_count() +
                            batch.truncations.size() + batch.drops.size());
}

struct Probe {
  explicit Probe(Metrics& metrics)
      : groups(metrics.counter("fleetward_log_groups_total", "Synced writes of the log")),
        batches(metrics.counter("fleetward_log_batches_total", "Batches made durable")),
        records(metrics.counter("fleetward_log_records_total", "Records appended")),
        bytes(metrics.counter("fleetward_log_written_bytes_total", "Bytes handed to the log's engine")),
        group_batches(metrics.histogram("fleetward_log_group_batches", "Batches merged into one synced write",
                                        {1, 2, 5, 10, 50, 100, 500, 1000, 5000})),
        sync_seconds(
            metrics.histogram("fleetward_log_sync_seconds", "Time of one synced write",
                              {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1})),
        queue_bytes(metrics.gauge("fleetward_log_queue_bytes", "Bytes of batches waiting or being written")),
        trouble(
            metrics.gauge("fleetward_log_trouble", "1 while the disk refuses and nothing is acknowledged")),
        refused_full(
            metrics.counter("fleetward_log_refused_total", "Batches refused", {{"reason", "queue_full"}})),
        refused_disk(
            metrics.counter("fleetward_log_refused_total", "Batches refused", {{"reason", "disk"}})) {}

  prometheus::Counter& groups;
  prometheus::Counter& batches;
  prometheus::Counter& records;
  prometheus::Counter& bytes;
  prometheus::Histogram& group_batches;
  prometheus::Histogram& sync_seconds;
  prometheus::Gauge& queue_bytes;
  prometheus::Gauge& trouble;
  prometheus::Counter& refused_full;
  prometheus::Counter& refused_disk;
};

void answer(const CommitCallback& done, Committed committed) {
  if (done) done(std::move(committed));
}

class EmbeddedLog final : public Log {
 public:
  EmbeddedLog(LogOptions options, Logger& logger, Metrics& metrics)
      : options_(std::move(options)),
        logger_(logger),
        probe_(metrics),
        storage_(options_.directory, options_.env, options_.accept_loss, logger) {}

  ~EmbeddedLog() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (writer_.joinable()) writer_.join();
  }

  Status open() {
    if (auto opened = storage_.open(index_); !opened) return opened;
    writer_ = std::thread([this] { run(); });
    return {};
  }

  void submit(Batch batch, CommitCallback done) override {
    const size_t cost = cost_of(batch);
    if (cost > options_.queue_bytes_max) {
      done(
          fail(ErrorCode::kLimitExceeded, "log: a batch of " + std::to_string(cost) + " bytes is too large"));
      return;
    }
    Error refusal{ErrorCode::kUnavailable, {}};
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) {
        refusal.message = "log: shutting down";
      } else if (!trouble_.empty()) {
        refusal.message = trouble_;
        probe_.refused_disk.Increment();
      } else if (queue_bytes_ + cost > options_.queue_bytes_max) {
        refusal.message = "log: the queue of writes is full";
        probe_.refused_full.Increment();
      } else {
        queue_bytes_ += cost;
        const bool wake = queue_.empty();
        queue_.push_back({std::move(batch), std::move(done), cost});
        if (!wake) return;
      }
    }
    if (refusal.message.empty()) {
      changed_.notify_one();
    } else {
      answer(done, fail(std::move(refusal)));
    }
  }

  Committed write(Batch batch) override {
    std::promise<Committed> promise;
    submit(std::move(batch), [&](Committed committed) { promise.set_value(std::move(committed)); });
    return promise.get_future().get();
  }

  Result<std::vector<Record>> read(const Partition& partition, Offset from, size_t bytes_max) const override {
    PartitionInfo info;
    {
      const std::shared_lock lock(index_mutex_);
      const auto it = index_.partitions.find(partition);
      if (it == index_.partitions.end() || from >= it->second.end) return std::vector<Record>();
      info = it->second;
    }
    return storage_.read(info, from, bytes_max);
  }

  Range range(const Partition& partition) const override {
    const std::shared_lock lock(index_mutex_);
    const auto it = index_.partitions.find(partition);
    return it == index_.partitions.end() ? Range{} : Range{it->second.begin, it->second.end};
  }

  Offset committed(const std::string& consumer, const Partition& partition) const override {
    const std::shared_lock lock(index_mutex_);
    const auto it = index_.committed.find({partition, consumer});
    return it == index_.committed.end() ? 0 : it->second;
  }

  std::vector<Partition> partitions(std::string_view stream_prefix) const override {
    const std::shared_lock lock(index_mutex_);
    std::vector<Partition> out;
    for (auto it = index_.partitions.lower_bound(Partition{std::string(stream_prefix), 0});
         it != index_.partitions.end() && it->first.stream.starts_with(stream_prefix); ++it) {
      out.push_back(it->first);
    }
    return out;
  }

  Result<std::optional<std::string>> get(std::string_view key) const override { return storage_.get(key); }

  Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end, size_t count_max,
                                     bool reverse) const override {
    return storage_.scan(begin, end, count_max, reverse);
  }

  Subscription subscribe(std::string stream_prefix, std::function<void(const Partition&)> wake) override {
    return subscriptions_->add(std::move(stream_prefix), std::move(wake));
  }

  std::string trouble() const override {
    const std::lock_guard lock(mutex_);
    return trouble_;
  }

 private:
  struct Pending {
    Batch batch;
    CommitCallback done;
    size_t cost = 0;
  };

  void run() {
    std::deque<Pending> group;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        take_group(group);
        probe_.queue_bytes.Set(static_cast<double>(queue_bytes_));
      }
      const Status written = write_group(group);
      group.clear();
      if (!written) {
        refuse_waiting(written.error());
        if (!wait_for_recovery()) return;
      }
    }
  }

  // Under the mutex.
  void take_group(std::deque<Pending>& group) {
    size_t bytes = 0;
    while (!queue_.empty() && (group.empty() || bytes + queue_.front().cost <= options_.group_bytes_max)) {
      bytes += queue_.front().cost;
      group.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
  }

  Status write_group(std::deque<Pending>& group) {
    std::vector<std::vector<Offset>> offsets;
    offsets.reserve(group.size());
    // Only this thread changes the index, so it may read it without the lock.
    const auto building = storage_.begin_group(index_);
    size_t cost = 0;
    for (const Pending& pending : group) {
      const auto& identity = pending.batch.identity;
      const bool there = identity && identity->written;
      offsets.push_back(there ? *identity->written : building->add(pending.batch));
      cost += pending.cost;
    }
    const auto started = std::chrono::steady_clock::now();
    const Status written = storage_.commit(*building);
    if (written) {
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
      const std::unique_lock lock(index_mutex_);
      building->publish(index_);
      probe_.sync_seconds.Observe(took.count());
      probe_.group_batches.Observe(static_cast<double>(group.size()));
      probe_.groups.Increment();
      probe_.batches.Increment(static_cast<double>(group.size()));
      probe_.records.Increment(static_cast<double>(building->append_count()));
      probe_.bytes.Increment(static_cast<double>(building->bytes()));
    }
    {
      const std::lock_guard lock(mutex_);
      queue_bytes_ -= cost;
      // Before anyone is told, as is what says so below: trouble() is set when the failure is seen.
      if (!written) trouble_ = written.error().message;
    }
    if (!written) {
      probe_.trouble.Set(1);
      logger_.error("log_trouble",
                    {{"reason", written.error().message}, {"effect", "nothing is acknowledged"}});
      in_doubt_ = {building->number(), {}, building->appended()};
      for (size_t i = 0; i < group.size(); ++i) {
        if (auto identity = group[i].batch.identity) {
          in_doubt_.batches.emplace_back(std::move(identity), std::move(offsets[i]));
        }
      }
    }
    for (size_t i = 0; i < group.size(); ++i) {
      if (written) {
        answer(group[i].done, std::move(offsets[i]));
      } else {
        probe_.refused_disk.Increment();
        answer(group[i].done, fail(written.error()));
      }
    }
    if (written) subscriptions_->wake(building->appended());
    return written;
  }

  // Refuses what was submitted meanwhile.
  void refuse_waiting(const Error& error) {
    std::deque<Pending> refused;
    {
      const std::lock_guard lock(mutex_);
      refused.swap(queue_);
      for (const Pending& pending : refused) queue_bytes_ -= pending.cost;
    }
    for (Pending& pending : refused) {
      probe_.refused_disk.Increment();
      answer(pending.done, fail(error));
    }
  }

  // False when shutting down.
  bool wait_for_recovery() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, options_.retry_interval, [&] { return stopping_; })) return false;
      }
      const Status recovered = storage_.recover(index_, index_mutex_);
      if (recovered) settle_doubt();
      const std::lock_guard lock(mutex_);
      if (recovered) {
        trouble_.clear();
        probe_.trouble.Set(0);
        logger_.info("log_recovered");
        return true;
      }
      trouble_ = recovered.error().message;
    }
  }

  // The log is open again: is the group that failed there?
  void settle_doubt() {
    if (index_.group >= in_doubt_.group) {
      for (auto& [identity, offsets] : in_doubt_.batches) identity->written = std::move(offsets);
      subscriptions_->wake(in_doubt_.appended);
    }
    in_doubt_ = {};
  }

  const LogOptions options_;
  Logger& logger_;
  Probe probe_;
  Storage storage_;
  Index index_;  // changed by the writer's thread only, under index_mutex_
  mutable std::shared_mutex index_mutex_;
  std::shared_ptr<Subscriptions> subscriptions_ = std::make_shared<Subscriptions>();

  // Of the group whose write failed, until the log is open again. The writer's thread.
  struct InDoubt {
    uint64_t group = 0;
    std::vector<std::pair<std::shared_ptr<Batch::Identity>, std::vector<Offset>>> batches;
    std::set<Partition> appended;
  };
  InDoubt in_doubt_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Pending> queue_;
  size_t queue_bytes_ = 0;
  std::string trouble_;
  bool stopping_ = false;
  std::thread writer_;
};

}  // namespace

Result<std::unique_ptr<Log>> open_embedded_log(LogOptions options, Logger& logger, Metrics& metrics) {
  auto log = std::make_unique<EmbeddedLog>(std::move(options), logger, metrics);
  if (auto opened = log->open(); !opened) return fail(opened.error());
  return log;
}

}  // namespace fleetward::log
