#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "mqtt/packet.h"

namespace fleetward::mqtt {

// Outbound QoS 1 publishes in flight: packet identifier -> cookie. Identifiers are handed out from a queue of
// the ones that came back, so memory follows the most that was ever in flight, and no identifier is reused
// before all others that came back earlier. All operations O(1) but entries(). Nothing is allocated until
// first use.
class InflightWindow {
 public:
  struct Entry {
    uint16_t packet_id = 0;
    uint64_t cookie = 0;
  };

  size_t size() const { return size_; }
  // A free identifier, now in use. Requires size() < 65,535.
  uint16_t take(uint64_t cookie);
  // Puts a known identifier in use; false if it is 0 or already in use.
  bool adopt(uint16_t packet_id, uint64_t cookie);
  // Frees it; nothing if it was not in use.
  std::optional<uint64_t> release(uint16_t packet_id);
  // In the order they were put in use.
  std::vector<Entry> entries() const;

 private:
  struct Slot {
    uint64_t cookie = 0;
    uint64_t order = 0;  // 0: free
  };
  void push_free(uint16_t packet_id);

  std::vector<Slot> slots_;     // by packet id - 1
  std::vector<uint16_t> free_;  // ring of freed identifiers
  size_t free_head_ = 0, free_count_ = 0;
  size_t size_ = 0;
  uint64_t next_order_ = 1;
};

// Inbound QoS 1 publishes awaiting their PUBACK, in order of arrival. O(1), allocates only to grow.
class AckRing {
 public:
  size_t size() const { return static_cast<size_t>(tail_ - head_); }
  uint64_t head() const { return head_; }  // ticket of the oldest
  uint64_t push(uint16_t packet_id);       // its ticket
  // False if the ticket is not awaiting.
  bool mark(uint64_t ticket, ReasonCode reason);
  struct Done {
    uint16_t packet_id;
    ReasonCode reason;
  };
  // The oldest, if it is marked: removes it.
  std::optional<Done> pop_marked();

 private:
  struct Item {
    uint16_t packet_id = 0;
    ReasonCode reason = ReasonCode::kSuccess;
    bool marked = false;
  };
  void grow();
  Item& at(uint64_t ticket) { return ring_[ticket & (ring_.size() - 1)]; }
  std::vector<Item> ring_;  // power of two
  uint64_t head_ = 0, tail_ = 0;
};

}  // namespace fleetward::mqtt
