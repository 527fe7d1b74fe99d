// How many durable appends of 300 bytes the embedded log takes in a second, beside what the disk alone
// allows: the peer appends the same bytes to one file and calls fdatasync after each group of the same size.
// Usage: log_bench [directory, default .] [seconds, default 5]
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <semaphore>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "core/random.h"
#include "log/embedded_log.h"

namespace {

using namespace fleetward;
using namespace fleetward::log;
using Clock = std::chrono::steady_clock;

constexpr size_t kRecordBytes = 300;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Load {
  const char* name;
  int records_per_batch;
  int callers;
  std::ptrdiff_t in_flight;  // batches of each caller
  bool consume;              // a reader that commits and truncates behind
};

// Records that hardly compress.
std::vector<std::string> some_records() {
  SeededRandom random(1);
  std::vector<std::string> out;
  for (int i = 0; i < 1000; ++i) out.push_back(random.bytes(kRecordBytes));
  return out;
}

void consume(Log& log, int partitions, const std::atomic<bool>& stop) {
  std::vector<Offset> next(static_cast<size_t>(partitions));
  while (!stop) {
    for (uint32_t i = 0; i < next.size(); ++i) {
      const Partition p{"bench", i};
      const auto records = log.read(p, next[i], size_t{4} << 20);
      if (!records || records->empty()) continue;
      next[i] = records->back().offset + 1;
      Batch batch;
      batch.commit("bench", p, next[i]);
      batch.truncate(p, next[i]);
      if (!log.write(std::move(batch))) return;
    }
  }
}

double run(const Load& load, const std::string& directory, double seconds, double& records_per_sync) {
  std::filesystem::remove_all(directory);
  Logger logger = Logger::none();
  Metrics metrics;
  LogOptions options;
  options.directory = directory;
  auto opened = open_embedded_log(options, logger, metrics);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().message.c_str());
    std::exit(1);
  }
  Log& log = **opened;
  const auto records = some_records();
  std::atomic<int64_t> done{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int caller = 0; caller < load.callers; ++caller) {
    threads.emplace_back([&, caller] {
      std::counting_semaphore<> window(load.in_flight);
      size_t next = 0;
      while (!stop) {
        window.acquire();
        Batch batch;
        for (int i = 0; i < load.records_per_batch; ++i) {
          batch.append({"bench", static_cast<uint32_t>(caller)}, records[next++ % records.size()], {1});
        }
        log.submit(std::move(batch), [&](Committed committed) {
          if (committed) done += static_cast<int64_t>(committed->size());
          window.release();
        });
      }
      for (std::ptrdiff_t i = 0; i < load.in_flight; ++i) window.acquire();
    });
  }
  if (load.consume) threads.emplace_back([&] { consume(log, load.callers, stop); });
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (auto& thread : threads) thread.join();
  const std::string text = metrics.scrape();
  const std::string groups = "\nfleetward_log_groups_total ";
  records_per_sync = static_cast<double>(done) / std::stod(text.substr(text.find(groups) + groups.size()));
  opened->reset();
  std::filesystem::remove_all(directory);
  return static_cast<double>(done) / seconds;
}

// One file, the same bytes per sync.
double peer(const std::string& path, double records_per_sync, double seconds) {
  const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
  SeededRandom random(1);
  const std::string group = random.bytes(static_cast<size_t>(records_per_sync * kRecordBytes));
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  double records = 0;
  while (Clock::now() < end) {
    if (write(file, group.data(), group.size()) < 0 || fdatasync(file) != 0) break;
    records += records_per_sync;
  }
  close(file);
  unlink(path.c_str());
  return records / seconds;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string directory = std::string(argc > 1 ? argv[1] : ".") + "/log_bench.tmp";
  const double seconds = argc > 2 ? std::atof(argv[2]) : 5;
  const Load loads[] = {{"1 record, 2 callers, 1 in flight", 1, 2, 1, false},
                        {"1 record, 2 callers, 1000 in flight", 1, 2, 1000, false},
                        {"20 records, 2 callers, 200 in flight", 20, 2, 200, false},
                        {"20 records, 2 callers, 200 in flight, consumed", 20, 2, 200, true}};
  std::printf("%-48s %12s %12s %12s %12s\n", "batches", "records/s", "per CPU-s", "per sync", "bare file/s");
  for (const Load& load : loads) {
    double per_sync = 0;
    const double cpu = cpu_seconds();
    const double rate = run(load, directory, seconds, per_sync);
    const double used = cpu_seconds() - cpu;
    std::printf("%-48s %12.0f %12.0f %12.0f %12.0f\n", load.name, rate, rate * seconds / used, per_sync,
                peer(directory + ".file", per_sync, seconds / 2));
  }
  return 0;
}
