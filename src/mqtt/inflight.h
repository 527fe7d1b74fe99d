#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "mqtt/packet.h"

namespace fleetward::mqtt {

// Outbound QoS 1 and 2 publishes in flight: packet identifier -> cookie. Identifiers are handed out from a
// queue of the ones that came back, so memory follows the most that was ever in flight, and no identifier is
// reused before all others that came back earlier. All operations O(1) but entries(). Nothing is allocated
// until first use.
class InflightWindow {
 public:
  enum class Stage : uint8_t {
    kAwaitsPuback,
    kReserved,  // QoS 2, not sent yet
    kAwaitsPubrec,
    kToRelease,  // the PUBREC came, the PUBREL has not left
    kAwaitsPubcomp,
  };
  struct Entry {
    uint16_t packet_id = 0;
    uint64_t cookie = 0;
    Stage stage = Stage::kAwaitsPuback;
  };

  size_t size() const { return size_; }
  // A free identifier, now in use. Requires size() < 65,535.
  uint16_t take(uint64_t cookie, Stage stage = Stage::kAwaitsPuback);
  // Puts a known identifier in use; false if it is 0 or already in use.
  bool adopt(uint16_t packet_id, uint64_t cookie, Stage stage = Stage::kAwaitsPuback);
  // Nothing if it is not in use.
  std::optional<Entry> find(uint16_t packet_id) const;
  // It must be in use.
  void set_stage(uint16_t packet_id, Stage stage) { slots_[packet_id - 1U].stage = bits_of(stage); }
  // Frees it; nothing if it was not in use.
  std::optional<uint64_t> release(uint16_t packet_id);
  // In the order they were put in use.
  std::vector<Entry> entries() const;

 private:
  struct Slot {
    uint64_t cookie = 0;
    uint64_t order : 61 = 0;  // 0: free
    uint64_t stage : 3 = 0;
  };
  static uint64_t bits_of(Stage stage) { return static_cast<uint64_t>(stage) & 7; }
  void push_free(uint16_t packet_id);

  std::vector<Slot> slots_;     // by packet id - 1
  std::vector<uint16_t> free_;  // ring of freed identifiers
  size_t free_head_ = 0, free_count_ = 0;
  size_t size_ = 0;
  uint64_t next_order_ = 1;
};

// What is to be answered to inbound publishes (PUBACK or PUBREC) and releases (PUBCOMP), in order of their
// arrival. O(1), allocates only to grow.
class AckRing {
 public:
  size_t size() const { return static_cast<size_t>(tail_ - head_); }
  uint64_t head() const { return head_; }  // ticket of the oldest
  // Its ticket. `type`: of the answer. `reason` is what is answered unless mark() knows a worse one.
  uint64_t push(uint16_t packet_id, PacketType type = PacketType::kPuback,
                ReasonCode reason = ReasonCode::kSuccess);
  // False if the ticket is not awaiting. `silent`: nothing is to be answered.
  bool mark(uint64_t ticket, ReasonCode reason, bool silent = false);
  struct Done {
    uint16_t packet_id;
    PacketType type;
    ReasonCode reason;
    bool silent;
  };
  // The oldest, if it is marked: removes it.
  std::optional<Done> pop_marked();

 private:
  struct Item {
    uint16_t packet_id = 0;
    ReasonCode reason = ReasonCode::kSuccess;
    uint8_t type : 4 = 0;
    uint8_t marked : 1 = 0;
    uint8_t silent : 1 = 0;
  };
  void grow();
  Item& at(uint64_t ticket) { return ring_[ticket & (ring_.size() - 1)]; }
  std::vector<Item> ring_;  // power of two
  uint64_t head_ = 0, tail_ = 0;
};

// Packet identifiers of inbound QoS 2 publishes that are not completed: a PUBLISH with one of them is a
// repetition [MQTT-4.3.3-10]. Sorted; clients count upwards, so both ends are where things happen.
class Unreleased {
 public:
  struct Item {
    uint16_t packet_id = 0;
    bool counted = false;    // in the send quota of this connection
    bool releasing = false;  // the PUBREL came, the PUBCOMP has not left
  };
  size_t size() const { return items_.size(); }
  // Null if it is not there. Valid until the next change.
  Item* find(uint16_t packet_id);
  // It must not be there.
  void insert(const Item& item);
  // What was there.
  std::optional<Item> erase(uint16_t packet_id);
  // Those whose PUBREL has not come.
  std::vector<uint16_t> packet_ids() const;

 private:
  std::vector<Item> items_;
};

}  // namespace fleetward::mqtt
