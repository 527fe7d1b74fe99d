#include "alerts/syslog_sender.h"

#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <sys/eventfd.h>
#include <thread>
#include <utility>

#include <unistd.h>

#include "alerts/syslog_connection.h"
#include "alerts/syslog_message.h"

namespace fleetward::alerts {
namespace {

// One target: what waits for it and the thread that sends it.
class Worker {
 public:
  Worker(const Target& target, const SyslogDone& done)
      : target_(target), done_(done), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    const uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(stop_, &one, sizeof one);
    wakened_.notify_one();
    thread_.join();
    ::close(stop_);
  }
  const std::string& name() const { return target_.name; }

  void start(uint64_t id, std::string message) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back(id, std::move(message));
    wakened_.notify_one();
  }

 private:
  using Batch = std::vector<std::pair<uint64_t, std::string>>;

  void run() {
    sigset_t set;  // a connection that broke is told by the write's error
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    SyslogConnection connection(target_, stop_);
    for (;;) {
      Batch batch;
      {
        std::unique_lock lock(mutex_);
        wakened_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
        if (stopping_) return;
        batch.swap(waiting_);
      }
      target_.transport == Target::Transport::kUdp ? send_each(connection, batch)
                                                   : send_together(connection, batch);
    }
  }

  void send_each(SyslogConnection& connection, const Batch& batch) {
    for (const auto& [id, message] : batch) tell(id, connection.send(message));
  }

  void send_together(SyslogConnection& connection, const Batch& batch) {
    std::string bytes;
    for (const auto& [id, message] : batch) bytes += frame_syslog(message, target_.octet_counting);
    const Status sent = connection.send(bytes);
    for (const auto& [id, message] : batch) tell(id, sent);
  }

  void tell(uint64_t id, const Status& sent) {
    done_(id, sent ? AttemptResult{200, ""} : AttemptResult{0, sent.error().message});
  }

  const Target target_;
  const SyslogDone done_;
  const int stop_;
  std::mutex mutex_;
  std::condition_variable wakened_;
  Batch waiting_;          // under mutex_; bounded by the stage's open attempts
  bool stopping_ = false;  // under mutex_
  std::thread thread_;
};

class Threads final : public SyslogSender {
 public:
  Threads(const std::vector<Target>& targets, SyslogDone done) : done_(std::move(done)) {
    for (const Target& target : targets) {
      if (target.kind == Target::Kind::kSyslog) workers_.push_back(std::make_unique<Worker>(target, done_));
    }
  }
  void start(uint64_t id, std::string_view target, std::string message) override {
    for (const auto& worker : workers_) {
      if (worker->name() == target) return worker->start(id, std::move(message));
    }
    done_(id, AttemptResult{0, "no such target"});
  }

 private:
  const SyslogDone done_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

std::unique_ptr<SyslogSender> make_syslog_sender(const std::vector<Target>& targets, SyslogDone done) {
  return std::make_unique<Threads>(targets, std::move(done));
}

}  // namespace fleetward::alerts
