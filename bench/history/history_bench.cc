// Metric history: what a scalar data point costs on disk as it is kept and folded, what folding costs, and
// how long ListMetricValues' query takes over 14 days of one thing. Rows are written as the detect stage
// writes them, into the real log; sizes are those of RocksDB's files after a full compaction. Usage:
// fleetward_history_bench [directory, default .] [things at 5 minutes, default 200]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <sys/resource.h>

#include <rocksdb/db.h>
#include <rocksdb/utilities/options_util.h>

#include "detect/history.h"
#include "log/embedded_log.h"
#include "pipeline/detect_keys.h"
#include "pipeline/detect_queries.h"
#include "pipeline/history_fold.h"
#include "pipeline/report_intake.h"

namespace {

using namespace fleetward;
using namespace fleetward::pipeline;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kPartitions = 8;
constexpr int64_t kDayMs = 24LL * 3600 * 1000;
constexpr int64_t kDays = 14;
constexpr int64_t kStart = 20'454 * kDayMs;
// What is kept of a thing: a mix of the metrics that fleets have, or only those that are noise for a
// compressor.
enum class Mix { kUsual, kNoisy };
size_t scalars_of(Mix mix) {  // of one thing at one time
  return mix == Mix::kUsual ? 14 : 6;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}
// Of the calling thread: what a machine shared with others does not distort.
double thread_cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}
double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}
// What this process has written to files so far.
uint64_t written_bytes() {
  std::ifstream io("/proc/self/io");
  std::string name;
  for (uint64_t n = 0; io >> name >> n;) {
    if (name == "write_bytes:") return n;
  }
  return 0;
}

