#include "app/simulate/fleet.h"

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <sys/eventfd.h>
#include <thread>

#include <mosquitto.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "app/simulate/device.h"

namespace fleetward::app::simulate {

// One thread drives all devices with poll(). The lock is held while devices work, not while it waits.
class Fleet::Impl {
 public:
  explicit Impl(FleetOptions options) : options_(std::move(options)) {}
  ~Impl() {
    stop(Duration{0});
    if (wake_ >= 0) close(wake_);
  }

  Status prepare() {
    if (options_.devices.empty())
      return fail(ErrorCode::kInvalidArgument, "a fleet needs at least one device");
    static std::once_flag once;
    std::call_once(once, [] { mosquitto_lib_init(); });
    for (size_t i = 0; i < options_.devices.size(); ++i) {
      devices_.push_back(std::make_unique<Device>(options_, i, ledger_));
      if (auto ok = devices_.back()->prepare(); !ok) return ok;
    }
    wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread_ = std::thread([this] { run(); });
    return {};
  }

  Status misbehave(const std::string& thing_name, Attack attack) {
    const std::lock_guard lock(mutex_);
    for (const auto& device : devices_) {
      if (device->counters().thing_name != thing_name) continue;
      device->set_attack(attack, clock_.now());
      wake();
      return {};
    }
    return fail(ErrorCode::kNotFound, "no device " + thing_name);
  }

  void report_now() {
    const std::lock_guard lock(mutex_);
    for (const auto& device : devices_) device->report_now(clock_.now());
    wake();
  }

  size_t connected() const {
    const std::lock_guard lock(mutex_);
    return count_connected();
  }

  bool wait_connected(size_t count, Duration timeout) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [&] { return count_connected() >= count; });
  }

  std::vector<DeviceCounters> counters() const {
    const std::lock_guard lock(mutex_);
    std::vector<DeviceCounters> all;
    for (const auto& device : devices_) all.push_back(device->counters());
    return all;
  }

  std::vector<SentReport> sent() const {
    const std::lock_guard lock(mutex_);
    return ledger_.reports;
  }

  void stop(Duration patience) {
    {
      const std::lock_guard lock(mutex_);
      if (!thread_.joinable()) return;
      patience_ = patience;
      stopping_ = true;
      wake();
    }
    thread_.join();
  }

 private:
  void wake() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(wake_, &one, sizeof(one));
  }

  size_t count_connected() const {
    return static_cast<size_t>(
        std::count_if(devices_.begin(), devices_.end(), [](const auto& d) { return d->subscribed(); }));
  }

  void run() {
    // A peer that closes while TLS writes must not end the process.
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    while (work()) wait_for_events();
  }

  // False when everything is over.
  bool work() {
    const std::lock_guard lock(mutex_);
    const Timestamp now = clock_.now();
    if (stopping_ && !wind_down(now)) return false;
    const uint64_t changes = ledger_.changes;
    for (const auto& device : devices_) device->tick(now);
    if (changes != ledger_.changes) changed_.notify_all();
    return true;
  }

  // Quiet, then settled or out of patience, then disconnected.
  bool wind_down(Timestamp now) {
    if (quiet_since_.ms == 0) {
      quiet_since_ = now;
      for (const auto& device : devices_) device->quiesce();
    }
    const auto all = [&](auto predicate) { return std::all_of(devices_.begin(), devices_.end(), predicate); };
    if (left_at_.ms == 0) {
      const bool settled = all([](const auto& d) { return d->settled(); });
      if (!settled && now - quiet_since_ < patience_) return true;
      left_at_ = now;
      for (const auto& device : devices_) device->disconnect();
      return true;
    }
    const bool gone = all([](const auto& d) { return d->socket() < 0; });
    return !gone && now - left_at_ < Duration{500};
  }

  Duration timeout(Timestamp now) const {
    Timestamp due = now + Duration{stopping_ ? 20 : 1000};
    for (const auto& device : devices_) due = std::min(due, device->next_due());
    return std::max(due - now, Duration{1});
  }

  void wait_for_events() {
    std::vector<pollfd> sockets{{wake_, POLLIN, 0}};
    std::vector<size_t> owners{0};
    int timeout_ms = 0;
    {
      const std::lock_guard lock(mutex_);
      for (size_t i = 0; i < devices_.size(); ++i) {
        if (devices_[i]->socket() < 0) continue;
        const short events = devices_[i]->wants_write() ? POLLIN | POLLOUT : POLLIN;
        sockets.push_back({devices_[i]->socket(), events, 0});
        owners.push_back(i);
      }
      timeout_ms = static_cast<int>(timeout(clock_.now()).count());
    }
    if (poll(sockets.data(), sockets.size(), timeout_ms) <= 0) return;
    uint64_t woken = 0;
    [[maybe_unused]] const ssize_t n = read(wake_, &woken, sizeof(woken));
    const std::lock_guard lock(mutex_);
    const uint64_t changes = ledger_.changes;
    for (size_t i = 1; i < sockets.size(); ++i) {
      Device& device = *devices_[owners[i]];
      // The socket may be gone or another one by now.
      if ((sockets[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && device.socket() == sockets[i].fd)
        device.on_readable();
      if ((sockets[i].revents & POLLOUT) != 0 && device.socket() == sockets[i].fd) device.on_writable();
    }
    if (changes != ledger_.changes) changed_.notify_all();
  }

  const FleetOptions options_;
  SystemClock clock_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Device::Ledger ledger_;
  std::vector<std::unique_ptr<Device>> devices_;
  int wake_ = -1;
  bool stopping_ = false;
  Duration patience_{0};
  Timestamp quiet_since_, left_at_;
  std::thread thread_;
};

Fleet::Fleet(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Fleet::~Fleet() = default;

Result<std::unique_ptr<Fleet>> Fleet::start(FleetOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  if (auto ok = impl->prepare(); !ok) return fail(ok.error());
  return std::unique_ptr<Fleet>(new Fleet(std::move(impl)));
}

Status Fleet::misbehave(const std::string& thing_name, Attack attack) {
  return impl_->misbehave(thing_name, attack);
}
void Fleet::report_now() {
  impl_->report_now();
}
size_t Fleet::connected() const {
  return impl_->connected();
}
bool Fleet::wait_connected(size_t count, Duration timeout) const {
  return impl_->wait_connected(count, timeout);
}
std::vector<DeviceCounters> Fleet::counters() const {
  return impl_->counters();
}
std::vector<SentReport> Fleet::sent() const {
  return impl_->sent();
}
void Fleet::stop(Duration patience) {
  impl_->stop(patience);
}

DeviceCounters Fleet::totals() const {
  DeviceCounters sum;
  for (const DeviceCounters& d : counters()) {
    sum.connected = sum.connected || d.connected;
    sum.connects += d.connects;
    sum.connect_failures += d.connect_failures;
    sum.disconnects += d.disconnects;
    sum.reports_sent += d.reports_sent;
    sum.reports_accepted += d.reports_accepted;
    sum.reports_rejected += d.reports_rejected;
    sum.messages_sent += d.messages_sent;
    sum.messages_acknowledged += d.messages_acknowledged;
    sum.messages_received += d.messages_received;
    sum.payload_bytes_sent += d.payload_bytes_sent;
    if (sum.last_error.empty() && !d.last_error.empty()) sum.last_error = d.thing_name + ": " + d.last_error;
  }
  return sum;
}

}  // namespace fleetward::app::simulate
