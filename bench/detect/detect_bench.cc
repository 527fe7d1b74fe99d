// Reports parsed, checked and evaluated per CPU-second in the pure core, for growing numbers of things, and
// the memory of a thing. Reports are 1.7 KB of JSON with 12 metrics; 10 behaviours apply.
//
//   build/release/bench/fleetward_detect_bench [things ...]      default: 1000 10000 100000 1000000
//
// The fleets are measured in turn, many short rounds, and compared round by round: what else the machine does
// hits all of them alike.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "bench/detect/full_report.h"
#include "core/json.h"
#include "detect/engine.h"

namespace {

using namespace fleetward;          // NOLINT: a program of one file
using namespace fleetward::detect;  // NOLINT
using namespace fleetward::bench;   // NOLINT

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

ConfigPtr make_config() {
  auto profiles = std::make_shared<Profiles>();
  const auto document = json::parse(full_profile(true));
  auto profile = profile_from_json(document->get_object());
  if (!profile) {
    std::fprintf(stderr, "%s\n", profile.error().message.c_str());
    std::exit(1);
  }
  profiles->profiles.push_back(std::make_shared<const SecurityProfile>(std::move(*profile)));
  profiles->custom_metrics = {{kCustomNumber, ValueKind::kNumber}, {kCustomStrings, ValueKind::kStrings}};
  return std::make_shared<const Config>(
      Config{1, profiles, [](std::string_view, std::vector<uint32_t>& out) { out.push_back(0); }});
}

class Fleet {
 public:
  explicit Fleet(size_t things) : things_(things), engine_(EngineOptions{}) {
    const size_t before = resident_bytes();
    engine_.configure(make_config());
    // None of a thing that violates.
    for (uint64_t i = 1; i <= 64; ++i) bodies_.push_back(full_report(i, 1'000'000'000, random_));
    event_.kind = Event::Kind::kReport;
    for (size_t i = 0; i < things; ++i) report(i);  // every thing exists
    for (size_t i = 0; i < coming_.size(); ++i) coming_[i] = random_.next() % things_;
    resident_per_thing_ = (resident_bytes() - before) / things_;
  }

  // Microseconds of CPU for one report.
  double round(size_t reports) {
    const double start = cpu_seconds();
    for (size_t i = 0; i < reports; ++i) {
      const size_t now = coming_[i % coming_.size()];
      coming_[i % coming_.size()] = random_.next() % things_;
      engine_.prefetch(name_of(coming_[i % coming_.size()]));
      report(now);
    }
    return (cpu_seconds() - start) / static_cast<double>(reports) * 1e6;
  }

  size_t things() const { return things_; }
  size_t resident_per_thing() const { return resident_per_thing_; }
  size_t state_per_thing() const { return engine_.memory_bytes() / things_; }
  size_t report_bytes() const { return bodies_[0].size(); }
  bool evaluated_all() const { return engine_.counters().reports == sequence_ && kept_bytes_ > 0; }

 private:
  static size_t resident_bytes() {
    long pages = 0;
    if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
      if (std::fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
      std::fclose(file);
    }
    return static_cast<size_t>(pages) * 4096;
  }

  std::string_view name_of(size_t thing) {
    thing_name(thing, name_);
    return name_;
  }

  void report(size_t thing) {
    std::string& body = bodies_[sequence_ % bodies_.size()];
    char id[24];
    std::snprintf(id, sizeof id, "%010zu", static_cast<size_t>(1'000'000'000 + sequence_));
    body.replace(23, 10, id);  // after {"header":{"report_id":
    event_.thing = name_of(thing);
    // Each thing reports every 300 s on average, so that windows hold the same in every fleet.
    event_.time = {1'767'225'600'000 + static_cast<int64_t>(sequence_ * 300'000 / things_)};
    if (!parser_.parse(ReportFormat::kJson, body, event_.report)) {
      std::fprintf(stderr, "the benchmark's report was refused\n");
      std::exit(1);
    }
    engine_.apply(event_, ++sequence_, effects_);
    if (sequence_ % 256 == 0) {
      kept_bytes_ += effects_.bytes();
      effects_.clear();
    }
  }

  size_t things_;
  size_t resident_per_thing_ = 0;
  Engine engine_;
  std::vector<std::string> bodies_;
  ReportParser parser_;
  Effects effects_;
  Event event_;
  uint64_t sequence_ = 0;
  size_t kept_bytes_ = 0;
  Random random_;
  std::array<size_t, Engine::kPrefetchAhead> coming_{};
  std::string name_;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<size_t> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(static_cast<size_t>(std::atoll(argv[i])));
  if (sizes.empty()) sizes = {1000, 10'000, 100'000, 1'000'000};
  std::vector<std::unique_ptr<Fleet>> fleets;
  for (const size_t things : sizes) fleets.push_back(std::make_unique<Fleet>(things));
  constexpr int kRounds = 41;
  constexpr size_t kWarmup = 4'000, kReports = 16'000;
  std::vector<std::vector<double>> cost(fleets.size()), relative(fleets.size());
  for (int round = 0; round < kRounds; ++round) {
    for (size_t f = 0; f < fleets.size(); ++f) {
      fleets[f]->round(kWarmup);
      cost[f].push_back(fleets[f]->round(kReports));
      relative[f].push_back(cost[f].back() / cost[0].back());
    }
  }
  for (size_t f = 0; f < fleets.size(); ++f) {
    const double us = median(cost[f]);
    std::printf("%9zu things: %8.0f reports per CPU-second, %.2f us each, %.2f x the first\n",
                fleets[f]->things(), 1e6 / us, us, median(relative[f]));
    std::printf("                  %4zu bytes of state per thing, %zu resident; report of %zu bytes\n",
                fleets[f]->state_per_thing(), fleets[f]->resident_per_thing(), fleets[f]->report_bytes());
    if (!fleets[f]->evaluated_all()) {
      std::printf("  unexpected: not all were evaluated\n");
      return 1;
    }
  }
  return 0;
}
