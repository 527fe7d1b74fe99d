#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace fleetward::pipeline {

// One T for each thread that asks, made at its first call and destroyed with the PerThread: lets a shared
// object (the publish hook) keep unlocked caches. After a thread's first call get() is two loads. Meant for
// the few long-lived threads of the program.
template <typename T>
class PerThread {
 public:
  explicit PerThread(std::function<std::unique_ptr<T>()> make) : make_(std::move(make)) {}
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  T& get() {
    // Only a memo of the table below. Ids are never used twice, so a memo of a dead PerThread cannot match.
    thread_local uint64_t memo_id = 0;
    thread_local T* memo = nullptr;
    if (memo_id != id_) {
      const std::lock_guard lock(mutex_);
      auto& slot = slots_[std::this_thread::get_id()];
      if (!slot) slot = make_();
      memo = slot.get();
      memo_id = id_;
    }
    return *memo;
  }

 private:
  static uint64_t next_id() {
    static std::atomic<uint64_t> last{0};
    return ++last;
  }
  const uint64_t id_ = next_id();
  std::function<std::unique_ptr<T>()> make_;
  std::mutex mutex_;
  std::map<std::thread::id, std::unique_ptr<T>> slots_;
};

}  // namespace fleetward::pipeline
