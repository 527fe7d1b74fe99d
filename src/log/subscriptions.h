#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "log/log.h"

namespace fleetward::log {

// Who wants to be woken by appends. Shared by the log and its handles, so that a handle may outlive the log.
// Thread safe.
class Subscriptions : public std::enable_shared_from_this<Subscriptions> {
 public:
  Log::Subscription add(std::string stream_prefix, std::function<void(const Partition&)> wake);
  void wake(const std::set<Partition>& appended);

 private:
  struct Entry {
    std::string prefix;
    std::function<void(const Partition&)> wake;
  };
  std::mutex mutex_;  // held while waking: releasing a handle waits for a call under way
  uint64_t next_ = 0;
  std::map<uint64_t, Entry> entries_;
};

}  // namespace fleetward::log
