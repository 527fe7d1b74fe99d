#include "detect/thing_state.h"

#include <algorithm>

#include <xxhash.h>

#include "detect/address_bytes.h"
#include "detect/bytes.h"

namespace fleetward::detect::internal {
namespace {

constexpr uint8_t kStateVersion = 3;
// Beside a behaviour's run of violating data points, in its byte.
constexpr uint8_t kRunMask = 0x3f, kHasValues = 0x40, kContributed = 0x80;
static_assert(kConsecutiveDatapointsMax <= kRunMask);

uint64_t hash_of(std::string_view name) {
  return XXH3_64bits(name.data(), name.size());
}

void put_ms(std::string& out, int64_t ms) {
  bytes::put_varint(out, static_cast<uint64_t>(ms));
}
int64_t ms_in(bytes::Reader& in) {
  return static_cast<int64_t>(in.varint());
}
// A time near another one, mostly before it. Wraps around on bytes that were not written here.
void put_before(std::string& out, int64_t of, int64_t ms) {
  bytes::put_varint(
      out, bytes::zigzag(static_cast<int64_t>(static_cast<uint64_t>(of) - static_cast<uint64_t>(ms))));
}
int64_t before_in(bytes::Reader& in, int64_t of) {
  return static_cast<int64_t>(static_cast<uint64_t>(of) -
                              static_cast<uint64_t>(bytes::unzigzag(in.varint())));
}

void put_messages(const CloudCounters& counters, std::string& out) {
  for (const uint64_t value :
       {counters.messages_sent, counters.messages_received, counters.message_bytes_total,
        counters.message_bytes_min, counters.message_bytes_max, counters.authorization_failures}) {
    bytes::put_varint(out, value);
  }
}

void messages_in(bytes::Reader& in, CloudCounters& counters) {
  for (uint64_t* value :
       {&counters.messages_sent, &counters.messages_received, &counters.message_bytes_total,
        &counters.message_bytes_min, &counters.message_bytes_max, &counters.authorization_failures}) {
    *value = in.varint();
  }
}

void encode_cloud(const CloudState& cloud, std::string& out) {
  put_messages(cloud.all, out);
  bytes::put_varint(out, cloud.connection_attempts);
  bytes::put_varint(out, cloud.disconnects);
  put_ms(out, cloud.last_active_ms);
  put_ms(out, cloud.disconnected_since_ms);
  out.push_back(
      static_cast<char>((cloud.active ? 1 : 0) | (cloud.connected ? 2 : 0) | (cloud.tracked ? 4 : 0)));
  bytes::put_addresses(out, cloud.all.addresses);
  bytes::put_varint(out, cloud.dimensions.size());
  for (const CloudCounters& counters : cloud.dimensions) {
    bytes::put_u64(out, counters.dimension);
    put_messages(counters, out);
    bytes::put_addresses(out, counters.addresses);
  }
}

void decode_cloud(bytes::Reader& in, CloudState& cloud) {
  messages_in(in, cloud.all);
  cloud.connection_attempts = in.varint();
  cloud.disconnects = in.varint();
  cloud.last_active_ms = ms_in(in);
  cloud.disconnected_since_ms = ms_in(in);
  const uint8_t flags = in.u8();
  cloud.active = (flags & 1) != 0;
  cloud.connected = (flags & 2) != 0;
  cloud.tracked = (flags & 4) != 0;
  bytes::read_addresses(in, cloud.all.addresses);
  cloud.dimensions.resize(in.count(15));
  for (CloudCounters& counters : cloud.dimensions) {
    counters.dimension = in.u64();
    messages_in(in, counters);
    bytes::read_addresses(in, counters.addresses);
  }
}

// Whether the state is more than the time of the latest point, which alone changes nothing that follows.
bool is_told(const BehaviorState& state, const PlanBehavior& behavior) {
  if (state.last_point_ms == 0) return false;
  return behavior.values >= 0 || state.in_alarm || state.violating_run > 0 || state.clear_run > 0;
}

void encode_behaviors(const Thing& thing, std::string& out) {
  const size_t all = thing.plan ? thing.plan->behaviors.size() : 0;
  size_t used = 0;
  for (size_t i = 0; i < all; ++i) {
    used += is_told(thing.state.behaviors()[i], thing.plan->behaviors[i]) ? 1 : 0;
  }
  bytes::put_varint(out, used);
  for (size_t i = 0; i < all; ++i) {
    const BehaviorState& state = thing.state.behaviors()[i];
    if (!is_told(state, thing.plan->behaviors[i])) continue;
    bytes::put_u64(out, thing.plan->behaviors[i].key);
    put_before(out, thing.last_event_ms, state.last_point_ms);
    const int32_t values = thing.plan->behaviors[i].values;
    out.push_back(static_cast<char>(state.violating_run | (state.contributed ? kContributed : 0) |
                                    (values >= 0 ? kHasValues : 0)));
    out.push_back(static_cast<char>(state.clear_run));
    if (values < 0) continue;
    bytes::put_varint(out, thing.state.cells()[values]);
    bytes::put_varint(out, thing.state.cells()[values + 1]);
  }
  bytes::put_varint(out, thing.alarms ? thing.alarms->size() : 0);
  if (!thing.alarms) return;
  for (const Alarm& alarm : *thing.alarms) {
    bytes::put_u64(out, alarm.behavior_key);
    put_ms(out, alarm.started_ms);
    bytes::put_u64(out, alarm.violation[0]);
    bytes::put_u64(out, alarm.violation[1]);
  }
}

// Its place in the plan, or that of none: the number of behaviours.
size_t find_behavior(const Thing& thing, uint64_t key) {
  const auto& all = thing.plan->behaviors;
  size_t i = 0;
  while (i < all.size() && all[i].key != key) ++i;
  return i;
}

void decode_behavior(bytes::Reader& in, Thing& thing) {
  const size_t known = find_behavior(thing, in.u64());
  BehaviorState state;
  uint64_t values[2] = {};
  state.last_point_ms = before_in(in, thing.last_event_ms);
  const uint8_t run_and_flags = in.u8();
  state.violating_run = run_and_flags & kRunMask;
  state.contributed = (run_and_flags & kContributed) != 0;
  state.clear_run = in.u8();
  if ((run_and_flags & kHasValues) != 0) {
    values[0] = in.varint();
    values[1] = in.varint();
  }
  if (!in.ok || known == thing.plan->behaviors.size()) return;
  thing.state.behaviors()[known] = state;
  const int32_t at = thing.plan->behaviors[known].values;
  if (at >= 0) std::copy_n(values, 2, thing.state.cells() + at);
}

void decode_behaviors(bytes::Reader& in, Thing& thing) {
  for (size_t left = in.count(11); in.ok && left > 0; --left) decode_behavior(in, thing);
  for (size_t left = in.count(25); in.ok && left > 0; --left) {
    Alarm alarm;
    alarm.behavior_key = in.u64();
    alarm.started_ms = ms_in(in);
    alarm.violation[0] = in.u64();
    alarm.violation[1] = in.u64();
    if (!in.ok) return;
    const size_t known = find_behavior(thing, alarm.behavior_key);
    const bool orphan = known == thing.plan->behaviors.size();
    if (!orphan) thing.state.behaviors()[known].in_alarm = true;
    thing.orphaned = thing.orphaned || orphan;
    thing.open_alarm(alarm);
  }
}

void encode_windows(const Thing& thing, std::string& out) {
  const size_t all = thing.plan ? thing.plan->windows.size() : 0;
  size_t used = 0;
  for (size_t i = 0; i < all; ++i) used += thing.state.cells()[thing.plan->windows[i].offset] != 0 ? 1 : 0;
  bytes::put_varint(out, used);
  for (size_t i = 0; i < all; ++i) {
    const PlanWindow& window = thing.plan->windows[i];
    const uint64_t* cells = thing.state.cells() + window.offset;
    if (cells[0] == 0) continue;
    bytes::put_u64(out, window.key);
    bytes::put_varint(out, window.buckets);
    bytes::put_varint(out, cells[0]);
    uint64_t filled = 0;
    for (uint32_t c = 0; c < window.buckets; ++c) filled |= static_cast<uint64_t>(cells[1 + c] != 0) << c;
    bytes::put_varint(out, filled);
    for (uint32_t c = 0; c < window.buckets; ++c) {
      if (cells[1 + c] != 0) bytes::put_varint(out, cells[1 + c]);
    }
  }
}

void decode_windows(bytes::Reader& in, Thing& thing) {
  for (size_t left = in.count(11); in.ok && left > 0; --left) {
    const uint64_t key = in.u64();
    const uint64_t buckets = in.varint();
    if (buckets > PlanWindow::kRingMax) in.ok = false;
    uint64_t values[PlanWindow::kRingMax + 1] = {in.varint()};
    const uint64_t filled = in.varint();
    if (!in.ok || filled >> buckets != 0) {
      in.ok = false;
      return;
    }
    for (uint64_t c = 0; c < buckets; ++c) {
      if ((filled >> c & 1) != 0) values[1 + c] = in.varint();
    }
    for (const PlanWindow& window : thing.plan->windows) {
      if (window.key != key || window.buckets != buckets) continue;
      std::copy_n(values, buckets + 1, thing.state.cells() + window.offset);
    }
  }
}

}  // namespace

void CloudCounters::add(const MessageCounters& seen, const std::vector<IpAddress>& from) {
  if (seen.messages_sent > 0) {
    message_bytes_min =
        messages_sent == 0 ? seen.message_bytes_min : std::min(message_bytes_min, seen.message_bytes_min);
    message_bytes_max = std::max(message_bytes_max, seen.message_bytes_max);
    message_bytes_total += seen.message_bytes_total;
  }
  messages_sent += seen.messages_sent;
  messages_received += seen.messages_received;
  authorization_failures += seen.authorization_failures;
  for (const IpAddress& address : from) {
    if (addresses.size() >= kAddressesMax) return;
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
      addresses.push_back(address);
    }
  }
}

