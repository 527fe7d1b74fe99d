#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/large_memory.h"
#include "core/result.h"
#include "core/time.h"
#include "detect/config.h"
#include "detect/event.h"

// Internal to the engine: what is remembered of one thing, and the table of all of them.
namespace fleetward::detect::internal {

inline void prefetch_lines(const void* memory, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(static_cast<const char*>(memory) + at, 1);
}

// Small, because every report reads it for every behaviour; what only an open violation has is in Alarm.
// It and the cells of windows are raw words of one block, so nothing here owns memory.
struct BehaviorState {
  int64_t last_point_ms = 0;  // of the metric; 0: none yet
  uint8_t violating_run = 0;  // while not in alarm
  uint8_t clear_run = 0;      // while in alarm
  bool in_alarm = false;
  // Statistical: the thing's value of its latest tick is among those whose percentile it waits for.
  bool contributed = false;
};

// An open violation.
struct Alarm {
  uint64_t behavior_key = 0;  // PlanBehavior::key
  int64_t started_ms = 0;
  std::array<uint64_t, 2> violation{};
};

// What was counted since the last tick: of all messages, or for one dimension.
struct CloudCounters : MessageCounters {
  static constexpr size_t kAddressesMax = 16;
  uint64_t dimension = 0;  // MetricDimension::key(); 0: all messages
  std::vector<IpAddress> addresses;

  void add(const MessageCounters& seen, const std::vector<IpAddress>& from);
};

// Between two ticks.
struct CloudState {
  CloudCounters all;
  std::vector<CloudCounters> dimensions;  // of the plan, those that counted something
  uint64_t connection_attempts = 0, disconnects = 0;
  int64_t last_active_ms = 0;
  int64_t disconnected_since_ms = 0;
  bool active = false;  // since the last tick
  bool connected = false;
  bool tracked = false;  // was seen connected: disconnect-duration applies

  // Of nothing, if nothing was counted for the dimension.
  const CloudCounters& of(uint64_t dimension) const;
};

// What a plan makes a thing remember: the states of its behaviours, then the cells of its windows. It lies in
// the room behind the thing in its slot, if it fits, because with many things each piece of memory elsewhere
// is a page and a few lines that no cache has.
class PlanState {
 public:
  PlanState(std::byte* room, size_t room_bytes)
      : block_(room), room_bytes_(static_cast<uint32_t>(room_bytes)) {}
  PlanState(const PlanState&) = delete;
  PlanState& operator=(const PlanState&) = delete;
  ~PlanState() {
    if (outside_) delete[] block_;
  }

  static size_t bytes_of(const Plan& plan) {
    return plan.behaviors.size() * sizeof(BehaviorState) + plan.cells * sizeof(uint64_t);
  }
  BehaviorState* behaviors() const { return reinterpret_cast<BehaviorState*>(block_); }
  uint64_t* cells() const { return reinterpret_cast<uint64_t*>(behaviors() + behaviors_); }
  size_t room_bytes() const { return room_bytes_; }
  bool outside() const { return outside_; }

  // Becomes the state of `plan`, all zero but for what `carry(BehaviorState* behaviors, uint64_t* cells)`
  // takes over while the old state can still be read. `room` as for the constructor.
  template <typename Carry>
  void change(const Plan& plan, std::byte* room, Carry&& carry) {
    const size_t bytes = bytes_of(plan);
    auto fresh = std::make_unique<std::byte[]>(bytes);
    auto* behaviors = reinterpret_cast<BehaviorState*>(fresh.get());
    carry(behaviors, reinterpret_cast<uint64_t*>(behaviors + plan.behaviors.size()));
    if (outside_) delete[] block_;
    outside_ = bytes > room_bytes_;
    if (outside_) {
      block_ = fresh.release();
    } else {
      block_ = std::copy_n(fresh.get(), bytes, room) - bytes;
    }
    behaviors_ = static_cast<uint32_t>(plan.behaviors.size());
  }

 private:
  std::byte* block_;
  uint32_t behaviors_ = 0;
  uint32_t room_bytes_ : 31;
  bool outside_ : 1 = false;
};

// A whole number of cache lines, at their borders: its head is read and written by every event.
struct alignas(64) Thing {
  static constexpr size_t kReportIdsRemembered = 8;

  // `room_bytes` of memory follow the thing.
  explicit Thing(size_t room_bytes) : state(room(), room_bytes) {}
  std::byte* room() { return reinterpret_cast<std::byte*>(this + 1); }

