#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "core/result.h"
#include "core/time.h"

namespace fleetward::broker {

// Something with a descriptor in an EventLoop. The loop keeps the bare pointer between add() and remove().
class EventSource {
 public:
  virtual ~EventSource() = default;
  // `readable` also for hang-ups and errors: the next read tells which.
  virtual void on_event(bool readable, bool writable) = 0;
};

// A thin epoll loop, level triggered. Why not Asio: docs/decisions/030-event-loop.md. Everything but wake()
// belongs to one thread.
class EventLoop {
 public:
  EventLoop() = default;
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  Status open();
  Status add(int descriptor, EventSource* source, bool readable, bool writable);
  void change(int descriptor, EventSource* source, bool readable, bool writable);
  // Safe from inside on_event(), also for another source of the same round: its event is dropped.
  void remove(int descriptor, EventSource* source);

  // One round: waits at most `timeout`, then dispatch() calls the sources that are ready.
  void wait(Duration timeout);
  void dispatch();
  // Ends the current or next wait. Any thread. Cheap if one is pending already.
  void wake();

 private:
  static constexpr int kEventsPerRound = 256;
  int epoll_ = -1;
  int eventfd_ = -1;
  std::atomic<bool> woken_{false};
  struct Ready {
    EventSource* source;
    bool readable, writable;
  };
  std::vector<Ready> ready_;
  std::vector<EventSource*> removed_;  // in this round
};

}  // namespace fleetward::broker