// A device with a daily rhythm: traffic that comes and goes, counters that are mostly small, sensors that
// drift.
class Device {
 public:
  Device(uint64_t seed, Mix mix) : random_(seed), mix_(mix), scale_(std::exp(noise_(random_))) {
    phase_ = random_() % kDayMs;
  }
  std::string report(int64_t ms) {
    std::string row;
    const double load =
        scale_ * (1.5 + std::sin(2 * M_PI * static_cast<double>((ms + phase_) % kDayMs) / kDayMs));
    const uint64_t out = spread(300 * load, 0.2), in = spread(220 * load, 0.2);
    count(row, "aws:all-packets-out", out);
    count(row, "aws:all-packets-in", in);
    count(row, "aws:all-bytes-out", out * 90 + random_() % (out * 60 + 1));
    count(row, "aws:all-bytes-in", in * 60 + random_() % (in * 30 + 1));
    temperature_ += noise_(random_) * 0.15 - (temperature_ - 21) * 0.01;
    number(row, "temperature_celsius", std::round(temperature_ * 100) / 100);
    number(row, "battery_volts", std::round(3700 + 40 * noise_(random_)) / 1000);
    if (mix_ == Mix::kNoisy) return row;
    number(row, "rssi_dbm", std::round(-71 + 3 * noise_(random_)));
    count(row, "aws:num-listening-tcp-ports", 3);
    count(row, "aws:num-established-tcp-connections", 1 + random_() % 3);
    if (random_() % 500 == 0) port_ = static_cast<uint16_t>(1024 + random_() % 60'000);
    const uint16_t ports[] = {22, 443, port_};
    keep(row, "aws:listening-tcp-ports", {.kind = detect::ValueKind::kPorts, .ports = ports});
    return row;
  }
  std::string tick() {
    std::string row;
    count(row, "aws:num-messages-sent", spread(20 * scale_, 0.3));
    count(row, "aws:num-messages-received", random_() % 4);
    count(row, "aws:num-authorization-failures", random_() % 200 == 0 ? 1 : 0);
    count(row, "aws:num-connection-attempts", random_() % 50 == 0 ? 1 : 0);
    count(row, "aws:num-disconnects", random_() % 50 == 0 ? 1 : 0);
    return row;
  }
  int64_t jitter() { return static_cast<int64_t>(std::abs(noise_(random_)) * 60); }

 private:
  static void keep(std::string& row, std::string_view series, const detect::ValueView& value) {
    detect::put_row_value(detect::row_code(series), series, value, row);
  }
  static void count(std::string& row, std::string_view series, uint64_t value) {
    keep(row, series, {.kind = detect::ValueKind::kCount, .count = value});
  }
  static void number(std::string& row, std::string_view series, double value) {
    keep(row, series, {.kind = detect::ValueKind::kNumber, .number = value});
  }
  uint64_t spread(double mean, double part) {
    return static_cast<uint64_t>(std::max(0.0, mean * (1 + part * noise_(random_))));
  }

  std::mt19937_64 random_;
  Mix mix_;
  std::normal_distribution<double> noise_;
  double scale_ = 1, temperature_ = 21;
  int64_t phase_ = 0;
  uint16_t port_ = 8883;
};

std::string thing_name(size_t i) {
  return "device-" + std::to_string(100'000 + i);
}

std::unique_ptr<log::Log> open(const std::string& directory, Logger& logger, Metrics& metrics) {
  log::LogOptions options;
  options.directory = directory;
  auto log = log::open_embedded_log(options, logger, metrics);
  if (!log) {
    std::fprintf(stderr, "%s\n", log.error().message.c_str());
    std::exit(1);
  }
  return std::move(*log);
}

void write(log::Log& log, log::Batch batch) {
  if (auto done = log.write(std::move(batch)); !done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    std::exit(1);
  }
}

// A day of all things, in the order of time.
void keep_day(log::Log& log, std::vector<Device>& devices, Mix mix, int64_t day, int64_t period,
              uint64_t& sequence) {
  log::Batch batch;
  size_t rows = 0;
  const auto put = [&](size_t thing, int64_t ms, std::string row) {
    const std::string name = thing_name(thing);
    batch.put(keys::values(partition_of(name, kPartitions), {ms}, name, ++sequence), std::move(row));
    if (++rows % 2000 == 0) write(log, std::exchange(batch, {}));
  };
  for (int64_t ms = kStart + day * kDayMs; ms < kStart + (day + 1) * kDayMs; ms += period) {
    for (size_t i = 0; i < devices.size(); ++i) {
      if (mix == Mix::kUsual) put(i, ms, devices[i].tick());
      const int64_t own = static_cast<int64_t>(i * 7919 % static_cast<size_t>(period - 1000));
      put(i, ms + own + devices[i].jitter(), devices[i].report(ms));
    }
  }
  write(log, std::move(batch));
}

// Compacts everything with the options the log itself uses; the bytes of the table files.
uint64_t compacted_bytes(const std::string& directory) {
  rocksdb::ConfigOptions how;
  rocksdb::DBOptions options;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  auto status = rocksdb::LoadLatestOptions(how, directory, &options, &families);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* database = nullptr;
  if (status.ok()) status = rocksdb::DB::Open(options, directory, families, &handles, &database);
  for (size_t i = 0; status.ok() && i < handles.size(); ++i) {
    rocksdb::CompactRangeOptions all;
    all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    status = database->Flush({}, handles[i]);
    if (status.ok()) status = database->CompactRange(all, handles[i], nullptr, nullptr);
  }
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    std::exit(1);
  }
  for (auto* handle : handles) database->DestroyColumnFamilyHandle(handle);
  database->Close();
  delete database;
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.path().extension() == ".sst") bytes += file.file_size();
  }
  return bytes;
}

void query(const log::Log& log, size_t things, int64_t period, size_t page, const char* what) {
  const DetectQueries queries(const_cast<log::Log&>(log), kPartitions);
  const char* series[] = {"aws:all-bytes-out", "aws:all-packets-in", "temperature_celsius", "battery_volts"};
  std::mt19937_64 random(3);
  std::vector<double> ms, cpu_ms;
  size_t points = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string thing = thing_name(random() % things);
    const auto start = Clock::now();
    const double cpu = thread_cpu_ms();
    size_t got = 0;
    for (std::string after;;) {
      const auto answer =
          queries.values(thing, series[i % 4], {kStart}, {kStart + kDays * kDayMs - 1}, after, page);
      if (!answer) std::exit(1);
      got += answer->entries.size();
      after = answer->next;
      if (after.empty()) break;
    }
    ms.push_back(since(start) * 1000);
    cpu_ms.push_back(thread_cpu_ms() - cpu);
    points = got;
  }
  std::sort(ms.begin(), ms.end());
  std::sort(cpu_ms.begin(), cpu_ms.end());
  const auto at = [](const std::vector<double>& sorted, size_t percent) {
    return sorted[sorted.size() * percent / 100];
  };
  std::printf(
      "  query %s, %lld s apart: %zu points, p50 %.2f ms, p99 %.2f ms; CPU p50 %.2f ms, p99 %.2f ms\n", what,
      static_cast<long long>(period / 1000), points, at(ms, 50), at(ms, 99), at(cpu_ms, 50), at(cpu_ms, 99));
}

