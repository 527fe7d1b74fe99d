// What statistical criteria cost: a tick over reporting devices in eight partitions (gather, through the
// log's form, merge, judge), and the rank error of the percentiles. Then observations into windows.
//
//   build/release/bench/fleetward_percentile_bench [devices]      default: 100000

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/json.h"
#include "detect/engine.h"

namespace {

using namespace fleetward;          // NOLINT: a program of one file
using namespace fleetward::detect;  // NOLINT

constexpr int64_t kTickMs = 300'000, kStart = 1'767'225'600'000;
constexpr size_t kPartitions = 8, kSlice = 10'000;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

ConfigPtr config_of(const std::string& behaviors) {
  auto profiles = std::make_shared<Profiles>();
  auto profile = profile_from_json(
      json::parse(R"({"securityProfileName":"p","behaviors":)" + behaviors + "}")->get_object());
  if (!profile) {
    std::fprintf(stderr, "%s\n", profile.error().message.c_str());
    std::exit(1);
  }
  profiles->profiles.push_back(std::make_shared<const SecurityProfile>(std::move(*profile)));
  profiles->custom_metrics = {{"load", ValueKind::kNumber}};
  return std::make_shared<const Config>(
      Config{1, profiles, [](std::string_view, std::vector<uint32_t>& out) { out.push_back(0); }});
}

void ticks(size_t devices) {
  const ConfigPtr config = config_of(R"([{"name":"b","metric":"load","criteria":{
      "comparisonOperator":"less-than-equals","statisticalThreshold":{"statistic":"p99"}}}])");
  std::vector<Engine> engines;
  std::vector<Effects> effects(kPartitions);
  for (size_t p = 0; p < kPartitions; ++p) engines.emplace_back(EngineOptions{}).configure(config);
  std::mt19937_64 random(1);
  uint64_t sequence = 0;
  double gather = 1e9, merge = 1e9, judge = 1e9;
  for (int64_t round = 1; round <= 5; ++round) {
    Event event;
    event.kind = Event::Kind::kReport;
    for (size_t i = 0; i < devices; ++i) {
      event.thing = "pump-" + std::to_string(i);
      event.time = {kStart + round * kTickMs - 1000};
      event.report = Report();
      event.report.id = static_cast<int64_t>(++sequence);
      event.report.customs.resize(1);
      event.report.customs[0].name = "load";
      event.report.customs[0].kind = ValueKind::kNumber;
      event.report.customs[0].number = std::lognormal_distribution<>(3, 1)(random);
      engines[i % kPartitions].apply(event, sequence, effects[i % kPartitions]);
    }
    ++sequence;
    const double start = cpu_seconds();
    std::vector<std::string> records;
    for (size_t p = 0; p < kPartitions; ++p) {
      effects[p].clear();
      while (!engines[p].tick({kStart + round * kTickMs}, sequence, kSlice, effects[p])) {
      }
      PopulationsRecord record{effects[p].populations_tick, static_cast<uint32_t>(p),
                               std::move(effects[p].populations)};
      encode_populations(record, records.emplace_back());
    }
    const double gathered = cpu_seconds();
    std::vector<Population> all;
    for (const std::string& record : records) {
      auto decoded = decode_populations(record);
      for (Population& part : decoded->populations) all.push_back(std::move(part));
    }
    Event thresholds;
    thresholds.kind = Event::Kind::kThresholds;
    thresholds.time = {kStart + round * kTickMs};
    thresholds.thresholds = make_thresholds(std::move(all), 2, [](const Population&, std::string_view) {});
    const double merged = cpu_seconds();
    ++sequence;
    for (size_t p = 0; p < kPartitions; ++p) {
      while (!engines[p].judge(thresholds, sequence, kSlice, effects[p])) {
      }
      effects[p].clear();
    }
    gather = std::min(gather, gathered - start);
    merge = std::min(merge, merged - gathered);
    judge = std::min(judge, cpu_seconds() - merged);
  }
  std::printf("%8zu devices: gather %.1f ms, merge %.1f ms, judge %.1f ms; a tick %.1f ms of CPU\n", devices,
              gather * 1e3, merge * 1e3, judge * 1e3, (gather + merge + judge) * 1e3);
}