const CloudCounters& CloudState::of(uint64_t dimension) const {
  if (dimension == 0) return all;
  for (const CloudCounters& counters : dimensions) {
    if (counters.dimension == dimension) return counters;
  }
  static const CloudCounters kNothing;
  return kNothing;
}

void Thing::open_alarm(const Alarm& alarm) {
  if (!alarms) alarms = std::make_unique<std::vector<Alarm>>();
  alarms->push_back(alarm);
}

const Alarm& Thing::alarm(uint64_t behavior_key) const {
  return *std::find_if(alarms->begin(), alarms->end(),
                       [&](const Alarm& alarm) { return alarm.behavior_key == behavior_key; });
}

Alarm Thing::take_alarm(uint64_t behavior_key) {
  const Alarm taken = alarm(behavior_key);
  std::erase_if(*alarms, [&](const Alarm& other) { return other.behavior_key == behavior_key; });
  if (alarms->empty()) alarms.reset();
  return taken;
}

size_t Thing::memory_bytes() const {
  size_t total = sizeof(Thing) + state.room_bytes() + (name.capacity() > 15 ? name.capacity() + 1 : 0);
  if (state.outside()) total += PlanState::bytes_of(*plan);
  if (cloud) {
    total += sizeof(CloudState) + cloud->all.addresses.capacity() * sizeof(IpAddress) +
             cloud->dimensions.capacity() * sizeof(CloudCounters);
    for (const CloudCounters& counters : cloud->dimensions) {
      total += counters.addresses.capacity() * sizeof(IpAddress);
    }
  }
  if (alarms) total += sizeof(*alarms) + alarms->capacity() * sizeof(Alarm);
  return total;
}

