#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include "delivery/stream_delivery.h"
#include "lake/sink.h"
#include "log/memory_log.h"

namespace fleetward::delivery {

// Where a process dies: the n-th write to the log or to the store happens, or does not, and nothing after it
// does.
struct Crash {
  int at = -1;  // two points for each operation: before it and after it; -1: never
  int points = 0;
  bool dead = false;

  // Runs the operation unless the process is dead; false if its caller never learns the outcome.
  bool run(const std::function<void()>& operation) {
    if (dead) return false;
    if (points++ == at) {
      dead = true;
      return false;
    }
    operation();
    if (points++ == at) dead = true;
    return !dead;
  }
};

// A process's view of the log.
class CrashingLog final : public log::Log {
 public:
  CrashingLog(log::MemoryLog& log, Crash& crash) : log_(log), crash_(crash) {}

  void submit(log::Batch batch, log::CommitCallback done) override { done(write(std::move(batch))); }
  log::Committed write(log::Batch batch) override {
    log::Committed out;
    if (!crash_.run([&] { out = log_.write(std::move(batch)); }))
      return fail(ErrorCode::kUnavailable, "dead");
    return out;
  }
  Result<std::vector<log::Record>> read(const log::Partition& p, log::Offset from,
                                        size_t max) const override {
    return log_.read(p, from, max);
  }
  Range range(const log::Partition& p) const override { return log_.range(p); }
  log::Offset committed(const std::string& consumer, const log::Partition& p) const override {
    return log_.committed(consumer, p);
  }
  std::vector<log::Partition> partitions(std::string_view prefix) const override {
    return log_.partitions(prefix);
  }
  Result<std::optional<std::string>> get(std::string_view key) const override { return log_.get(key); }
  Result<std::vector<log::KeyValue>> scan(std::string_view begin, std::string_view end, size_t max,
                                          bool reverse) const override {
    return log_.scan(begin, end, max, reverse);
  }
  Subscription subscribe(std::string prefix, std::function<void(const log::Partition&)> wake) override {
    return log_.subscribe(std::move(prefix), std::move(wake));
  }
  std::string trouble() const override { return log_.trouble(); }

 private:
  log::MemoryLog& log_;
  Crash& crash_;
};

inline std::string gunzip(const std::string& bytes) {
  z_stream z{};
  EXPECT_EQ(inflateInit2(&z, 15 + 16), Z_OK);
  std::string out(size_t{16} << 20, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  inflateEnd(&z);
  return out;
}

// A store that outlives crashes. An object stored again must be the same.
class FakeSink final : public lake::Sink {
 public:
  Status put(const Object& object) override {
    const Status status = take(object);
    if (status && stored) stored();  // without the lock: it may wait for one whose holder asks for content()
    return status;
  }
  Result<std::shared_ptr<const identity::PolicyDocument>> bucket_policy(const std::string&) override {
    const std::lock_guard lock(mutex_);
    return policy_;
  }
  uint64_t buckets_version() const override { return version_; }
  void set_policy(std::shared_ptr<const identity::PolicyDocument> policy) {
    const std::lock_guard lock(mutex_);
    policy_ = std::move(policy);
    ++version_;
  }
  // All objects in the order of their first appearance, one after the other.
  std::string content() {
    const std::lock_guard lock(mutex_);
    std::string out;
    for (const auto& key : order) out += key.ends_with(".gz") ? gunzip(objects[key]) : objects[key];
    return out;
  }

  Crash* crash = nullptr;
  Error refusal{ErrorCode::kUnavailable, {}};  // while it has a message
  std::function<void()> stored;
  int attempts = 0;
  std::map<std::string, std::string> objects;
  std::vector<std::string> order;

 private:
  Status take(const Object& object) {
    const std::lock_guard lock(mutex_);
    ++attempts;
    if (!refusal.message.empty()) return fail(refusal);
    const auto store = [&] {
      const auto [it, fresh] =
          objects.try_emplace(object.bucket + "/" + object.key, std::string(object.bytes));
      if (fresh) {
        order.push_back(it->first);
      } else {
        EXPECT_EQ(it->second, object.bytes) << "stored again with other bytes: " << it->first;
      }
    };
    if (crash == nullptr) {
      store();
    } else if (!crash->run(store)) {
      return fail(ErrorCode::kUnavailable, "dead");
    }
    return {};
  }

  std::mutex mutex_;
  std::shared_ptr<const identity::PolicyDocument> policy_;
  std::atomic<uint64_t> version_ = 0;
};

}  // namespace fleetward::delivery
