// From a report's arrival to the durable notification of the violation it causes, over the log on disk: the
// report is parsed, appended and synced, the detect stage wakes, judges, and its batch (violation, state,
// alert) is synced. No broker; one report at a time, then with others in flight.
//
//   build/release/bench/fleetward_detect_latency [directory]      default: a new one under /tmp

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "bench/pipeline/detect_fixture.h"

namespace {

using namespace fleetward;         // NOLINT: a program of one file
using namespace fleetward::bench;  // NOLINT

class Latency {
 public:
  explicit Latency(const std::string& directory) : fixture_(directory) {
    subscription_ = fixture_.log->subscribe("alerts", [this](const log::Partition&) {
      const std::lock_guard lock(mutex_);
      ++alerts_;
      wakened_.notify_one();
    });
    fixture_.stage->start();
  }
  ~Latency() { fixture_.stage->stop(); }

  void measure(const char* name, uint64_t background) {
    std::vector<double> ms;
    for (int i = 0; i < 1000; ++i) {
      for (uint64_t b = 0; b < background; ++b) report(++quiet_ * kViolatingEach + 1);
      std::unique_lock lock(mutex_);
      const int before = alerts_;
      lock.unlock();
      const auto start = std::chrono::steady_clock::now();
      report(++loud_ * kViolatingEach);
      lock.lock();
      wakened_.wait(lock, [&] { return alerts_ > before; });
      ms.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(ms.begin(), ms.end());
    std::printf("%-28s p50 %6.2f ms  p99 %6.2f ms  max %6.2f ms\n", name, ms[500], ms[990], ms[999]);
  }

 private:
  void report(uint64_t thing) {
    log::Batch batch;
    std::string name;
    thing_name(thing, name);
    fixture_.take_report(name, full_report(thing, ++id_, random_), batch);
    fixture_.log->submit(std::move(batch), [](const log::Committed&) {});
  }

  DetectFixture fixture_;
  Random random_;
  uint64_t id_ = 0, quiet_ = 0, loud_ = 0;
  std::mutex mutex_;
  std::condition_variable wakened_;
  int alerts_ = 0;
  log::Log::Subscription subscription_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string directory =
      argc > 1 ? argv[1] : (std::filesystem::temp_directory_path() / "fleetward-detect-latency").string();
  std::filesystem::remove_all(directory);
  {
    Latency latency(directory);
    latency.measure("one report", 0);
    latency.measure("with 100 others before it", 100);
  }
  std::filesystem::remove_all(directory);
  return 0;
}