void encode_thing(const Thing& thing, std::string& out) {
  out.push_back(static_cast<char>(kStateVersion));
  put_ms(out, thing.last_event_ms);
  put_before(out, thing.last_event_ms, thing.last_report_ms);
  put_before(out, thing.last_event_ms, thing.last_tick_ms);
  bytes::put_varint(out, thing.same_time_reports);
  out.push_back(static_cast<char>(thing.next_report_id));
  int64_t last = 0;
  for (const int64_t id : thing.report_ids) {
    put_before(out, id, last);
    last = id;
  }
  out.push_back(thing.cloud ? 1 : 0);
  if (thing.cloud) encode_cloud(*thing.cloud, out);
  encode_behaviors(thing, out);
  encode_windows(thing, out);
}

Status decode_thing(std::string_view bytes, Thing& thing) {
  bytes::Reader in{bytes};
  if (in.u8() != kStateVersion) return fail(ErrorCode::kCorrupt, "state of a thing of an unknown version");
  thing.last_event_ms = ms_in(in);
  thing.last_report_ms = before_in(in, thing.last_event_ms);
  thing.last_tick_ms = before_in(in, thing.last_event_ms);
  thing.same_time_reports = static_cast<uint32_t>(in.varint());
  thing.next_report_id = in.u8() % Thing::kReportIdsRemembered;
  uint64_t last = 0;
  for (int64_t& id : thing.report_ids) {
    last += static_cast<uint64_t>(bytes::unzigzag(in.varint()));
    id = static_cast<int64_t>(last);
  }
  if (in.u8() != 0) {
    thing.cloud = std::make_unique<CloudState>();
    decode_cloud(in, *thing.cloud);
  }
  decode_behaviors(in, thing);
  decode_windows(in, thing);
  if (!in.ok || !in.rest.empty()) return fail(ErrorCode::kCorrupt, "state of a thing does not parse");
  return {};
}

