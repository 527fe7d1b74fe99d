#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/container/deque.hpp>
#include <boost/container/small_vector.hpp>

#include "broker/huge_pages.h"

namespace fleetward::broker {

// A tree whose nodes are found by (parent, text): one open-addressed table for all edges and the nodes in
// blocks, so that a step down touches two cache lines, the edge's slot and the node, one after the other. Who
// has several steps to make asks for the lines of all before it needs those of the first (start, look,
// finish). A node keeps its value inline if there is one. Pure; one thread. References to nodes stay valid
// until the node is erased.
template <typename Value>
class LevelTable {
 public:
  using Id = uint32_t;  // of a node; 0: none
  using Values = boost::container::small_vector<Value, 1>;
  struct Node {
    std::string text;
    Id parent = 0;
    uint32_t children = 0;
    Id plus = 0, hash = 0;  // the children "+" and "#"
    Values values;
  };

  Node& operator[](Id id) { return nodes_[id]; }
  const Node& operator[](Id id) const { return nodes_[id]; }

  // A node without a parent, never erased.
  Id add_root() { return make(0, {}); }

  Id find(Id parent, std::string_view text) const {
    Step step = start(parent, hash_text(text));
    look(step);
    return finish(step, text);
  }

  // A search under way.
  struct Step {
    Id parent = 0;
    uint32_t hash = 0;
    size_t at = 0;  // the slot to look at
    Id found = 0;   // whose hash is right
  };
  static uint64_t hash_text(std::string_view text) { return std::hash<std::string_view>()(text); }
  // Asks for the slot's cache line.
  Step start(Id parent, uint64_t text_hash) const {
    Step step{parent, edge_hash(parent, text_hash), 0, 0};
    if (slots_.empty()) return step;
    step.at = step.hash & mask();
    __builtin_prefetch(&slots_[step.at]);
    return step;
  }
  // Reads the slot and asks for the node's.
  void look(Step& step) const {
    if (slots_.empty()) return;
    while (slots_[step.at].id != 0 && slots_[step.at].hash != step.hash) step.at = (step.at + 1) & mask();
    step.found = slots_[step.at].id;
    prefetch(step.found);
  }
  // The child, or 0.
  Id finish(Step& step, std::string_view text) const {
    while (step.found != 0) {
      const Node& node = nodes_[step.found];
      if (node.parent == step.parent && node.text == text) return step.found;
      step.at = (step.at + 1) & mask();
      look(step);
    }
    return 0;
  }
  void prefetch(Id id) const {
    if (id == 0) return;
    __builtin_prefetch(&nodes_[id]);
    __builtin_prefetch(reinterpret_cast<const char*>(&nodes_[id] + 1) - 1);
  }
  // Made if it is not there.
  Id child(Id parent, std::string_view text) {
    if (const Id found = find(parent, text); found != 0) return found;
    if ((used_ + 1) * 2 > slots_.size()) grow();
    const Id id = make(parent, text);
    insert({hash_of(parent, text), id});
    ++nodes_[parent].children;
    if (text == "+") nodes_[parent].plus = id;
    if (text == "#") nodes_[parent].hash = id;
    return id;
  }
  // Erases the node if it has neither values nor children, then its parent for the same reason, and so on.
  void prune(Id id) {
    while (nodes_[id].parent != 0 && nodes_[id].values.empty() && nodes_[id].children == 0) {
      Node& node = nodes_[id];
      const Id parent = node.parent;
      Node& above = nodes_[parent];
      if (above.plus == id) above.plus = 0;
      if (above.hash == id) above.hash = 0;
      --above.children;
      remove(hash_of(parent, node.text), id);
      node = Node{};
      free_.push_back(id);
      id = parent;
    }
  }

 private:
  struct Slot {
    uint32_t hash = 0;
    Id id = 0;
  };
  using Blocks = boost::container::deque_options_t<boost::container::block_size<65536>>;

  static uint32_t hash_of(Id parent, std::string_view text) { return edge_hash(parent, hash_text(text)); }
  static uint32_t edge_hash(Id parent, uint64_t text_hash) {
    uint64_t hash = text_hash + parent * 0x9E37'79B9'7F4A'7C15U;
    hash = (hash ^ (hash >> 32U)) * 0xD6E8'FEB8'6659'FD93U;
    return static_cast<uint32_t>(hash >> 32U);
  }
  size_t mask() const { return slots_.size() - 1; }

  Id make(Id parent, std::string_view text) {
    if (nodes_.empty()) nodes_.emplace_back();  // 0 stands for none
    Id id = static_cast<Id>(nodes_.size());
    if (free_.empty()) {
      nodes_.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
    }
    nodes_[id].parent = parent;
    nodes_[id].text.assign(text);
    return id;
  }
  void insert(Slot slot) {
    size_t at = slot.hash & mask();
    while (slots_[at].id != 0) at = (at + 1) & mask();
    slots_[at] = slot;
    ++used_;
  }
  // Moves up what follows, so that no search stops at the gap.
  void remove(uint32_t hash, Id id) {
    size_t gap = hash & mask();
    while (slots_[gap].id != id) gap = (gap + 1) & mask();
    for (size_t at = (gap + 1) & mask(); slots_[at].id != 0; at = (at + 1) & mask()) {
      const size_t home = slots_[at].hash & mask();
      if (((at - home) & mask()) < ((at - gap) & mask())) continue;
      slots_[gap] = slots_[at];
      gap = at;
    }
    slots_[gap] = {};
    --used_;
  }
  void grow() {
    std::vector<Slot, HugePages<Slot>> old(std::max<size_t>(16, slots_.size() * 2));
    old.swap(slots_);
    used_ = 0;
    for (const Slot& slot : old) {
      if (slot.id != 0) insert(slot);
    }
  }

  std::vector<Slot, HugePages<Slot>> slots_;  // a power of two of them, at most half used
  size_t used_ = 0;
  boost::container::deque<Node, HugePages<Node>, Blocks> nodes_;
  std::vector<Id> free_;
};

}  // namespace fleetward::broker
