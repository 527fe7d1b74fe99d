#include "delivery/worker.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "delivery/stream_delivery.h"

namespace fleetward::delivery {
namespace {

constexpr std::chrono::milliseconds kBacklogInterval{1000};  // between updates of the gauges
constexpr Duration kSyncRetry{1000};

// The confused-deputy keys a trust policy may ask for.
// And a bucket of ours has a policy of its own to say what the role may do.
RoleCheck role_check(const identity::Authorizer& authorizer, lake::Sink& sink, std::string account) {
  return [&authorizer, &sink, account = std::move(account)](const Stream& stream, const std::string& role_arn,
                                                            const std::string& bucket,
                                                            const std::string& key) -> Status {
    const auto policy = sink.bucket_policy(bucket);
    if (!policy) return fail(policy.error());
    identity::MapContext context;
    context.set("sts:ExternalId", account);
    context.set("aws:SourceAccount", account);
    context.set("aws:SourceArn", stream.arn);
    return authorizer.authorize_role(role_arn, "firehose.amazonaws.com", "s3:PutObject",
                                     "arn:aws:s3:::" + bucket + "/" + key, context, policy->get());
  };
}

}  // namespace

struct Worker::Impl {
  Impl(WorkerOptions given, log::Log& the_log, state::Store& the_store, const Tables& the_tables,
       const identity::Authorizer& authorizer, lake::Sink& sink, const Clock& the_clock,
       const Clock& the_steady, Random& random, Logger& the_logger, Metrics& metrics)
      : options(std::move(given)),
        log(the_log),
        store(the_store),
        tables(the_tables),
        clock(the_clock),
        steady(the_steady),
        logger(the_logger),
        probe(metrics),
        context{options, log, role_check(authorizer, sink, options.account), sink, random, logger, probe} {
    // Lives as long as the store's listener list: the listener outlives this object's threads.
    store.on_change([signal = signal](state::SnapshotPtr) { signal->control_changed(); });
  }

  // What other threads may touch: kept alive by the store's listener, which cannot be taken back.
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    bool streams_changed = true;
    bool stopping = false;
    std::unordered_set<std::string> woken;  // stream ids with new records

    void control_changed() {
      const std::lock_guard lock(mutex);
      streams_changed = true;
      changed.notify_one();
    }
    void records_appended(const log::Partition& partition) {
      const std::lock_guard lock(mutex);
      if (woken.insert(partition.stream.substr(std::string_view("records/").size())).second) {
        changed.notify_one();
      }
    }
  };

  struct Task {
    std::string name;
    std::unique_ptr<StreamDelivery> delivery;
    Timestamp due;  // steady, as all deadlines here
    Timestamp last_step;
    bool busy = false;
    bool woken = false;     // while busy
    bool deleting = false;  // the stream is to go once this is not busy
    StreamDelivery::Backlog backlog;
    std::string last_error;
  };

  void run();
  bool run_once(std::unique_lock<std::mutex>& lock);
  void sync_streams(std::unique_lock<std::mutex>& lock);
  void wake_failing(Timestamp now);
  void sync_tasks(const state::Snapshot& snapshot, Timestamp now, std::vector<std::string>& creating,
                  std::vector<Stream>& removable);
  Status activate(const std::vector<std::string>& names);
  Status remove(const Stream& stream);
  Status sweep_orphans();
  void take_wakes(Timestamp now);
  void set_due(const std::string& id, Task& task, Timestamp due);
  void step(const std::string& id, std::unique_lock<std::mutex>& lock, const Instant& now);
  void publish_backlog(const Instant& now);
  Instant now() const { return {clock.now(), steady.now()}; }

  const WorkerOptions options;
  log::Log& log;
  state::Store& store;
  const Tables tables;
  const Clock& clock;
  const Clock& steady;
  Logger& logger;
  Probe probe;
  DeliveryContext context;

  std::shared_ptr<Signal> signal = std::make_shared<Signal>();
  // Everything below is under signal->mutex.
  std::map<std::string, Task> tasks;                     // by stream id
  std::set<std::pair<Timestamp, std::string>> schedule;  // of the tasks that are not busy
  state::SnapshotPtr synced;  // what the tasks were last brought in line with; null: to be done again
  uint64_t buckets_version = 0;
  bool syncing = false;
  Timestamp sync_again = kNever;  // after the log or the store refused
  Timestamp published;

  log::Log::Subscription subscription;
  std::vector<std::thread> threads;
};

void Worker::Impl::set_due(const std::string& id, Task& task, Timestamp due) {
  schedule.erase({task.due, id});
  task.due = due;
  if (!task.busy) schedule.insert({due, id});
}

void Worker::Impl::take_wakes(Timestamp now) {
  for (const std::string& id : signal->woken) {
    const auto it = tasks.find(id);
    if (it == tasks.end()) continue;
    Task& task = it->second;
    if (task.busy) {
      task.woken = true;
    } else {
      set_due(id, task, std::min(task.due, std::max(now, task.last_step + options.scan_interval)));
    }
  }
  signal->woken.clear();
}

