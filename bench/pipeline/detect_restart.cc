// Full reports (12 metrics in 1.7 KB of JSON, bench/detect/full_report.h) through parse, checks, ten
// behaviours and persistence, per CPU-second of the whole process with RocksDB's threads; then a restart: the
// states of all things loaded from the log on disk, with open violations.
//
//   build/release/bench/fleetward_detect_restart [--things N] [--rounds N] [--together N] [--short]
//   [--directory D]
//
// things    default 1,000,000; every hundredth violates one behaviour
// rounds    each thing reports once before anything is measured, then this often, each 300 s of a manual
//           clock, the things in no order; default: as many as make 2,000,000 reports
// together  reports in one synced write, default 5,000: what gathers in 50 ms at 100,000 reports/s
// short     reports of 400 bytes with short names and ten metrics

#include <chrono>
#include <ctime>
#include <filesystem>

#include "bench/pipeline/detect_fixture.h"
#include "pipeline/detect_keys.h"

namespace {

using namespace fleetward;         // NOLINT: a program of one file
using namespace fleetward::bench;  // NOLINT

struct Options {
  uint64_t things = 1'000'000;
  uint64_t rounds = 0;
  uint64_t together = 5'000;
  bool short_reports = false;
  std::string directory = (std::filesystem::temp_directory_path() / "fleetward-detect-restart").string();
};

Options parse_options(int argc, char** argv) {
  Options out;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto number = [&] {
      if (++i == argc) give_up(name + " needs a number");
      return std::max<uint64_t>(1, std::strtoull(argv[i], nullptr, 10));
    };
    if (name == "--things") {
      out.things = number();
    } else if (name == "--rounds") {
      out.rounds = number();
    } else if (name == "--together") {
      out.together = number();
    } else if (name == "--short") {
      out.short_reports = true;
    } else if (name == "--directory" && i + 1 < argc) {
      out.directory = argv[++i];
    } else {
      give_up("unknown option " + name);
    }
  }
  if (out.rounds == 0) out.rounds = std::max<uint64_t>(1, 2'000'000 / out.things);
  return out;
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string short_report(uint64_t thing, uint64_t id) {
  std::string out = R"({"hed":{"rid":)" + std::to_string(id) + R"(,"v":"1.0"},"met":{"tc":{"ec":{"cs":[)";
  for (int i = 0; i < 8; ++i) {
    out += std::string(i > 0 ? "," : "") + R"({"rad":"203.0.113.)" + std::to_string(i + 1) + R"(:8883"})";
  }
  return out + R"(],"t":8}},"tp":{"pts":[{"pt":22},{"pt":443}],"t":2},"up":{"pts":[{"pt":68}],"t":1},)" +
         R"("ns":{"bi":4000,"bo":)" + (thing % kViolatingEach == 0 ? "200000" : "900") +
         R"(,"pi":300,"po":77}}})";
}

class Load {
 public:
  Load(const Options& options, DetectFixture& fixture) : options_(options), fixture_(fixture) {}

  // CPU seconds of `count` reports. Each thing reports once in 300 s of the fixture's clock.
  double run(uint64_t count) {
    std::vector<std::string> names(options_.together), bodies(options_.together);
    double cpu = 0;
    for (uint64_t done = 0; done < count;) {
      const uint64_t now = std::min(options_.together, count - done);
      for (uint64_t i = 0; i < now; ++i) {
        const uint64_t thing = reports_++ * kStride % options_.things;
        thing_name(thing, names[i]);
        const uint64_t id = 1'000'000'000 + reports_;
        bodies[i] = options_.short_reports ? short_report(thing, id) : full_report(thing, id, random_);
        body_bytes_ += bodies[i].size();
      }
      const double start = cpu_seconds();
      log::Batch batch;
      for (uint64_t i = 0; i < now; ++i) {
        fixture_.clock.set(
            {start_ms_ + static_cast<int64_t>((reports_ - now + i) * 300'000 / options_.things)});
        fixture_.take_report(names[i], bodies[i], batch);
      }
      if (auto ok = fixture_.log->write(std::move(batch)); !ok) give_up(ok.error().message);
      evaluate_all();
      cpu += cpu_seconds() - start;
      done += now;
    }
    return cpu;
  }

  void evaluate_all() {
    auto more = fixture_.stage->step();
    while (more && *more) more = fixture_.stage->step();
    if (!more) give_up(more.error().message);
  }
  uint64_t mean_bytes() const { return body_bytes_ / reports_; }

 private:
  const Options& options_;
  DetectFixture& fixture_;
  static constexpr uint64_t kStride = 7'368'787;  // a prime: the next things in no order that keys have

  const int64_t start_ms_ = fixture_.clock.now().ms;
  Random random_;
  uint64_t reports_ = 0, body_bytes_ = 0;
};

pipeline::DetectStageOptions stepped() {
  pipeline::DetectStageOptions options;
  options.appends_ticks = false;
  return options;
}

uint64_t written_bytes() {
  uint64_t bytes = 0;
  if (std::FILE* file = std::fopen("/proc/self/io", "r")) {
    char name[32];
    unsigned long long value = 0;
    while (std::fscanf(file, "%31s %llu", name, &value) == 2) {
      if (std::string_view(name) == "write_bytes:") bytes = value;
    }
    std::fclose(file);
  }
  return bytes;
}

void measure_reports(const Options& options) {
  DetectFixture fixture(options.directory, stepped());
  Load load(options, fixture);
  (void)load.run(options.things);
  const uint64_t count = options.things * options.rounds;
  const uint64_t written = written_bytes();
  // In four parts, so that it shows whether the cost rises with what is kept.
  double cpu = 0;
  std::string parts;
  for (int part = 0; part < 4; ++part) {
    const double seconds = load.run(count / 4);
    cpu += seconds;
    parts += " " + std::to_string(static_cast<int>(static_cast<double>(count) / 4 / seconds));
  }
  std::printf(
      "%llu things, reports of %llu bytes, %llu in a write: %.0f per CPU-second, all threads, synced\n",
      static_cast<unsigned long long>(options.things), static_cast<unsigned long long>(load.mean_bytes()),
      static_cast<unsigned long long>(options.together), static_cast<double>(count / 4 * 4) / cpu);
  std::printf("  %llu reports, by quarters:%s per CPU-second; %.0f bytes written to disk for each\n",
              static_cast<unsigned long long>(count / 4 * 4), parts.c_str(),
              static_cast<double>(written_bytes() - written) / static_cast<double>(count));
}

size_t open_violations(const log::Log& log) {
  size_t count = 0;
  for (uint32_t p = 0; p < pipeline::DetectStageOptions{}.partitions; ++p) {
    const std::string prefix = pipeline::keys::active_prefix(p);
    count += log.scan(prefix, pipeline::keys::after_prefix(prefix), SIZE_MAX / 2).value().size();
  }
  return count;
}

void measure_restart(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  DetectFixture fixture(options.directory, stepped());
  Load(options, fixture).evaluate_all();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double used = cpu_seconds() - cpu;
  std::printf("restart with %zu open violations: evaluating after %.1f s (%.1f s of CPU)\n",
              open_violations(*fixture.log), seconds, used);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  std::filesystem::remove_all(options.directory);
  measure_reports(options);
  measure_restart(options);
  std::filesystem::remove_all(options.directory);
  return 0;
}
