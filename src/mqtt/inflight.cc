#include "mqtt/inflight.h"

#include <algorithm>

namespace fleetward::mqtt {

uint16_t InflightWindow::take(uint64_t cookie, Stage stage) {
  uint16_t packet_id = 0;
  if (free_count_ > 0) {
    packet_id = free_[free_head_];
    free_head_ = (free_head_ + 1) % free_.size();
    --free_count_;
  } else {
    slots_.emplace_back();
    packet_id = static_cast<uint16_t>(slots_.size());
  }
  slots_[packet_id - 1U] = {cookie, next_order_++, bits_of(stage)};
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

bool InflightWindow::adopt(uint16_t packet_id, uint64_t cookie, Stage stage) {
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
  slots_[packet_id - 1U] = {cookie, next_order_++, bits_of(stage)};
  ++size_;
  return true;
}

std::optional<InflightWindow::Entry> InflightWindow::find(uint16_t packet_id) const {
  if (packet_id == 0 || packet_id > slots_.size()) return std::nullopt;
  const Slot& slot = slots_[packet_id - 1U];
  if (slot.order == 0) return std::nullopt;
  return Entry{packet_id, slot.cookie, static_cast<Stage>(slot.stage)};
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
    if (slots_[i].order == 0) continue;
    found.push_back({static_cast<uint16_t>(i + 1), slots_[i].cookie, static_cast<Stage>(slots_[i].stage)});
  }
  std::sort(found.begin(), found.end(), [&](const Entry& a, const Entry& b) {
    return slots_[a.packet_id - 1U].order < slots_[b.packet_id - 1U].order;
  });
  return found;
}

uint64_t AckRing::push(uint16_t packet_id, PacketType type, ReasonCode reason) {
  if (size() == ring_.size()) grow();
  at(tail_) = {packet_id, reason, static_cast<uint8_t>(static_cast<unsigned>(type) & 0xF), 0, 0};
  return tail_++;
}

void AckRing::grow() {
  std::vector<Item> larger(std::max<size_t>(8, ring_.size() * 2));
  for (uint64_t t = head_; t != tail_; ++t) larger[t & (larger.size() - 1)] = at(t);
  ring_ = std::move(larger);
}

bool AckRing::mark(uint64_t ticket, ReasonCode reason, bool silent) {
  if (ticket < head_ || ticket >= tail_) return false;
  Item& item = at(ticket);
  if (item.marked) return false;
  if (reason != ReasonCode::kSuccess) item.reason = reason;
  item.marked = 1;
  item.silent = silent ? 1 : 0;
  return true;
}

std::optional<AckRing::Done> AckRing::pop_marked() {
  if (head_ == tail_ || !at(head_).marked) return std::nullopt;
  const Item& item = at(head_++);
  return Done{item.packet_id, static_cast<PacketType>(item.type), item.reason, item.silent != 0};
}

namespace {

bool before(const Unreleased::Item& item, uint16_t packet_id) {
  return item.packet_id < packet_id;
}

}  // namespace

Unreleased::Item* Unreleased::find(uint16_t packet_id) {
  const auto it = std::lower_bound(items_.begin(), items_.end(), packet_id, before);
  return it != items_.end() && it->packet_id == packet_id ? &*it : nullptr;
}

void Unreleased::insert(const Item& item) {
  items_.insert(std::lower_bound(items_.begin(), items_.end(), item.packet_id, before), item);
}

std::optional<Unreleased::Item> Unreleased::erase(uint16_t packet_id) {
  const Item* found = find(packet_id);
  if (found == nullptr) return std::nullopt;
  const Item item = *found;
  items_.erase(items_.begin() + (found - items_.data()));
  return item;
}

std::vector<uint16_t> Unreleased::packet_ids() const {
  std::vector<uint16_t> out;
  for (const Item& item : items_) {
    if (!item.releasing) out.push_back(item.packet_id);
  }
  return out;
}

}  // namespace fleetward::mqtt