void Worker::Impl::run() {
  std::unique_lock lock(signal->mutex);
  while (!signal->stopping) {
    if (run_once(lock)) continue;
    const Instant now = this->now();
    publish_backlog(now);
    std::chrono::milliseconds wait = kBacklogInterval;
    if (!schedule.empty() && schedule.begin()->first != kNever) {
      wait = std::clamp(std::chrono::milliseconds((schedule.begin()->first - now.steady).count()),
                        std::chrono::milliseconds(1), kBacklogInterval);
    }
    signal->changed.wait_for(lock, wait);
  }
}

// One piece of work; false if there is none now.
bool Worker::Impl::run_once(std::unique_lock<std::mutex>& lock) {
  const Instant now = this->now();
  if ((signal->streams_changed || sync_again <= now.steady) && !syncing) {
    sync_streams(lock);
    return true;
  }
  take_wakes(now.steady);
  // A bucket is not control state, but may be what a refused delivery waits for as well.
  if (const uint64_t version = context.sink.buckets_version(); version != buckets_version) {
    buckets_version = version;
    wake_failing(now.steady);
  }
  if (schedule.empty() || schedule.begin()->first > now.steady) return false;
  const std::string id = schedule.begin()->second;
  step(id, lock, now);
  return true;
}

void Worker::Impl::step(const std::string& id, std::unique_lock<std::mutex>& lock, const Instant& now) {
  Task& task = tasks.at(id);
  schedule.erase({task.due, id});
  task.busy = true;
  // Another thread may look for work while this one is busy.
  if (!schedule.empty()) signal->changed.notify_one();
  lock.unlock();
  const state::SnapshotPtr snapshot = store.snapshot();
  const Stream* stream = snapshot->get(tables.streams).find(task.name);
  Timestamp due = kNever;
  const bool gone = stream == nullptr || stream->id != id || stream->status == StreamStatus::kDeleting;
  const uint64_t version = snapshot->version() + context.sink.buckets_version();
  if (!gone) due = task.delivery->step(*stream, version, now);
  lock.lock();
  task.busy = false;
  task.last_step = now.steady;
  task.backlog = task.delivery->backlog();
  task.last_error = task.delivery->last_error();
  if (task.woken) due = std::min(due, now.steady + options.scan_interval);
  task.woken = false;
  set_due(id, task, due);
  if (task.deleting) {
    synced.reset();
    signal->streams_changed = true;
    signal->changed.notify_one();
  }
}

// A change of control state may be what a refused delivery waits for.
void Worker::Impl::wake_failing(Timestamp now) {
  for (auto& [id, task] : tasks) {
    if (task.busy) {
      task.woken = true;  // it may work with the state before the change
    } else if (!task.last_error.empty()) {
      set_due(id, task, std::min(task.due, now));
    }
  }
}

// Brings the tasks in line with the table of streams: new ones start, deleted ones go.
void Worker::Impl::sync_streams(std::unique_lock<std::mutex>& lock) {
  signal->streams_changed = false;
  sync_again = kNever;
  const Timestamp now = steady.now();
  const state::SnapshotPtr before = std::exchange(synced, store.snapshot());
  const state::SnapshotPtr snapshot = synced;
  // Tables that did not change are shared between snapshots.
  if (before && &before->get(tables.streams) == &snapshot->get(tables.streams)) {
    wake_failing(now);
    return;
  }
  syncing = true;
  std::vector<std::string> creating;
  std::vector<Stream> removable;
  sync_tasks(*snapshot, now, creating, removable);
  lock.unlock();
  Status done = creating.empty() ? Status() : activate(creating);
  for (const Stream& stream : removable) {
    if (auto removed = remove(stream); !removed) done = removed;
  }
  if (auto swept = sweep_orphans(); !swept) done = swept;
  if (!done) logger.error("delivery_streams_not_changed", {{"reason", done.error().message}});
  lock.lock();
  if (!done) {
    synced.reset();
    sync_again = now + kSyncRetry;
  }
  syncing = false;
}

void Worker::Impl::sync_tasks(const state::Snapshot& snapshot, Timestamp now,
                              std::vector<std::string>& creating, std::vector<Stream>& removable) {
  std::set<std::string> live;
  snapshot.get(tables.streams).visit_from({}, [&](const auto& entry) {
    const Stream& stream = *entry.value;
    const auto found = tasks.find(stream.id);
    if (stream.status == StreamStatus::kDeleting) {
      if (found != tasks.end() && found->second.busy) {
        found->second.deleting = true;
      } else {
        removable.push_back(stream);
      }
      return true;
    }
    live.insert(stream.id);
    if (stream.status == StreamStatus::kCreating) creating.push_back(stream.name);
    Task& task = found != tasks.end() ? found->second : tasks[stream.id];
    if (!task.delivery) {
      task.name = stream.name;
      task.delivery = std::make_unique<StreamDelivery>(context, stream.id);
    }
    // The interval may be shorter now.
    if (task.busy) {
      task.woken = true;
    } else {
      set_due(stream.id, task, std::min(task.due, now));
    }
    return true;
  });
  for (auto it = tasks.begin(); it != tasks.end();) {
    if (it->second.busy || live.contains(it->first)) {
      ++it;
      continue;
    }
    schedule.erase({it->second.due, it->first});
    it = tasks.erase(it);
  }
}