// The largest distance of an answer from its rank over all eleven statistics, in percent of all numbers.
void rank_error(size_t count) {
  std::mt19937_64 random(count);
  std::vector<double> all(count);
  std::vector<Quantiles> parts(kPartitions);
  for (size_t i = 0; i < count; ++i) {
    all[i] = std::lognormal_distribution<>(3, 2)(random);
    parts[i % kPartitions].add(all[i]);
  }
  Quantiles merged;
  for (Quantiles& part : parts) {
    std::string bytes;
    part.encode(bytes);
    std::string_view rest = bytes;
    merged.merge(std::move(*Quantiles::decode(rest)));
  }
  std::sort(all.begin(), all.end());
  double worst = 0;
  std::string_view at = "none";
  for (const Statistic& statistic : kStatistics) {
    const double rank = std::max(1.0, std::ceil(statistic.percent / 100 * static_cast<double>(count) - 1e-9));
    const auto [low, high] = std::equal_range(all.begin(), all.end(), merged.percentile(statistic.percent));
    const double error = std::max({0.0, static_cast<double>(low - all.begin()) + 1 - rank,
                                   rank - static_cast<double>(high - all.begin())});
    if (error / static_cast<double>(count) * 100 <= worst) continue;
    worst = error / static_cast<double>(count) * 100;
    at = statistic.name;
  }
  std::printf("%8zu values: worst of the eleven percentiles is off by %.4f%% of the ranks (%s)\n", count,
              worst, std::string(at).c_str());
}

void observations(size_t things) {
  Engine engine{EngineOptions{}};
  engine.configure(config_of(R"([
    {"name":"a","metric":"aws:num-messages-sent","criteria":{"comparisonOperator":"less-than","value":{"count":1000000},"durationSeconds":300}},
    {"name":"b","metric":"aws:num-messages-sent","criteria":{"comparisonOperator":"less-than","value":{"count":1000000},"durationSeconds":3600}},
    {"name":"c","metric":"aws:num-authorization-failures","criteria":{"comparisonOperator":"less-than","value":{"count":50},"durationSeconds":900}},
    {"name":"d","metric":"aws:message-byte-size","criteria":{"comparisonOperator":"less-than","value":{"count":100000}}},
    {"name":"e","metric":"aws:source-ip-address","criteria":{"comparisonOperator":"in-cidr-set","value":{"cidrs":["192.0.2.0/24"]}}}])"));
  Effects effects;
  Event event;
  std::vector<std::string> records(things);
  std::mt19937_64 random(1);
  for (size_t i = 0; i < things; ++i) {
    Observation seen;
    seen.from = {kStart};
    seen.to = {kStart + 1000};
    seen.messages_sent = 3;
    seen.message_bytes_total = 300;
    seen.message_bytes_min = seen.message_bytes_max = 100;
    seen.connected = true;
    IpAddress address;
    if (!IpAddress::parse("192.0.2.1", address)) std::exit(1);
    seen.addresses.push_back(address);
    encode_observation_event("pump-" + std::to_string(i), seen, records[i]);
  }
  std::shuffle(records.begin(), records.end(), random);
  uint64_t sequence = 0;
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const double start = cpu_seconds();
    for (size_t i = 0; i < records.size(); ++i) {
      if (const size_t ahead = i + Engine::kPrefetchAhead; ahead < records.size()) {
        engine.prefetch(peek_thing(records[ahead]));
      }
      if (!decode_event(records[i], event)) std::exit(1);
      engine.apply(event, ++sequence, effects);
      if (sequence % 256 == 0) effects.clear();
    }
    if (round > 0) best = std::min(best, cpu_seconds() - start);
  }
  const double start = cpu_seconds();
  while (!engine.tick({kStart + kTickMs}, ++sequence, kSlice, effects)) effects.clear();
  std::printf(
      "%8zu things: %.2f M observations per CPU-second (decoded and added); a tick %.0f ms; %zu bytes "
      "of state a thing\n",
      things, static_cast<double>(things) / best * 1e-6, (cpu_seconds() - start) * 1e3,
      engine.memory_bytes() / things);
}

}  // namespace

int main(int argc, char** argv) {
  ticks(argc > 1 ? static_cast<size_t>(std::atoll(argv[1])) : 100'000);
  for (const size_t count : {9'999, 100'000, 1'000'000}) rank_error(count);
  observations(100'000);
  return 0;
}
