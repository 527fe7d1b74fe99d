#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"
#include "detect/config.h"
#include "detect/effects.h"
#include "detect/event.h"

namespace fleetward::detect {

// What happened to events, for metrics. Monotone.
struct EngineCounters {
  uint64_t reports = 0;            // evaluated
  uint64_t duplicate_reports = 0;  // a report_id that the thing used lately
  uint64_t unmonitored = 0;        // events of things that no profile reaches
  uint64_t observations = 0;
  uint64_t data_points = 0;     // values kept
  uint64_t judgements = 0;      // behaviours judged by a value
  uint64_t contributions = 0;   // values given to percentiles
  uint64_t dropped_custom = 0;  // custom values unknown to the account or of another type
  uint64_t refused_things = 0;  // things beyond EngineOptions::things_max
};

// Detect for the things of one partition: a deterministic state machine. The same configuration and the same
// events in the same order give the same effects, violation ids included. Reads no clock: time is in the
// events. One thread.
//
//   - A report's values are judged when it is applied; a value of a duplicate (thing, report_id) is not.
//   - Observations add up; tick() turns what came since the last tick into one data point per metric.
//   - A statistical criterion needs the values of all partitions. tick() gathers the value of each device
//   that
//     was active in the window and remembers it; the effects of the tick's end hold the partition's
//     populations. Whoever drives the engines merges those of one tick (population.h) and gives each
//     engine the thresholds, by which judge() judges the remembered values: one data point per tick and
//     device. A tick whose thresholds never come judges nobody.
//   - Per (profile, behaviour, thing): `consecutiveDatapointsToAlarm` violating data points in a row open a
//     violation, `...ToClear` conforming ones close it; silence for longer than EngineOptions::silence, or a
//     behaviour that no longer applies, invalidates it. A missing data point changes nothing.
class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  // Takes effect for each thing at its next event or tick, or when settle() comes to it.
  void configure(ConfigPtr config);

  // Invalidates the alarms whose behaviour reaches its thing no more, without waiting for an event or a tick.
  // Looks at about `things_max` things from `from` on; where to go on, 0 at the end.
  uint32_t settle(uint32_t from, Timestamp time, uint64_t sequence, size_t things_max, Effects& effects);

  // A report or an observation. `sequence` is the event's place in the partition (its offset); it makes
  // violation ids unique. Adds to `effects`.
  void apply(const Event& event, uint64_t sequence, Effects& effects);

  // A hint that the kPrefetchAhead-th event from now is of this thing. Called once for each event it hides
  // what a state that is in no cache costs; it changes nothing else.
  static constexpr size_t kPrefetchAhead = 3;
  void prefetch(std::string_view thing);

  // The tick of `time` (a multiple of EngineOptions::tick), for at most `things_max` things that have not had
  // it yet; true when there are none left. Call again with the same arguments until then. After a crash in
  // between, the things whose state was written are not ticked twice.
  bool tick(Timestamp time, uint64_t sequence, size_t things_max, Effects& effects);

  // kThresholds, in slices like a tick; `sequence` as for apply().
  bool judge(const Event& thresholds, uint64_t sequence, size_t things_max, Effects& effects);

  // kRestart, in slices like a tick: whoever is held for connected disconnected at `time`, which counts as
  // any disconnect. Who is back already connects again with his next observation.
  bool restart(Timestamp time, uint64_t sequence, size_t things_max, Effects& effects);

  // State to keep beside the log, and back. restore_thing needs a configuration; kCorrupt leaves the thing
  // unknown.
  std::string_view thing_name(uint32_t index) const;
  void encode_thing(uint32_t index, std::string& out) const;
  Status restore_thing(std::string_view name, std::string_view bytes);

  size_t things() const;
  size_t memory_bytes() const;  // of all things' states; walks them
  const EngineCounters& counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetward::detect
