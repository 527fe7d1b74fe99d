#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace fleetward::broker {

// Mail from many threads to one. Senders hand over batches: one lock per batch, never one per message. The
// bound is in units the sender counts (bytes); post() beyond it is refused and the sender keeps its batch and
// stops taking in work until `room` tells it that there is space again.
template <typename Mail>
class Mailbox {
 public:
  // `wake` is called when mail arrives in an empty box; on the sender's thread, outside the lock.
  Mailbox(size_t weight_max, std::function<void()> wake) : weight_max_(weight_max), wake_(std::move(wake)) {}

  // Takes all of `batch` (then empty) or nothing. A box below its bound takes a batch of any weight, so that
  // one large batch cannot wait for ever. `room` (only kept if refused) runs on the receiver's thread once
  // there is space.
  bool post(std::vector<Mail>& batch, size_t weight, const std::function<void()>& room) {
    bool was_empty = false;
    {
      const std::lock_guard lock(mutex_);
      if (weight_ >= weight_max_) {
        waiting_.push_back(room);
        return false;
      }
      was_empty = mail_.empty();
      append(batch);
      weight_ += weight;
    }
    if (was_empty) announce();
    return true;
  }

  // For mail that is bounded elsewhere (answers to what the receiver asked, commands of operators): always
  // taken.
  void post_always(Mail mail) {
    bool was_empty = false;
    {
      const std::lock_guard lock(mutex_);
      was_empty = mail_.empty();
      mail_.push_back(std::move(mail));
    }
    if (was_empty) announce();
  }

  // As post_always, unless the box is full.
  bool try_post(Mail mail, size_t weight) {
    bool was_empty = false;
    {
      const std::lock_guard lock(mutex_);
      if (weight_ >= weight_max_) return false;
      was_empty = mail_.empty();
      mail_.push_back(std::move(mail));
      weight_ += weight;
    }
    if (was_empty) announce();
    return true;
  }

  // One relaxed load: may be asked as often as one likes.
  bool maybe_has_mail() const { return announced_.load(std::memory_order_acquire); }

  // Receiver only. Swaps everything that came into `out` (which must be empty).
  void take(std::vector<Mail>& out) {
    std::vector<std::function<void()>> waiting;
    {
      const std::lock_guard lock(mutex_);
      out.swap(mail_);
      weight_ = 0;
      waiting.swap(waiting_);
      announced_.store(false, std::memory_order_release);
    }
    for (const auto& room : waiting) room();
  }

 private:
  void append(std::vector<Mail>& batch) {
    if (mail_.empty()) {
      mail_.swap(batch);
    } else {
      for (Mail& mail : batch) mail_.push_back(std::move(mail));
    }
    batch.clear();
  }
  void announce() {
    announced_.store(true, std::memory_order_release);
    wake_();
  }

  const size_t weight_max_;
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<Mail> mail_;
  size_t weight_ = 0;
  std::vector<std::function<void()>> waiting_;
  std::atomic<bool> announced_{false};
};

}  // namespace fleetward::broker
