// From a report's arrival to the durable notification of the violation it causes, over the log on disk: the
// report is appended and synced, the detect stage wakes, judges, and its batch (violation, state, alert) is
// synced. No broker; one report at a time, then with others in flight.
//
//   build/release/bench/fleetward_detect_latency [directory]      default: a new one under /tmp

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "core/json.h"
#include "log/embedded_log.h"
#include "pipeline/detect_stage.h"
#include "pipeline/report_intake.h"

namespace {

using namespace fleetward;            // NOLINT: a program of one file
using namespace fleetward::pipeline;  // NOLINT

constexpr const char* kProfile =
    R"({"securityProfileName":"p","behaviors":[{"name":"b","metric":"aws:all-bytes-out",
  "criteria":{"comparisonOperator":"less-than","value":{"count":10}}}],
  "alertTargets":{"SNS":{"alertTargetArn":"arn:aws:sns:us-east-1:123456789012:t","roleArn":"arn:aws:iam::123456789012:role/r"}}})";

struct Bench {
  explicit Bench(const std::string& directory) {
    auto opened = log::open_embedded_log({.directory = directory}, logger, metrics);
    if (!opened) {
      std::fprintf(stderr, "%s\n", opened.error().message.c_str());
      std::exit(1);
    }
    log = std::move(*opened);
    if (!store.open(":memory:")) std::exit(1);
    (void)store.transact([&](state::Transaction& t) -> Status {
      auto profile = detect::profile_from_json(json::parse(kProfile)->get_object());
      if (!profile) return fail(profile.error());
      t.put(tables.profiles, "p", std::move(*profile));
      t.put(tables.target_profiles, state::key(scope.arn("iot", "all/things"), "p"), ProfileTarget{});
      return {};
    });
    subscription = log->subscribe("alerts", [this](const log::Partition&) {
      const std::lock_guard lock(mutex);
      ++alerts;
      wakened.notify_one();
    });
    stage = std::make_unique<DetectStage>(DetectStageOptions{}, *log, store, tables, registry, scope, clock,
                                          logger, metrics);
    if (!stage->load()) std::exit(1);
    stage->start();
  }
  void report(const std::string& thing, int count) {
    log::Batch batch;
    std::vector<broker::MessagePtr> replies;
    intake->on_report(thing, detect::ReportFormat::kJson,
                      R"({"hed":{"rid":)" + std::to_string(++id) + R"(,"v":"1.0"},"met":{"ns":{"bo":)" +
                          std::to_string(count) + "}}}",
                      clock.now(), batch, replies);
    log->submit(std::move(batch), [](const log::Committed&) {});
  }

  Logger logger{LogLevel::kError};
  Metrics metrics;
  SystemClock clock;
  AccountScope scope{AccountId::trusted("123456789012"), "us-east-1"};
  state::Store store;
  registry::Tables registry = registry::Tables::add_to(store);
  DetectTables tables = DetectTables::add_to(store);
  std::unique_ptr<ReportIntake> intake = make_report_intake(ReportIntakeOptions{}, metrics);
  int64_t id = 0;
  std::mutex mutex;
  std::condition_variable wakened;
  int alerts = 0;
  std::unique_ptr<log::Log> log;
  log::Log::Subscription subscription;
  std::unique_ptr<DetectStage> stage;
};

void measure(Bench& bench, const char* name, int background) {
  std::vector<double> ms;
  for (int i = 0; i < 1000; ++i) {
    for (int b = 0; b < background; ++b) bench.report("other-" + std::to_string(i * background + b), 1);
    std::unique_lock lock(bench.mutex);
    const int before = bench.alerts;
    lock.unlock();
    const auto start = std::chrono::steady_clock::now();
    bench.report("thing-" + std::to_string(background) + "-" + std::to_string(i), 50);
    lock.lock();
    bench.wakened.wait(lock, [&] { return bench.alerts > before; });
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(ms.begin(), ms.end());
  std::printf("%-28s p50 %6.2f ms  p99 %6.2f ms  max %6.2f ms\n", name, ms[500], ms[990], ms[999]);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string directory =
      argc > 1 ? argv[1] : (std::filesystem::temp_directory_path() / "fleetward-detect-latency").string();
  std::filesystem::remove_all(directory);
  {
    Bench bench(directory);
    measure(bench, "one report", 0);
    measure(bench, "with 100 others before it", 100);
    bench.stage->stop();
  }
  std::filesystem::remove_all(directory);
  return 0;
}