  std::string name;
  uint64_t config_version = 0;
  PlanPtr plan;
  PlanState state;                    // as `plan` says
  std::unique_ptr<CloudState> cloud;  // once observed under a plan with cloud-side metrics
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

// The state's binary form. Numbers are varints if nothing else is said; "before" is zigzag (last event -
// time).
//
//   u8 format (3); last event; last report, last tick: before; reports of that time; u8 next report id;
//   report ids: zigzag differences, the first to 0
//   u8 1 if there is a cloud side: counters; connection attempts, disconnects; last active, disconnected
//   since;
//     u8 1 active | 2 connected | 4 tracked; addresses; dimensions, each: u64 key, counters, addresses
//     counters: messages sent, received; bytes total, min, max; authorization failures
//   behaviours, those of which more is to be known than a conforming point: u64 key; last point: before;
//     u8 violating run | 0x40 values follow | 0x80 contributed; u8 clear run; two values if they follow
//   open violations: u64 behaviour's key; started; 16 bytes of id
//   windows that counted something: u64 key; cells; number of the newest; bits of the cells that are not
//     zero; these cells
//
// decode_thing takes what belongs to behaviours and windows of `thing.plan` and drops the rest, except open
// violations, which become orphans.
void encode_thing(const Thing& thing, std::string& out);
Status decode_thing(std::string_view bytes, Thing& thing);

// Gives the thing the arrays of another plan, taking along what both plans have. Calls
// lost(const PlanBehavior&, const Alarm&) for each open violation that the new plan does not have.
template <typename Lost>
void move_to_plan(Thing& thing, PlanPtr plan, Lost&& lost) {
  thing.state.change(*plan, thing.room(), [&](BehaviorState* behaviors, uint64_t* cells) {
    if (!thing.plan) return;
    for (size_t i = 0; i < thing.plan->behaviors.size(); ++i) {
      const PlanBehavior& old = thing.plan->behaviors[i];
      size_t j = 0;
      while (j < plan->behaviors.size() && plan->behaviors[j].key != old.key) ++j;
      if (j < plan->behaviors.size()) {
        behaviors[j] = thing.state.behaviors()[i];
        if (old.values >= 0) {
          std::copy_n(thing.state.cells() + old.values, 2, cells + plan->behaviors[j].values);
        }
      } else if (thing.state.behaviors()[i].in_alarm) {
        lost(old, thing.take_alarm(old.key));
      }
    }
    for (const PlanWindow& old : thing.plan->windows) {
      for (const PlanWindow& now : plan->windows) {
        if (now.key != old.key) continue;
        std::copy_n(thing.state.cells() + old.offset, old.buckets + 1, cells + now.offset);
      }
    }
  });
  thing.plan = std::move(plan);
}

static_assert(sizeof(Thing) == 192, "three cache lines: think before a fourth");

// Things by name: an open-addressing index over slots, so that finding one costs one or two cache lines
// whatever their number. Indexes are stable while the thing lives.
class ThingTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  ThingTable() = default;
  ~ThingTable();
  ThingTable(const ThingTable&) = delete;
  ThingTable& operator=(const ThingTable&) = delete;

  uint32_t find(std::string_view name) const;
  // Must not be there. `state_bytes` is what the thing's plan needs: new slots are made for it.
  uint32_t insert(std::string_view name, size_t state_bytes);
  // Fetches the lines that find(), then what the thing's first use, then what its cloud side will need, each
  // for the thing named that many calls ago, so that each finds in the cache what the one before asked for.
  void prefetch(std::string_view name);
  void erase(uint32_t index);
  Thing& at(uint32_t index) { return *reinterpret_cast<Thing*>(chunks_[index / kChunk].slot(index)); }
  const Thing& at(uint32_t index) const {
    return *reinterpret_cast<const Thing*>(chunks_[index / kChunk].slot(index));
  }
  bool used(uint32_t index) const { return !at(index).name.empty(); }
  uint32_t slots() const { return slots_; }  // indexes are below it
  size_t size() const { return size_; }

 private:
  static constexpr uint32_t kChunk = 16'384;  // with a usual plan some huge pages

  // kChunk slots of one size: a Thing, then room for the state of its plan. Constructed up to slots_.
  struct Chunk {
    size_t stride;
    std::vector<std::byte, LargeAllocator<std::byte>> memory;  // reserved only

    explicit Chunk(size_t bytes) : stride(bytes) { memory.reserve(stride * kChunk); }
    std::byte* slot(uint32_t index) { return memory.data() + index % kChunk * stride; }
    const std::byte* slot(uint32_t index) const { return memory.data() + index % kChunk * stride; }
  };

  uint32_t likely_index(uint64_t hash) const;  // by hash alone; kNone
  void construct(uint32_t index);
  // hash >> 32 << 32 | index + 1; 0: free.
  void place(uint64_t hash, uint32_t index);
  void grow();

  std::vector<Chunk> chunks_;
  uint32_t slots_ = 0;
  std::vector<uint32_t> free_;
  std::vector<uint64_t, LargeAllocator<uint64_t>> buckets_;
  size_t size_ = 0;
  std::array<uint64_t, 2> coming_{};  // hashes of the latest calls of prefetch(), the newest first
};

}  // namespace fleetward::detect::internal
