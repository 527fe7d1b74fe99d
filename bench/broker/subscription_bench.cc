#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "broker/subscription_index.h"

// Matching among many filters: of a fleet's N filters 80% name one topic of one device, 10% all topics of a
// device, and 10% have a '+' in the middle, so that a topic meets about four. Prints percentiles of one match
// and memory of a filter.
//   fleetward_subscription_bench [N, default 1000000]
namespace fleetward::broker {
namespace {

constexpr size_t kRegions = 50;
constexpr size_t kLookups = 200'000;

std::string device(size_t number) {
  return "fleet/region-" + std::to_string(number % kRegions) + "/pump-" + std::to_string(number);
}

std::string filter_of(size_t number) {
  switch (number % 10) {
    case 0:
      return device(number / 10) + "/#";
    case 1:
      return "fleet/+/pump-" + std::to_string(number / 10) + "/telemetry";
    default:
      return device(number / 10) + "/" +
             (number % 10 == 2 ? "telemetry" : "command-" + std::to_string(number % 10));
  }
}

double resident_bytes() {
  double total = 0;
  double resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

int run(size_t count) {
  SubscriptionIndex<uint32_t> index;
  const double before = resident_bytes();
  for (size_t i = 0; i < count; ++i) index.at(filter_of(i)).push_back(static_cast<uint32_t>(i));
  const double bytes = (resident_bytes() - before) / static_cast<double>(count);
  std::vector<std::string> topics;
  for (size_t i = 0; i < kLookups; ++i)
    topics.push_back(device(i * 7919 % std::max<size_t>(1, count / 10)) + "/telemetry");
  std::vector<uint64_t> took_ns;
  took_ns.reserve(topics.size());
  size_t found = 0;
  std::string topic;
  for (const std::string& next : topics) {
    topic = next;  // as if it had just been received
    const auto start = std::chrono::steady_clock::now();
    index.match(topic, [&](uint32_t) { ++found; });
    took_ns.push_back(static_cast<uint64_t>((std::chrono::steady_clock::now() - start).count()));
  }
  std::sort(took_ns.begin(), took_ns.end());
  const auto at = [&](double q) {
    return took_ns[static_cast<size_t>(q * static_cast<double>(took_ns.size() - 1))];
  };
  std::printf("%zu filters, %.0f B each; a match (%.1f filters): p50 %lu ns, p99 %lu ns, p99.9 %lu ns\n",
              count, bytes, static_cast<double>(found) / static_cast<double>(topics.size()), at(0.5),
              at(0.99), at(0.999));
  return 0;
}

}  // namespace
}  // namespace fleetward::broker

int main(int argc, char** argv) {
  return fleetward::broker::run(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000);
}
