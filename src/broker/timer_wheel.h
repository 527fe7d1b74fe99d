#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/time.h"

namespace fleetward::broker {

// A deadline of {0} is none.
inline bool sooner(Timestamp deadline, Timestamp than) {
  return than.ms == 0 || deadline < than;
}

// Deadlines of many items, coarse and cheap: an item costs one vector entry, moving its deadline later costs
// nothing (the owner answers the new one when asked). Pure; one thread.
//
// Contract: a deadline fires never early, and at most one granule after it, provided advance() is called that
// often. Time that runs backwards is ignored.
template <typename Item>
class TimerWheel {
 public:
  TimerWheel(Duration granule, size_t slots, Timestamp now)
      : granule_ms_(granule.count()), slots_(slots), current_(now.ms / granule.count()) {}

  void add(Item item, Timestamp deadline) {
    int64_t at = deadline.ms / granule_ms_ + 1;  // rounded up: never early
    if (at <= current_) at = current_ + 1;
    // Beyond the horizon: comes up in the last slot and is put back.
    const int64_t horizon = current_ + static_cast<int64_t>(slots_.size()) - 1;
    if (at > horizon) at = horizon;
    slots_[index(at)].push_back({std::move(item), deadline});
    ++size_;
  }

  // For each item whose slot has come: `due(item, deadline)` answers Timestamp{0} to forget it (it fired or
  // is gone) or a later deadline to keep it. Not called for items that only came up because of the horizon.
  template <typename Due>
  void advance(Timestamp now, Due&& due) {
    const int64_t target = now.ms / granule_ms_;
    // After a long pause every slot is visited once, not more.
    if (target - current_ > static_cast<int64_t>(slots_.size())) {
      current_ = target - static_cast<int64_t>(slots_.size());
    }
    while (current_ < target) {
      ++current_;
      std::vector<Entry> entries;
      entries.swap(slots_[index(current_)]);
      size_ -= entries.size();
      for (Entry& entry : entries) {
        Timestamp next = entry.deadline;
        if (next <= now) next = due(entry.item, entry.deadline);
        if (next.ms != 0) add(std::move(entry.item), next);
      }
    }
  }

  size_t size() const { return size_; }

 private:
  struct Entry {
    Item item;
    Timestamp deadline;
  };
  size_t index(int64_t at) const { return static_cast<size_t>(at) % slots_.size(); }

  const int64_t granule_ms_;
  std::vector<std::vector<Entry>> slots_;
  int64_t current_;
  size_t size_ = 0;
};

}  // namespace fleetward::broker
