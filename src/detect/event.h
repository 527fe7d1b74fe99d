#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "detect/address.h"
#include "detect/report.h"
#include "detect/series.h"

// What happens to things, and its binary form: the records of the log stream "events".
namespace fleetward::detect {

// What is counted of messages: of all, or of those that a dimension lets through.
struct MessageCounters {
  uint64_t messages_sent = 0, messages_received = 0;
  // Of payloads sent; meaningful if messages_sent is not 0.
  uint64_t message_bytes_total = 0, message_bytes_min = 0, message_bytes_max = 0;
  uint64_t authorization_failures = 0;
};

// Counted apart for a dimension; only what is not all zero.
struct DimensionCounters : MessageCounters {
  MetricDimension dimension;
  std::vector<IpAddress> addresses;  // that the counted messages came from or went to
};

// What the broker saw of one thing (or of an unregistered device, by its client id) in a stretch of time.
struct Observation : MessageCounters {
  Timestamp from, to;
  uint64_t connection_attempts = 0;
  uint64_t disconnects = 0;
  bool connected = false;        // at `to`
  Timestamp disconnected_since;  // 0 while connected or unknown
  std::vector<IpAddress> addresses;
  std::vector<DimensionCounters> dimensions;
};

// A percentile of all devices, for one behaviour.
struct Threshold {
  uint64_t behavior_key = 0;  // PlanBehavior::key
  double value = 0;
  uint64_t population = 0;
};

struct Event {
  enum class Kind : uint8_t {
    kReport = 1,
    kObservation = 2,
    kTick = 3,
    kThresholds = 4,
    kRestart = 5,  // of the server: no connection from before it is left
  } kind = Kind::kTick;
  // Receipt of a report, end of an observation, boundary of a tick, moment of a restart; of thresholds, that
  // of the tick whose values they judge.
  Timestamp time;
  std::string thing;  // of a report or an observation; else empty
  Report report;      // kReport
  Observation observation;
  std::vector<Threshold> thresholds;  // kThresholds, by key
};

void encode_report_event(std::string_view thing, Timestamp received, const Report& report, std::string& out);
void encode_observation_event(std::string_view thing, const Observation& observation, std::string& out);
void encode_tick_event(Timestamp time, std::string& out);
void encode_restart_event(Timestamp time, std::string& out);
void encode_thresholds_event(Timestamp time, const std::vector<Threshold>& thresholds, std::string& out);
// The thing of an encoded report or observation; empty for other events and for bytes that are none.
std::string_view peek_thing(std::string_view bytes);
// Fills `out`, keeping its memory. kCorrupt; then `out` is not to be used.
Status decode_event(std::string_view bytes, Event& out);

}  // namespace fleetward::detect
