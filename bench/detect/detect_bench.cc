// Reports parsed, checked and evaluated per CPU-second in the pure core, for growing numbers of things, and
// the memory of a thing. Reports are 1.7 KB of JSON (or their CBOR form's fields) with 12 metrics; 10
// behaviours apply.
//
//   build/release/bench/fleetward_detect_bench [things ...]      default: 1000 10000 100000 1000000

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include <malloc.h>

#include "core/json.h"
#include "detect/engine.h"

namespace {

using namespace fleetward;          // NOLINT: a program of one file
using namespace fleetward::detect;  // NOLINT

constexpr const char* kProfile = R"({"securityProfileName":"baseline","behaviors":[
 {"name":"out","metric":"aws:all-bytes-out","exportMetric":true,"criteria":{"comparisonOperator":"less-than","value":{"count":100000},"durationSeconds":900}},
 {"name":"in","metric":"aws:all-bytes-in","criteria":{"comparisonOperator":"less-than","value":{"count":100000},"durationSeconds":300}},
 {"name":"pout","metric":"aws:all-packets-out","criteria":{"comparisonOperator":"less-than","value":{"count":100000}}},
 {"name":"pin","metric":"aws:all-packets-in","criteria":{"comparisonOperator":"less-than","value":{"count":100000}}},
 {"name":"ntcp","metric":"aws:num-listening-tcp-ports","criteria":{"comparisonOperator":"less-than","value":{"count":20}}},
 {"name":"tcp","metric":"aws:listening-tcp-ports","criteria":{"comparisonOperator":"in-port-set","value":{"ports":[22,80,443,8080,8443,8883,9100,1883]}}},
 {"name":"udp","metric":"aws:listening-udp-ports","criteria":{"comparisonOperator":"not-in-port-set","value":{"ports":[53,1900]}}},
 {"name":"dst","metric":"aws:destination-ip-addresses","criteria":{"comparisonOperator":"in-cidr-set","value":{"cidrs":["203.0.113.0/24","198.51.100.0/24","10.0.0.0/8"]}}},
 {"name":"rssi","metric":"rssi","exportMetric":true,"criteria":{"comparisonOperator":"greater-than","value":{"number":-100},"consecutiveDatapointsToAlarm":3}},
 {"name":"units","metric":"units","criteria":{"comparisonOperator":"in-set","value":{"strings":["sshd","agent","cron","ntpd"]}}}],
 "additionalMetricsToRetainV2":[{"metric":"load","exportMetric":true},{"metric":"aws:num-established-tcp-connections"}],
 "metricsExportConfig":{"mqttTopic":"$aws/rules/export/x","roleArn":"arn:aws:iam::123456789012:role/export"}})";

// Twelve metrics in about 1.7 KB.
std::string report_body(int seed) {
  std::string out =
      R"({"header":{"report_id":%010d,"version":"1.0"},"metrics":{"tcp_connections":{"established_connections":{"connections":[)";
  for (int i = 0; i < 8; ++i) {
    out += std::string(i ? "," : "") + R"({"remote_addr":"203.0.113.)" + std::to_string((seed + i) % 250) +
           R"(:8883","local_port":)" + std::to_string(40000 + i) + R"(,"local_interface":"wlan0"})";
  }
  out += R"(],"total":8}},"listening_tcp_ports":{"ports":[)";
  const int ports[] = {22, 80, 443, 8080, 8443, 9100};
  for (int i = 0; i < 6; ++i) {
    out += std::string(i ? "," : "") + R"({"port":)" + std::to_string(ports[i]) + R"(,"interface":"eth0"})";
  }
  out +=
      R"(],"total":6},"listening_udp_ports":{"ports":[{"port":68,"interface":"eth0"},{"port":5683,"interface":"eth0"}],"total":2},)";
  out += R"("network_stats":{"bytes_in":)" + std::to_string(4000 + seed) + R"(,"bytes_out":)" +
         std::to_string(900 + seed) + R"(,"packets_in":301,"packets_out":77}},"custom_metrics":{)";
  out +=
      R"("rssi":[{"number":-7)" + std::to_string(seed % 10) + R"(.5}],"load":[{"number_list":[12,8,91,4]}],)";
  out += R"("units":[{"string_list":["sshd","agent","cron"]}],"note":[{"string_list":[")" +
         std::string(360, 'x') + R"("]}]}})";
  return out;
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

ConfigPtr make_config() {
  auto profiles = std::make_shared<Profiles>();
  const auto document = json::parse(kProfile);
  auto profile = profile_from_json(document->get_object());
  if (!profile) {
    std::fprintf(stderr, "%s\n", profile.error().message.c_str());
    std::exit(1);
  }
  profiles->profiles.push_back(std::make_shared<const SecurityProfile>(std::move(*profile)));
  profiles->custom_metrics = {
      {"rssi", ValueKind::kNumber}, {"load", ValueKind::kNumbers}, {"units", ValueKind::kStrings}};
  return std::make_shared<const Config>(
      Config{1, profiles, [](std::string_view, std::vector<uint32_t>& out) { out.push_back(0); }});
}

void run(size_t things) {
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  Engine engine{EngineOptions{}};
  engine.configure(make_config());
  std::vector<std::string> bodies;
  for (int i = 0; i < 64; ++i) bodies.push_back(report_body(i));
  ReportParser parser;
  Effects effects;
  Event event;
  event.kind = Event::Kind::kReport;
  int64_t report_id = 1'000'000'000;
  uint64_t sequence = 0;
  size_t kept_bytes = 0;
  const auto apply = [&](size_t thing) {
    std::string& body = bodies[sequence % bodies.size()];
    char id[24];
    std::snprintf(id, sizeof id, "%010lld", static_cast<long long>(++report_id % 10'000'000'000));
    body.replace(23, 10, id);  // after {"header":{"report_id":
    char name[32];
    const int length = std::snprintf(name, sizeof name, "pump-%07zu", thing);
    event.thing.assign(name, static_cast<size_t>(length));
    event.time = {1'767'225'600'000 + static_cast<int64_t>(sequence)};
    engine.prefetch(event.thing);
    if (!parser.parse(ReportFormat::kJson, body, event.report)) {
      std::fprintf(stderr, "the benchmark's report was refused\n");
      std::exit(1);
    }
    engine.apply(event, ++sequence, effects);
    if (sequence % 256 == 0) {
      kept_bytes += effects.bytes();
      effects.clear();
    }
  };
  for (auto& body : bodies) body.replace(body.find("%010d"), 5, "1000000000");
  for (size_t i = 0; i < things; ++i) apply(i);  // every thing exists
  const size_t memory = mallinfo2().uordblks + mallinfo2().hblkhd - before;
  const size_t reports = std::max<size_t>(400'000, things);
  uint64_t random = 88172645463325252ULL;
  const double start = cpu_seconds();
  for (size_t i = 0; i < reports; ++i) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    apply(random % things);
  }
  const double seconds = cpu_seconds() - start;
  std::printf(
      "%9zu things: %8.0f reports per CPU-second, %.2f us each; %4zu bytes per thing; report of %zu bytes\n",
      things, static_cast<double>(reports) / seconds, seconds / static_cast<double>(reports) * 1e6,
      memory / things, bodies[0].size());
  if (engine.counters().reports != things + reports || kept_bytes == 0)
    std::printf("  unexpected: not all were evaluated\n");
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<size_t> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(static_cast<size_t>(std::atoll(argv[i])));
  if (sizes.empty()) sizes = {1000, 10'000, 100'000, 1'000'000};
  for (const size_t things : sizes) run(things);
  return 0;
}
