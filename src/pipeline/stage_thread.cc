#include "pipeline/stage_thread.h"

namespace fleetward::pipeline {

void StageThread::start(log::Log& log, std::string stream_prefix, std::function<void()> loop) {
  subscription_ = log.subscribe(std::move(stream_prefix), [this](const log::Partition&) { wake(); });
  start(std::move(loop));
}

void StageThread::start(std::function<void()> loop) {
  thread_ = std::thread(std::move(loop));
}

void StageThread::wake() {
  {
    const std::lock_guard lock(mutex_);
    work_ = true;
  }
  changed_.notify_one();
}

void StageThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  subscription_.reset();
}

bool StageThread::wait(std::optional<Duration> at_most) {
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return work_ || stopping_; };
  if (at_most) {
    changed_.wait_for(lock, *at_most, ready);
  } else {
    changed_.wait(lock, ready);
  }
  work_ = false;
  return !stopping_;
}

bool StageThread::pause(Duration duration) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, duration, [this] { return stopping_; });
  return !stopping_;
}

bool StageThread::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

}  // namespace fleetward::pipeline
