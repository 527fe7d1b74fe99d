#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "detect/config.h"
#include "detect/population.h"
#include "detect/value.h"

namespace fleetward::detect {

// One change of one violation.
struct ViolationEvent {
  enum class Type : uint8_t { kInAlarm, kCleared, kInvalidated } type = Type::kInAlarm;
  Timestamp time, started;
  std::string violation_id;  // 32 hex digits, the same at every replay
  std::string thing;
  // Null if the behaviour went away while the process was down: the record of the violation has the copy.
  SecurityProfilePtr profile;
  BehaviorPtr behavior;
  std::optional<Value> value;  // none for kInvalidated
  // For people: "{\"count\":110} is not greater-than 128, data point 2 of 2 in a row".
  std::string explanation;
};
std::string_view to_string(ViolationEvent::Type type);  // "in-alarm", "alarm-cleared", "alarm-invalidated"

// A further violating data point of an open violation.
struct ViolationUpdate {
  std::string violation_id;
  Timestamp time;
  Value value;
};

// Values of one thing at one time, ready to keep: a row (history.h).
struct RetainedValues {
  std::string_view thing;
  Timestamp time;
  uint64_t sequence = 0;      // of the event
  size_t begin = 0, end = 0;  // in Effects::retained_bytes
};

struct ExportPoint {
  const ExportDestination* destination = nullptr;
  std::string_view series, thing;  // series_name()
  ExportClass combine = ExportClass::kAsIs;
  uint32_t version = 1;  // of several values of one (thing, metric, timestamp) the highest stands
  Timestamp time;
  size_t begin = 0, end = 0;  // in Effects::export_bytes: the encoded value
};

// What applying events led to, gathered over any number of calls of apply() and tick(). One object per
// engine, cleared after use and before the next Engine::configure(), until when its views and pointers hold.
struct Effects {
  std::vector<ViolationEvent> events;
  std::vector<ViolationUpdate> updates;
  std::vector<RetainedValues> retained;
  std::vector<ExportPoint> exports;
  std::vector<uint32_t> changed;       // things whose state is to be written again, each once
  std::vector<std::string> forgotten;  // things whose state is to be erased
  // A tick that is over: what all partitions tell is merged into thresholds (see Engine). By key; empty if
  // no device has a value, and no tick if no profile has a statistical criterion.
  std::vector<Population> populations;
  Timestamp populations_tick;
  std::string retained_bytes, export_bytes;
  uint64_t round = 1;  // rises with clear(): tells the engine what is in `changed`

  void clear();
  size_t bytes() const { return retained_bytes.size() + export_bytes.size(); }
};

}  // namespace fleetward::detect
