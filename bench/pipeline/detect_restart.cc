// Full reports (12 metrics, 10 behaviours) through parse, checks, evaluation and persistence, per CPU-second
// of the whole process; then a restart: the states of all things loaded from the log on disk, with open
// violations.
//
//   build/release/bench/fleetward_detect_restart [things] [directory]      default: 1000000, a new one under
//   /tmp
//
// Every hundredth thing violates one behaviour.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "log/embedded_log.h"
#include "pipeline/detect_keys.h"
#include "pipeline/detect_stage.h"
#include "pipeline/report_intake.h"

namespace {

using namespace fleetward;            // NOLINT: a program of one file
using namespace fleetward::pipeline;  // NOLINT

constexpr const char* kProfile = R"({"securityProfileName":"p","behaviors":[
 {"name":"out","metric":"aws:all-bytes-out","criteria":{"comparisonOperator":"less-than","value":{"count":100000},"durationSeconds":900}},
 {"name":"in","metric":"aws:all-bytes-in","criteria":{"comparisonOperator":"less-than","value":{"count":100000},"durationSeconds":300}},
 {"name":"pout","metric":"aws:all-packets-out","criteria":{"comparisonOperator":"less-than","value":{"count":100000}}},
 {"name":"pin","metric":"aws:all-packets-in","criteria":{"comparisonOperator":"less-than","value":{"count":100000}}},
 {"name":"ntcp","metric":"aws:num-listening-tcp-ports","criteria":{"comparisonOperator":"less-than","value":{"count":20}}},
 {"name":"nudp","metric":"aws:num-listening-udp-ports","criteria":{"comparisonOperator":"less-than","value":{"count":20}}},
 {"name":"conn","metric":"aws:num-established-tcp-connections","criteria":{"comparisonOperator":"less-than","value":{"count":20}}},
 {"name":"tcp","metric":"aws:listening-tcp-ports","criteria":{"comparisonOperator":"in-port-set","value":{"ports":[22,80,443]}}},
 {"name":"udp","metric":"aws:listening-udp-ports","criteria":{"comparisonOperator":"not-in-port-set","value":{"ports":[53,1900]}}},
 {"name":"dst","metric":"aws:destination-ip-addresses","criteria":{"comparisonOperator":"in-cidr-set","value":{"cidrs":["203.0.113.0/24"]}}}]})";

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string report_of(size_t thing, size_t id) {
  std::string out = R"({"hed":{"rid":)" + std::to_string(id) + R"(,"v":"1.0"},"met":{"tc":{"ec":{"cs":[)";
  for (int i = 0; i < 8; ++i) {
    out += std::string(i > 0 ? "," : "") + R"({"rad":"203.0.113.)" + std::to_string(i + 1) + R"(:8883"})";
  }
  return out + R"(],"t":8}},"tp":{"pts":[{"pt":22},{"pt":443}],"t":2},"up":{"pts":[{"pt":68}],"t":1},)" +
         R"("ns":{"bi":4000,"bo":900,"pi":300,"po":)" + (thing % 100 == 0 ? "200000" : "77") + "}}}";
}

struct Bench {
  explicit Bench(const std::string& directory) {
    auto opened = log::open_embedded_log({.directory = directory}, logger, metrics);
    if (!opened || !store.open(":memory:")) std::exit(1);
    log = std::move(*opened);
    (void)store.transact([&](state::Transaction& t) -> Status {
      auto profile = detect::profile_from_json(json::parse(kProfile)->get_object());
      if (!profile) return fail(profile.error());
      t.put(tables.profiles, "p", std::move(*profile));
      t.put(tables.target_profiles, state::key(scope.arn("iot", "all/things"), "p"), ProfileTarget{});
      return {};
    });
    DetectStageOptions options;
    options.appends_ticks = false;
    stage =
        std::make_unique<DetectStage>(options, *log, store, tables, registry, scope, clock, logger, metrics);
  }
  void evaluate_all() {
    auto more = stage->step();
    while (more && *more) more = stage->step();
    if (!more) std::exit(1);
  }

  Logger logger{LogLevel::kError};
  Metrics metrics;
  SystemClock clock;
  AccountScope scope{AccountId::trusted("123456789012"), "us-east-1"};
  state::Store store;
  registry::Tables registry = registry::Tables::add_to(store);
  DetectTables tables = DetectTables::add_to(store);
  std::unique_ptr<log::Log> log;
  std::unique_ptr<DetectStage> stage;
};

void reports(Bench& bench, size_t things) {
  constexpr size_t kTogether = 20'000;
  const auto intake = make_report_intake(ReportIntakeOptions{}, bench.metrics);
  std::vector<std::string> bodies;
  double cpu = 0;
  for (size_t done = 0; done < things;) {
    bodies.clear();
    for (; bodies.size() < kTogether && done + bodies.size() < things;) {
      bodies.push_back(report_of(done + bodies.size(), 1'000'000 + done + bodies.size()));
    }
    const double start = cpu_seconds();
    log::Batch batch;
    std::vector<broker::MessagePtr> replies;
    for (size_t i = 0; i < bodies.size(); ++i) {
      intake->on_report("pump-" + std::to_string(done + i), detect::ReportFormat::kJson, bodies[i],
                        bench.clock.now(), batch, replies);
    }
    if (!bench.log->write(std::move(batch))) std::exit(1);
    bench.evaluate_all();
    cpu += cpu_seconds() - start;
    done += bodies.size();
  }
  std::printf("%zu reports of %zu bytes of %zu things: %.0f per CPU-second, all threads, synced\n", things,
              report_of(1, 1'000'000).size(), things, static_cast<double>(things) / cpu);
}

size_t open_violations(const log::Log& log) {
  size_t count = 0;
  for (uint32_t p = 0; p < DetectStageOptions{}.partitions; ++p) {
    const std::string prefix = keys::active_prefix(p);
    count += log.scan(prefix, keys::after_prefix(prefix), SIZE_MAX / 2).value().size();
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  const size_t things = argc > 1 ? static_cast<size_t>(std::atoll(argv[1])) : 1'000'000;
  const std::string directory =
      argc > 2 ? argv[2] : (std::filesystem::temp_directory_path() / "fleetward-detect-restart").string();
  std::filesystem::remove_all(directory);
  {
    Bench bench(directory);
    if (!bench.stage->load()) return 1;
    reports(bench, things);
  }
  {
    const auto start = std::chrono::steady_clock::now();
    const double cpu = cpu_seconds();
    Bench bench(directory);
    if (!bench.stage->load()) return 1;
    bench.evaluate_all();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("restart with %zu open violations: evaluating after %.1f s (%.1f s of CPU)\n",
                open_violations(*bench.log), seconds, cpu_seconds() - cpu);
  }
  std::filesystem::remove_all(directory);
  return 0;
}
