#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "detect/profile.h"

namespace fleetward::detect {

struct EngineOptions {
  // Cloud-side metrics are evaluated at multiples of this since the epoch. At least 1 s; 300 s divides by it
  // or it by 300 s.
  Duration tick{300'000};
  // What one second of durationSeconds stands for. 1000 in production; smaller in demonstrations that cannot
  // wait five minutes.
  int64_t duration_second_ms = 1000;
  Duration silence{2LL * 24 * 3600 * 1000};  // an alarm without data points for longer is invalidated
  // A thing without alarm and without events for longer is forgotten.
  Duration forget{14LL * 24 * 3600 * 1000};
  size_t things_max = 2'000'000;  // per engine; more are not monitored, counted
  // disconnect-duration: thresholds are minutes, values seconds (the unit is not documented by AWS).
  uint64_t disconnect_threshold_seconds = 60;
  // A statistical threshold is made of at least as many devices' values.
  uint64_t population_min = 2;
};

// The profiles and custom metrics of the account, which change together. Shared between versions of Config
// while they stay the same, so that a change of memberships recompiles nothing.
struct Profiles {
  std::vector<SecurityProfilePtr> profiles;
  std::map<std::string, ValueKind, std::less<>> custom_metrics;
};

// Everything the engine is told by the control plane. Immutable.
struct Config {
  uint64_t version = 0;  // rises with every change
  std::shared_ptr<const Profiles> profiles;
  // Appends the indexes (in Profiles::profiles) of those whose targets reach the thing, ascending, each once.
  // Pure for the life of this Config; called on the engine's thread.
  std::function<void(std::string_view thing, std::vector<uint32_t>& out)> profiles_of;
};
using ConfigPtr = std::shared_ptr<const Config>;

// How a data point is combined over the period of an export batch (AWS IoT Developer Guide, Metrics export).
enum class ExportClass : uint8_t {
  kAsIs,     // device-side and custom: every value as reported
  kSum,      // counters
  kLatest,   // disconnect-duration
  kUnion,    // lists of addresses
  kSizeMin,  // message-byte-size
  kSizeMax,
  kSizeTotal,
};

struct ExportDestination {
  std::string topic;
  std::string role_arn;
  std::string profile;  // the first profile that asked for it; its ARN is aws:SourceArn of the role
};

// A behaviour in a plan.
struct PlanBehavior {
  SecurityProfilePtr profile;
  BehaviorPtr behavior;
  uint64_t key = 0;     // of (profile, behaviour, fingerprint): names its state across versions
  int32_t window = -1;  // index of Plan::windows; -1: judged by the value of the data point alone
  // Statistical: place in the thing's cells of its latest value, then of the value it is judged by; else -1.
  int32_t values = -1;
};

// One metric that somebody wants of a thing, with or without a dimension.
struct PlanMetric {
  const MetricInfo* builtin = nullptr;  // nullptr: custom
  std::string name;
  uint64_t dimension = 0;  // MetricDimension::key(); 0: all messages count
  std::string series;      // series_name(): what its values are kept and exported as
  uint8_t row_code = 0;    // of the series (history.h)
  ValueKind kind = ValueKind::kCount;
  std::vector<uint32_t> destinations;  // indexes of Plan::destinations
  uint32_t behaviors_begin = 0, behaviors_end = 0;
  uint32_t windows_begin = 0, windows_end = 0;
};

// Sums of a counter over the latest `buckets` stretches of `width_ms` (aligned to the epoch). A sliding
// window of any length is at most kBucketsMax cells; its edge moves in steps of one bucket.
struct PlanWindow {
  static constexpr int64_t kBucketsMax = 12;  // that are summed
  static constexpr uint32_t kRingMax = kBucketsMax + 1;
  uint64_t key = 0;  // of (series, width, buckets)
  int64_t width_ms = 0;
  uint32_t buckets = 0;  // in the ring
  // Of a statistical behaviour of a device-side metric: a report that is ahead of its tick must not push out
  // what the tick is to sum, so the ring has one bucket more than is summed.
  bool spare = false;
  uint32_t offset =
      0;  // of its cells in the thing's cells: one for the newest bucket's number, then the sums
};

// What applies to the things of one set of profiles, ready to run.
struct Plan {
  std::vector<PlanMetric> device;  // device-side and custom metrics
  std::vector<PlanMetric> cloud;
  std::vector<PlanBehavior> behaviors;
  std::vector<uint32_t> statistical;  // indexes of `behaviors`
  std::vector<PlanWindow> windows;
  std::vector<ExportDestination> destinations;
  std::vector<uint64_t> dimensions;  // those of `cloud`, each once
  uint32_t cells = 0;

  bool empty() const { return device.empty() && cloud.empty(); }
};
using PlanPtr = std::shared_ptr<const Plan>;

PlanPtr compile_plan(const Profiles& profiles, const std::vector<uint32_t>& indexes,
                     const EngineOptions& options);

}  // namespace fleetward::detect