ThingTable::~ThingTable() {
  for (uint32_t index = 0; index < slots_; ++index) at(index).~Thing();
}

uint32_t ThingTable::find(std::string_view name) const {
  if (buckets_.empty()) return kNone;
  const uint64_t hash = hash_of(name);
  const size_t mask = buckets_.size() - 1;
  for (size_t i = hash & mask; buckets_[i] != 0; i = (i + 1) & mask) {
    if (buckets_[i] >> 32 != hash >> 32) continue;
    const auto index = static_cast<uint32_t>(buckets_[i]) - 1;
    if (at(index).name == name) return index;
  }
  return kNone;
}

uint32_t ThingTable::likely_index(uint64_t hash) const {
  const size_t mask = buckets_.size() - 1;
  for (size_t i = hash & mask; buckets_[i] != 0; i = (i + 1) & mask) {
    if (buckets_[i] >> 32 == hash >> 32) return static_cast<uint32_t>(buckets_[i]) - 1;
  }
  return kNone;
}

void ThingTable::prefetch(std::string_view name) {
  if (buckets_.empty()) return;
  const uint64_t hash = hash_of(name);
  __builtin_prefetch(&buckets_[hash & (buckets_.size() - 1)]);
  if (const uint32_t index = likely_index(coming_[0]); index != kNone) {
    prefetch_lines(&at(index), chunks_[index / kChunk].stride);
  }
  if (const uint32_t index = likely_index(coming_[1]); index != kNone && at(index).cloud) {
    prefetch_lines(at(index).cloud.get(), sizeof(CloudState));
  }
  coming_ = {hash, coming_[0]};
}

uint32_t ThingTable::insert(std::string_view name, size_t state_bytes) {
  if ((size_ + 1) * 4 > buckets_.size() * 3) grow();
  uint32_t index = 0;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else {
    index = slots_;
    if (index % kChunk == 0) chunks_.emplace_back((sizeof(Thing) + state_bytes + 63) / 64 * 64);
    construct(index);
    ++slots_;
  }
  at(index).name = name;
  place(hash_of(name), index);
  ++size_;
  return index;
}

void ThingTable::construct(uint32_t index) {
  Chunk& chunk = chunks_[index / kChunk];
  new (chunk.slot(index)) Thing(chunk.stride - sizeof(Thing));
}

void ThingTable::place(uint64_t hash, uint32_t index) {
  const size_t mask = buckets_.size() - 1;
  size_t i = hash & mask;
  while (buckets_[i] != 0) i = (i + 1) & mask;
  buckets_[i] = (hash >> 32 << 32) | (index + 1);
}

void ThingTable::grow() {
  buckets_.assign(std::max<size_t>(16, buckets_.size() * 2), 0);
  for (uint32_t index = 0; index < slots_; ++index) {
    if (used(index)) place(hash_of(at(index).name), index);
  }
}

void ThingTable::erase(uint32_t index) {
  const size_t mask = buckets_.size() - 1;
  size_t hole = hash_of(at(index).name) & mask;
  while (static_cast<uint32_t>(buckets_[hole]) != index + 1) hole = (hole + 1) & mask;
  // Move later entries of the run back, so that no gap hides them.
  for (size_t i = (hole + 1) & mask; buckets_[i] != 0; i = (i + 1) & mask) {
    const auto other = static_cast<uint32_t>(buckets_[i]) - 1;
    const size_t home = hash_of(at(other).name) & mask;
    if (((i - home) & mask) < ((i - hole) & mask)) continue;
    buckets_[hole] = buckets_[i];
    hole = i;
  }
  buckets_[hole] = 0;
  at(index).~Thing();
  construct(index);
  free_.push_back(index);
  --size_;
}

}  // namespace fleetward::detect::internal
