#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "detect/engine.h"

// Detect's engines of a few partitions, driven by commands in JSON: for the reference model and by hand.
namespace fleetward::model {

// Not for production: an answer {"error": ...} where a command is not understood.
//
//   {"op":"fleet", "partitions":2, "tick_ms":300000, "silence_ms":..., "forget_ms":..., "population_min":2}
//      a new, empty fleet
//   {"op":"configure", "custom_metrics":{"rssi":"number"}, "profiles":[{DescribeSecurityProfile's members}],
//    "members":{"thing":[indexes of profiles]}}
//   {"op":"report", "thing":"a", "time":ms, "body":{the report as the device sends it}}
//   {"op":"observe", "thing":"a", "time":ms, "sent":2, "received":0, "sizes":[total,min,max], "failures":0,
//    "attempts":0, "disconnects":0, "connected":true, "disconnected_since":ms, "addresses":["192.0.2.1"],
//    "dimensions":{"name|IN":{sent, received, sizes, failures, addresses of what counts for it}}}
//   {"op":"tick", "time":ms, "slice":things}
//   {"op":"thresholds", "slice":things}      of the latest tick whose populations are there, if any
//   {"op":"restart"}      every engine is made anew from what it said was to be written
//
// "crash":n in a report, observation, tick or thresholds: after n of its slices (an event is one) were
// written, the process ends before the next is, starts again and goes on from the log.
//
// The answer of each is one object: {"events":[...], "kept":[...], "exported":[...]}, empty members left out;
// of a report that is refused {"rejected":"..."}.
class Fleet {
 public:
  json::object run(const json::object& command);

 private:
  struct Partition {
    detect::Engine engine{detect::EngineOptions{}};
    detect::Effects effects;
    std::map<std::string, std::string> stored;  // states of things, as the log has them
    uint64_t sequence = 0;
  };
  // One slice of an event; true when it was the last.
  using Slice = std::function<bool(Partition&)>;

  Status start(const json::object& command);
  Status configure(const json::object& command);
  Status report(const json::object& command, json::object& answer);
  Status observe(const json::object& command);
  Status tick(const json::object& command, json::object& answer);
  Status thresholds(const json::object& command, json::object& answer);
  Status in_slices(const json::object& command, Partition& partition, const Slice& slice,
                   json::object& answer);
  Status restart();
  Status restart(Partition& partition);
  Partition& partition_of(std::string_view thing);
  Status apply(std::string_view thing, std::string_view encoded, bool crash);
  void take_effects(Partition& partition, json::object& answer);

  detect::EngineOptions options_;
  std::vector<Partition> partitions_;
  detect::ConfigPtr config_;
  uint64_t version_ = 0;
  detect::ReportParser parser_;
  // What the stream "populations" holds: by tick, the records of the partitions.
  std::map<int64_t, std::vector<std::string>> populations_;
};

}  // namespace fleetward::model