Status Worker::Impl::activate(const std::vector<std::string>& names) {
  return store.transact([&](state::Transaction& t) -> Status {
    for (const std::string& name : names) {
      const Stream* stream = t.get(tables.streams).find(name);
      if (stream == nullptr || stream->status != StreamStatus::kCreating) continue;
      Stream active = *stream;
      active.status = StreamStatus::kActive;
      t.put(tables.streams, name, std::move(active));
    }
    return {};
  });
}

Status Worker::Impl::remove(const Stream& stream) {
  const log::Partition records = records_of(stream);
  const log::Offset next = std::max(log.committed(consumer_of(stream.id), records), log.range(records).begin);
  const uint64_t dropped = log.range(records).end - std::min(log.range(records).end, next);
  log::Batch batch;
  add_removal(batch, stream.id);
  if (auto written = log.write(std::move(batch)); !written) return fail(written.error());
  auto erased = store.transact([&](state::Transaction& t) -> Status {
    const Stream* now = t.get(tables.streams).find(stream.name);
    if (now != nullptr && now->id == stream.id) t.erase(tables.streams, stream.name);
    return {};
  });
  if (!erased) return erased;
  probe.dropped_deleted.Increment(static_cast<double>(dropped));
  logger.info("delivery_stream_removed",
              {{"stream", stream.name}, {"records_dropped", std::to_string(dropped)}});
  return {};
}

// Records appended by someone who had not yet seen that the stream is gone.
Status Worker::Impl::sweep_orphans() {
  const auto partitions = log.partitions("records/");
  // After the list: a stream is in the table before its first record is in the log.
  const state::SnapshotPtr snapshot = store.snapshot();
  std::set<std::string> streams;
  snapshot->get(tables.streams).visit_from({}, [&](const auto& entry) {
    streams.insert("records/" + entry.value->id);
    return true;
  });
  log::Batch batch;
  for (const auto& partition : partitions) {
    if (streams.contains(partition.stream)) continue;
    const log::Log::Range range = log.range(partition);
    probe.dropped_deleted.Increment(static_cast<double>(range.end - range.begin));
    batch.erase(pending_key_of(partition.stream.substr(std::string_view("records/").size())));
    batch.drop(partition);
  }
  if (batch.empty()) return {};
  if (auto written = log.write(std::move(batch)); !written) return fail(written.error());
  return {};
}

void Worker::Impl::publish_backlog(const Instant& now) {
  if (now.steady - published < kBacklogInterval) return;
  published = now.steady;
  struct Sum {
    double bytes = 0, streams = 0, age_seconds = 0;
  } buffering, failing;
  using State = StreamDelivery::Backlog::State;
  for (const auto& [id, task] : tasks) {
    if (task.backlog.state == State::kIdle) continue;
    Sum& sum = task.backlog.state == State::kFailing ? failing : buffering;
    sum.bytes += static_cast<double>(task.backlog.bytes);
    sum.streams += 1;
    sum.age_seconds = std::max(sum.age_seconds, (now.wall - task.backlog.oldest).count() / 1000.0);
  }
  probe.buffering_bytes.Set(buffering.bytes);
  probe.buffering_streams.Set(buffering.streams);
  probe.buffering_age_seconds.Set(buffering.age_seconds);
  probe.failing_bytes.Set(failing.bytes);
  probe.failing_streams.Set(failing.streams);
  probe.failing_age_seconds.Set(failing.age_seconds);
}

Worker::Worker(WorkerOptions options, log::Log& log, state::Store& store, const Tables& tables,
               const identity::Authorizer& authorizer, lake::Sink& sink, const Clock& clock,
               const Clock& steady, Random& random, Logger& logger, Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), log, store, tables, authorizer, sink, clock, steady,
                                   random, logger, metrics)) {}

Worker::~Worker() {
  stop();
}

void Worker::start() {
  impl_->subscription = impl_->log.subscribe(
      "records/", [signal = impl_->signal](const log::Partition& p) { signal->records_appended(p); });
  for (size_t i = 0; i < std::max<size_t>(1, impl_->options.uploads_max); ++i) {
    impl_->threads.emplace_back([impl = impl_.get()] { impl->run(); });
  }
}

void Worker::stop() {
  {
    const std::lock_guard lock(impl_->signal->mutex);
    impl_->signal->stopping = true;
  }
  impl_->signal->changed.notify_all();
  for (auto& thread : impl_->threads) thread.join();
  impl_->threads.clear();
  impl_->subscription.reset();
}

std::string Worker::last_error(const std::string& stream_id) const {
  const std::lock_guard lock(impl_->signal->mutex);
  const auto it = impl_->tasks.find(stream_id);
  return it == impl_->tasks.end() ? std::string() : it->second.last_error;
}

}  // namespace fleetward::delivery
