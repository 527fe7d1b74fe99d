#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "detect/config.h"

// Internal to the engine: what is remembered of one thing, and the table of all of them.
namespace fleetward::detect::internal {

// Small, because every report reads it for every behaviour; what only an open violation has is in Alarm.
struct BehaviorState {
  int64_t last_point_ms = 0;  // 0: none yet
  uint8_t violating_run = 0;  // while not in alarm
  uint8_t clear_run = 0;      // while in alarm
  bool in_alarm = false;
};

// An open violation.
struct Alarm {
  uint64_t behavior_key = 0;  // PlanBehavior::key
  int64_t started_ms = 0;
  std::array<uint64_t, 2> violation{};
};

// Between two ticks.
struct CloudState {
  static constexpr size_t kAddressesMax = 16;

  uint64_t sent = 0, received = 0, authorization_failures = 0, connection_attempts = 0, disconnects = 0;
  uint64_t bytes_total = 0, bytes_min = 0, bytes_max = 0;
  int64_t last_active_ms = 0;
  int64_t disconnected_since_ms = 0;
  bool active = false;  // since the last tick
  bool connected = false;
  bool tracked = false;  // was seen connected: disconnect-duration applies
  std::vector<IpAddress> addresses;
};

struct Thing {
  static constexpr size_t kReportIdsRemembered = 8;

  std::string name;
  uint64_t config_version = 0;
  PlanPtr plan;
  std::unique_ptr<BehaviorState[]> behaviors;  // as Plan::behaviors
  std::unique_ptr<uint64_t[]> cells;           // as Plan::cells
  std::unique_ptr<CloudState> cloud;           // once observed under a plan with cloud-side metrics
  // Of behaviours in alarm, and of behaviours that left the configuration while the process was down.
  std::unique_ptr<std::vector<Alarm>> alarms;
  std::array<int64_t, kReportIdsRemembered> report_ids{};
  int64_t last_report_ms = 0;
  int64_t last_event_ms = 0;
  int64_t last_tick_ms = 0;
  uint64_t changed_round = 0;      // Effects::round in which it is in Effects::changed
  uint32_t same_time_reports = 0;  // with last_report_ms, before the latest
  uint8_t next_report_id = 0;

  bool orphaned = false;  // `alarms` holds some whose behaviour is not in the plan

  bool any_alarm() const { return alarms && !alarms->empty(); }
  void open_alarm(const Alarm& alarm);
  Alarm take_alarm(uint64_t behavior_key);  // must be there
  const Alarm& alarm(uint64_t behavior_key) const;
  size_t memory_bytes() const;
};

// The state's binary form. decode_thing takes what belongs to behaviours and windows of `thing.plan` and
// drops the rest, except open violations, which become orphans.
void encode_thing(const Thing& thing, std::string& out);
Status decode_thing(std::string_view bytes, Thing& thing);

// Gives the thing the arrays of another plan, taking along what both plans have. Calls
// lost(const PlanBehavior&, const Alarm&) for each open violation that the new plan does not have.
template <typename Lost>
void move_to_plan(Thing& thing, PlanPtr plan, Lost&& lost) {
  auto behaviors = std::make_unique<BehaviorState[]>(plan->behaviors.size());
  auto cells = std::make_unique<uint64_t[]>(plan->cells);
  if (thing.plan) {
    for (size_t i = 0; i < thing.plan->behaviors.size(); ++i) {
      const PlanBehavior& old = thing.plan->behaviors[i];
      size_t j = 0;
      while (j < plan->behaviors.size() && plan->behaviors[j].key != old.key) ++j;
      if (j < plan->behaviors.size()) {
        behaviors[j] = thing.behaviors[i];
      } else if (thing.behaviors[i].in_alarm) {
        lost(old, thing.take_alarm(old.key));
      }
    }
    for (const PlanWindow& old : thing.plan->windows) {
      for (const PlanWindow& now : plan->windows) {
        if (now.key != old.key) continue;
        for (uint32_t c = 0; c <= old.buckets; ++c) cells[now.offset + c] = thing.cells[old.offset + c];
      }
    }
  }
  thing.behaviors = std::move(behaviors);
  thing.cells = std::move(cells);
  thing.plan = std::move(plan);
}

// Things by name: an open-addressing index over a slab, so that finding one costs one or two cache lines
// whatever their number. Indexes are stable while the thing lives.
class ThingTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  uint32_t find(std::string_view name) const;
  uint32_t insert(std::string_view name);  // must not be there
  void prefetch(std::string_view name) const;
  void erase(uint32_t index);
  Thing& at(uint32_t index) { return slab_[index / kChunk][index % kChunk]; }
  const Thing& at(uint32_t index) const { return slab_[index / kChunk][index % kChunk]; }
  bool used(uint32_t index) const { return !at(index).name.empty(); }
  uint32_t slots() const { return slots_; }  // indexes are below it
  size_t size() const { return size_; }

 private:
  // hash >> 32 << 32 | index + 1; 0: free.
  void place(uint64_t hash, uint32_t index);
  void grow();

  static constexpr uint32_t kChunk = 64;
  std::vector<std::unique_ptr<Thing[]>> slab_;
  uint32_t slots_ = 0;
  std::vector<uint32_t> free_;
  std::vector<uint64_t> buckets_;
  size_t size_ = 0;
};

}  // namespace fleetward::detect::internal
