#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <sys/resource.h>
#include <thread>

#include <unistd.h>

#include "bench/load/options.h"
#include "bench/load/report.h"
#include "bench/load/sink.h"
#include "bench/load/worker.h"

namespace fleetward::load {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void sleep_s(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

// User and system time of a process in seconds, from /proc/<pid>/stat; 0 if there is none.
double process_cpu_s(int pid) {
  if (pid == 0) return 0;
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return 0;
  unsigned long user = 0;
  unsigned long system = 0;
  std::sscanf(text.c_str() + name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
              &system);
  return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Resident bytes of a process; 0 if there is none.
double process_resident_bytes(int pid) {
  if (pid == 0) return 0;
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double own_cpu_s() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void raise_file_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

bool wait_ready(Shared& shared, size_t wanted) {
  const auto start = Clock::now();
  while (shared.ready < wanted) {
    if (seconds_since(start) > shared.options.connect_timeout_s) return false;
    sleep_s(0.001);
  }
  return true;
}

void measure(Shared& shared, Outcome& outcome) {
  const Options& options = shared.options;
  shared.phase = Phase::kWarmUp;
  sleep_s(options.warmup_s);
  const double server_before = process_cpu_s(options.server_pid);
  const double own_before = own_cpu_s();
  const auto start = Clock::now();
  shared.phase = Phase::kMeasure;
  if (options.count == 0) {
    sleep_s(options.duration_s);
  } else {
    while (shared.acked < options.count && seconds_since(start) < 600) sleep_s(0.001);
  }
  shared.phase = Phase::kDone;
  outcome.seconds = seconds_since(start);
  outcome.server_cpu_s = process_cpu_s(options.server_pid) - server_before;
  outcome.own_cpu_s = own_cpu_s() - own_before;
}

int run(Options options) {
  raise_file_limit();
  std::optional<Sink> sink;
  if (options.self_test) {
    sink.emplace();
    options.port = sink->port();
  }
  Shared shared{options};
  std::vector<std::unique_ptr<Worker>> workers;
  for (size_t i = 0; i < options.threads; ++i) workers.push_back(std::make_unique<Worker>(shared));
  const auto identities = make_identities(options);
  for (size_t i = 0; i < identities.size(); ++i) {
    workers[i % options.threads]->add(identities[i], i, i >= options.connections);
  }
  Outcome outcome;
  const double resident_before = process_resident_bytes(options.server_pid);
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (const auto& worker : workers) threads.emplace_back([&worker] { worker->run(); });
  const bool ready = wait_ready(shared, identities.size());
  outcome.connect_seconds = seconds_since(start);
  if (ready) measure(shared, outcome);
  outcome.server_connection_bytes =
      (process_resident_bytes(options.server_pid) - resident_before) / static_cast<double>(identities.size());
  shared.phase = Phase::kDone;
  for (auto& thread : threads) thread.join();
  for (const auto& worker : workers) {
    const Counts& counts = worker->counts();
    outcome.counts.published += counts.published;
    outcome.counts.received += counts.received;
    outcome.counts.errors += counts.errors;
    if (outcome.counts.first_error.empty()) outcome.counts.first_error = counts.first_error;
    outcome.counts.publish_latency.merge(counts.publish_latency);
    outcome.counts.delivery_latency.merge(counts.delivery_latency);
  }
  if (!ready) {
    std::fprintf(stderr, "only %zu of %zu connections were accepted: %s\n", shared.ready.load(),
                 identities.size(), outcome.counts.first_error.c_str());
    return 1;
  }
  options.json ? print_json(options, outcome) : print_table(options, outcome);
  return outcome.counts.errors == 0 && (options.idle || outcome.counts.published > 0) ? 0 : 1;
}

}  // namespace
}  // namespace fleetward::load

int main(int argc, char** argv) {
  try {
    return fleetward::load::run(fleetward::load::parse_options(argc, argv));
  } catch (const std::exception& e) {
    std::cerr << "fleetward-load: " << e.what() << "\n";
    return 1;
  }
}
