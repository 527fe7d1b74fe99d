#include "log/subscriptions.h"

namespace fleetward::log {

Log::Subscription Subscriptions::add(std::string stream_prefix, std::function<void(const Partition&)> wake) {
  const std::lock_guard lock(mutex_);
  const uint64_t id = next_++;
  entries_.emplace(id, Entry{std::move(stream_prefix), std::move(wake)});
  return {static_cast<void*>(this), [self = shared_from_this(), id](void*) {
            const std::lock_guard inner(self->mutex_);
            self->entries_.erase(id);
          }};
}

void Subscriptions::wake(const std::set<Partition>& appended) {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : entries_) {
    for (const Partition& partition : appended) {
      if (partition.stream.starts_with(entry.prefix)) entry.wake(partition);
    }
  }
}

}  // namespace fleetward::log
