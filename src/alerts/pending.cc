#include "alerts/pending.h"

#include <algorithm>

namespace fleetward::alerts {

void Pending::settle(Lanes::iterator at) {
  auto& [name, lane] = *at;
  std::set<Turn>& turns = lane.limits.shared ? shared_turns_ : own_turns_;
  if (lane.turn) turns.erase({*lane.turn, name});
  lane.turn.reset();
  if (lane.deliveries == 0) {
    lanes_.erase(at);
  } else if (!lane.due.empty() && lane.in_flight < lane.limits.in_flight_max) {
    lane.turn = lane.due.begin()->first;
    turns.emplace(*lane.turn, name);
  }
}

void Pending::add(Delivery delivery, const LaneLimits& limits, Timestamp due) {
  const std::string key = delivery.key;
  const auto [placed, is_new] = deliveries_.try_emplace(key, std::move(delivery));
  if (!is_new) return;
  const auto lane = lanes_.try_emplace(placed->second.destination(), Lane{limits, 0, 0, {}, {}}).first;
  ++lane->second.deliveries;
  if (lane->second.limits.shared) ++shared_;
  lane->second.due.emplace(due.ms, key);
  settle(lane);
}

Delivery* Pending::start_first(std::set<Turn>& turns, Timestamp now) {
  if (turns.empty() || turns.begin()->first > now.ms) return nullptr;
  const auto at = lanes_.find(turns.begin()->second);
  Lane& lane = at->second;
  const std::string key = lane.due.begin()->second;
  lane.due.erase(lane.due.begin());
  ++lane.in_flight;
  if (lane.limits.shared) ++shared_in_flight_;
  settle(at);
  return &deliveries_.at(key);
}

Delivery* Pending::start_next(Timestamp now) {
  if (Delivery* own = start_first(own_turns_, now)) return own;
  if (shared_in_flight_ >= shared_in_flight_max_) return nullptr;
  return start_first(shared_turns_, now);
}

Delivery* Pending::find(const std::string& key) {
  const auto found = deliveries_.find(key);
  return found == deliveries_.end() ? nullptr : &found->second;
}

void Pending::end_attempt(Lane& lane) {
  --lane.in_flight;
  if (lane.limits.shared) --shared_in_flight_;
}

void Pending::retry(const std::string& key, Timestamp due) {
  const auto lane = lanes_.find(deliveries_.at(key).destination());
  end_attempt(lane->second);
  lane->second.due.emplace(due.ms, key);
  settle(lane);
}

void Pending::remove(const std::string& key) {
  const auto found = deliveries_.find(key);
  const auto lane = lanes_.find(found->second.destination());
  end_attempt(lane->second);
  --lane->second.deliveries;
  if (lane->second.limits.shared) --shared_;
  deliveries_.erase(found);
  settle(lane);
}

std::optional<Timestamp> Pending::next_due(Timestamp now) const {
  std::optional<Timestamp> out;
  for (const std::set<Turn>* turns : {&shared_turns_, &own_turns_}) {
    const auto next = turns->lower_bound({now.ms + 1, ""});
    if (next != turns->end() && (!out || next->first < out->ms)) out = Timestamp{next->first};
  }
  return out;
}

size_t Pending::of_destination(const std::string& destination) const {
  const auto lane = lanes_.find(destination);
  return lane == lanes_.end() ? 0 : lane->second.deliveries;
}

}  // namespace fleetward::alerts
