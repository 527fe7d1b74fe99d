#include "mqtt/inflight.h"

#include <algorithm>

namespace fleetward::mqtt {

uint16_t InflightWindow::take(uint64_t cookie) {
  uint16_t packet_id = 0;
  if (free_count_ > 0) {
    packet_id = free_[free_head_];
    free_head_ = (free_head_ + 1) % free_.size();
    --free_count_;
  } else {
    slots_.emplace_back();
    packet_id = static_cast<uint16_t>(slots_.size());
  }
  slots_[packet_id - 1U] = {cookie, next_order_++};
  ++size_;
  return packet_id;
}

void InflightWindow::push_free(uint16_t packet_id) {
  if (free_count_ == free_.size()) {
    std::rotate(free_.begin(), free_.begin() + static_cast<ptrdiff_t>(free_head_), free_.end());
    free_head_ = 0;
    free_.resize(std::max<size_t>(8, free_.size() * 2));
  }
  free_[(free_head_ + free_count_++) % free_.size()] = packet_id;
}

bool InflightWindow::adopt(uint16_t packet_id, uint64_t cookie) {
  if (packet_id == 0) return false;
  while (slots_.size() < packet_id) {
    slots_.emplace_back();
    push_free(static_cast<uint16_t>(slots_.size()));
  }
  if (slots_[packet_id - 1U].order != 0) return false;
  // It waits among the free ones: take it out, keeping their order. Only after a reconnect, so linear is
  // fine.
  std::rotate(free_.begin(), free_.begin() + static_cast<ptrdiff_t>(free_head_), free_.end());
  free_head_ = 0;
  const auto end = free_.begin() + static_cast<ptrdiff_t>(free_count_);
  std::move(std::find(free_.begin(), end, packet_id) + 1, end, std::find(free_.begin(), end, packet_id));
  --free_count_;
  slots_[packet_id - 1U] = {cookie, next_order_++};
  ++size_;
  return true;
}

std::optional<uint64_t> InflightWindow::release(uint16_t packet_id) {
  if (packet_id == 0 || packet_id > slots_.size()) return std::nullopt;
  Slot& slot = slots_[packet_id - 1U];
  if (slot.order == 0) return std::nullopt;
  slot.order = 0;
  --size_;
  push_free(packet_id);
  return slot.cookie;
}

std::vector<InflightWindow::Entry> InflightWindow::entries() const {
  std::vector<Entry> found;
  found.reserve(size_);
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].order != 0) found.push_back({static_cast<uint16_t>(i + 1), slots_[i].cookie});
  }
  std::sort(found.begin(), found.end(), [&](const Entry& a, const Entry& b) {
    return slots_[a.packet_id - 1U].order < slots_[b.packet_id - 1U].order;
  });
  return found;
}

uint64_t AckRing::push(uint16_t packet_id) {
  if (size() == ring_.size()) grow();
  at(tail_) = {packet_id, ReasonCode::kSuccess, false};
  return tail_++;
}

void AckRing::grow() {
  std::vector<Item> larger(std::max<size_t>(8, ring_.size() * 2));
  for (uint64_t t = head_; t != tail_; ++t) larger[t & (larger.size() - 1)] = at(t);
  ring_ = std::move(larger);
}

bool AckRing::mark(uint64_t ticket, ReasonCode reason) {
  if (ticket < head_ || ticket >= tail_) return false;
  Item& item = at(ticket);
  if (item.marked) return false;
  item.reason = reason;
  item.marked = true;
  return true;
}

std::optional<AckRing::Done> AckRing::pop_marked() {
  if (head_ == tail_ || !at(head_).marked) return std::nullopt;
  const Item& item = at(head_++);
  return Done{item.packet_id, item.reason};
}

}  // namespace fleetward::mqtt