void run(const std::string& directory, size_t things, int64_t period, Mix mix) {
  std::filesystem::remove_all(directory);
  Logger logger = Logger::none();
  Metrics metrics;
  std::vector<Device> devices;
  for (size_t i = 0; i < things; ++i) devices.emplace_back(i + 1, mix);
  std::printf("%zu things, %zu %s scalars each %lld s, %lld days\n", things, scalars_of(mix),
              mix == Mix::kUsual ? "usual" : "noisy", static_cast<long long>(period / 1000),
              static_cast<long long>(kDays));
  uint64_t sequence = 0;
  const auto day_points =
      static_cast<double>(static_cast<size_t>(kDayMs / period) * things * scalars_of(mix));
  const double points = day_points * kDays;
  auto log = open(directory, logger, metrics);
  keep_day(*log, devices, mix, 0, period, sequence);
  log.reset();
  const auto rows = static_cast<double>(compacted_bytes(directory));
  std::printf("  as kept, the day under way:  %.2f bytes per scalar point\n", rows / day_points);

  log = open(directory, logger, metrics);
  const uint64_t written_before = written_bytes();
  double fold_cpu = 0, fold_seconds = 0, slice_max = 0;
  ManualClock clock;
  HistoryFold fold({.partitions = kPartitions}, *log, clock, logger, metrics);
  for (int64_t day = 0; day < kDays; ++day) {
    if (day > 0) keep_day(*log, devices, mix, day, period, sequence);
    const double cpu = cpu_seconds();
    const auto start = Clock::now();
    clock.set({kStart + (day + 1) * kDayMs + 3600'000});
    for (bool more = true; more;) {
      const auto slice = Clock::now();
      const auto folded = fold.step();
      if (!folded) std::exit(1);
      more = *folded;
      slice_max = std::max(slice_max, since(slice));
    }
    fold_cpu += cpu_seconds() - cpu;
    fold_seconds += since(start);
  }
  log.reset();
  const auto folded = static_cast<double>(compacted_bytes(directory));
  const auto written = static_cast<double>(written_bytes() - written_before);
  std::printf("  folded:                      %.2f bytes per scalar point (%.1f MB, %.1f M points)\n",
              folded / points, folded / 1e6, points / 1e6);
  std::printf("  written in all for a point:  %.1f bytes (log, tables and compactions)\n", written / points);
  const double per_thing_day = fold_cpu / static_cast<double>(things * kDays);
  std::printf(
      "  folding: %.2f ms CPU for a thing's day, %.2f M points per CPU-second, longest slice %.0f ms\n",
      per_thing_day * 1000, points / fold_cpu / 1e6, slice_max * 1000);
  std::printf("           1,000,000 things: %.0f CPU-seconds a day, %.2f%% of a core\n", per_thing_day * 1e6,
              per_thing_day * 1e6 / 864);
  log = open(directory, logger, metrics);
  query(*log, things, period, 250, "in pages of 250");
  query(*log, things, period, 1'000'000, "at once");
  log.reset();
  std::filesystem::remove_all(directory);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string directory = std::string(argc > 1 ? argv[1] : ".") + "/history_bench.data";
  const size_t things = argc > 2 ? static_cast<size_t>(std::atoi(argv[2])) : 200;
  const size_t fewer = std::max<size_t>(things / 10, 1);
  run(directory, things, 300'000, Mix::kUsual);
  run(directory, fewer, 60'000, Mix::kUsual);
  run(directory, things, 300'000, Mix::kNoisy);
  return 0;
}
