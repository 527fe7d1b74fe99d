#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/time.h"
#include "log/log.h"

namespace fleetward::pipeline {

// The thread of a stage, and how it sleeps: until a record arrives, a time is over, or it is to stop. start()
// and stop() from one thread; the rest from the stage's own.
class StageThread {
 public:
  ~StageThread() { stop(); }

  // Runs `loop`, which returns once wait(), pause() or stopping() tell it to. Appends to streams whose name
  // starts with `stream_prefix` wake it.
  void start(log::Log& log, std::string stream_prefix, std::function<void()> loop);
  void start(std::function<void()> loop);  // nothing appended wakes it
  // Waits for the loop's end. Harmless if it was never started, or stopped before.
  void stop();

  // Until something was appended since the last call (the first returns at once), at most this long. False:
  // stop.
  bool wait(std::optional<Duration> at_most);
  // The next wait() returns at once.
  void wake();
  // This long, whatever is appended: the log refuses. False: stop.
  bool pause(Duration duration);
  bool stopping() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool work_ = true, stopping_ = false;  // under mutex_
  log::Log::Subscription subscription_;
  std::thread thread_;
};

}  // namespace fleetward::pipeline
