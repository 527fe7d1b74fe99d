#pragma once

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fleetward::state {

// An ordered map from key to shared value: a tree of three levels (root, nodes, leaves) of small arrays,
// which copies share. A change copies the leaf, the node and the root that it shares, so that with a million
// entries it costs a reader nothing and a writer some hundred pointers; what no copy shares is changed where
// it is, so that of many changes to one map only the first ones pay that. A value type; any number of threads
// may read.
template <typename T>
class Map {
 public:
  using Value = std::shared_ptr<const T>;
  struct Entry {
    std::string key;
    Value value;
  };
  class Builder;

  Map() = default;

  size_t size() const { return size_; }
  // nullptr if absent.
  const T* find(std::string_view key) const {
    const Value* value = find_shared(key);
    return value == nullptr ? nullptr : value->get();
  }
  const Value* find_shared(std::string_view key) const {
    if (!root_) return nullptr;
    const Node& node = *(*root_)[child_index(*root_, key)];
    const Leaf& leaf = *node.leaves[child_index(node.leaves, key)];
    const auto it = lower(leaf, key);
    return it != leaf.entries.end() && it->key == key ? &it->value : nullptr;
  }
  // Calls visit(entry) for the entries with key >= begin, in order, until it answers false.
  template <typename Visit>
  void visit_from(std::string_view begin, Visit&& visit) const {
    if (!root_) return;
    size_t n = child_index(*root_, begin);
    size_t l = child_index((*root_)[n]->leaves, begin);
    auto it = lower(*(*root_)[n]->leaves[l], begin);
    for (;;) {
      const auto& entries = (*root_)[n]->leaves[l]->entries;
      for (; it != entries.end(); ++it) {
        if (!visit(*it)) return;
      }
      if (++l == (*root_)[n]->leaves.size()) {
        if (++n == root_->size()) return;
        l = 0;
      }
      it = (*root_)[n]->leaves[l]->entries.begin();
    }
  }
  // The entries whose key starts with the prefix, in order, until visit answers false.
  template <typename Visit>
  void visit_prefix(std::string_view prefix, Visit&& visit) const {
    visit_from(prefix, [&](const Entry& entry) {
      return std::string_view(entry.key).substr(0, prefix.size()) == prefix && visit(entry);
    });
  }

  // Adds or replaces.
  void set(std::string_view key, Value value) {
    if (!root_) {
      Builder builder;
      builder.add(std::string(key), std::move(value));
      *this = std::move(builder).finish();
      return;
    }
    Root& root = own(root_);
    const size_t n = child_index(root, key);
    Node& node = own(root[n]);
    const size_t l = child_index(node.leaves, key);
    Leaf& leaf = own(node.leaves[l]);
    const auto it = std::lower_bound(leaf.entries.begin(), leaf.entries.end(), key, before);
    if (it != leaf.entries.end() && it->key == key) {
      it->value = std::move(value);
      return;
    }
    leaf.entries.insert(it, Entry{std::string(key), std::move(value)});
    ++size_;
    if (auto right = split(leaf.entries, kLeafEntriesMax); !right.empty()) {
      insert_after(node.leaves, l, std::make_shared<Leaf>(Leaf{std::move(right)}));
    }
    if (auto right = split(node.leaves, kNodeLeavesMax); !right.empty()) {
      insert_after(root, n, std::make_shared<Node>(Node{std::move(right)}));
    }
  }
  // An absent key is fine.
  void erase(std::string_view key) {
    if (find_shared(key) == nullptr) return;
    if (size_ == 1) {
      *this = Map();
      return;
    }
    Root& root = own(root_);
    const size_t n = child_index(root, key);
    Node& node = own(root[n]);
    const size_t l = child_index(node.leaves, key);
    Leaf& leaf = own(node.leaves[l]);
    leaf.entries.erase(std::lower_bound(leaf.entries.begin(), leaf.entries.end(), key, before));
    --size_;
    if (!leaf.entries.empty()) return;
    node.leaves.erase(node.leaves.begin() + static_cast<std::ptrdiff_t>(l));
    if (!node.leaves.empty()) return;
    root.erase(root.begin() + static_cast<std::ptrdiff_t>(n));
  }

 private:
  static constexpr size_t kLeafEntriesMax = 64;
  static constexpr size_t kNodeLeavesMax = 256;
  // Neither leaves nor nodes are ever empty; an empty map has no root.
  struct Leaf {
    std::vector<Entry> entries;
    const std::string& first_key() const { return entries.front().key; }
  };
  struct Node {
    std::vector<std::shared_ptr<const Leaf>> leaves;
    const std::string& first_key() const { return leaves.front()->first_key(); }
  };
  using Root = std::vector<std::shared_ptr<const Node>>;

  Map(Root root, size_t size) : root_(std::make_shared<Root>(std::move(root))), size_(size) {}

  // The part to change: itself if only this map has it, else a copy put in its place. Parts are shared as
  // const but never made const. A part that is not shared lies below none that is, as a copy shares from the
  // root on.
  template <typename Part>
  static Part& own(std::shared_ptr<const Part>& part) {
    if (part.use_count() != 1) part = std::make_shared<Part>(*part);
    return const_cast<Part&>(*part);
  }

  static bool before(const Entry& entry, std::string_view key) { return entry.key < key; }
  static auto lower(const Leaf& leaf, std::string_view key) {
    return std::lower_bound(leaf.entries.begin(), leaf.entries.end(), key, before);
  }
  // The child that holds the key if any does: the last whose first key is not after it, else the first.
  template <typename Children>
  static size_t child_index(const Children& children, std::string_view key) {
    const auto it =
        std::upper_bound(children.begin(), children.end(), key,
                         [](std::string_view k, const auto& child) { return k < child->first_key(); });
    return it == children.begin() ? 0 : static_cast<size_t>(it - children.begin()) - 1;
  }
  // Cuts off and answers the upper half if there are more than `count_max`.
  template <typename Items>
  static Items split(Items& items, size_t count_max) {
    if (items.size() <= count_max) return {};
    const auto middle = items.begin() + static_cast<std::ptrdiff_t>(items.size() / 2);
    Items right(std::make_move_iterator(middle), std::make_move_iterator(items.end()));
    items.erase(middle, items.end());
    return right;
  }
  template <typename Items, typename Item>
  static void insert_after(Items& items, size_t index, Item item) {
    items.insert(items.begin() + static_cast<std::ptrdiff_t>(index) + 1, std::move(item));
  }

  std::shared_ptr<const Root> root_;
  size_t size_ = 0;
};

// Builds a map from entries in ascending order of their keys, in linear time.
template <typename T>
class Map<T>::Builder {
 public:
  // False, and nothing added, if the key is not greater than the one before.
  bool add(std::string key, Value value) {
    if (!leaf_.entries.empty() && !(leaf_.entries.back().key < key)) return false;
    if (leaf_.entries.size() == kFilled) close_leaf();
    leaf_.entries.push_back({std::move(key), std::move(value)});
    ++size_;
    return true;
  }
  Map finish() && {
    if (size_ == 0) return Map();
    close_leaf();
    close_node();
    return Map(std::move(root_), size_);
  }

 private:
  // Leaves are left with room, so that the first changes do not split every one of them.
  static constexpr size_t kFilled = kLeafEntriesMax * 3 / 4;

  void close_leaf() {
    if (leaf_.entries.empty()) return;
    node_.leaves.push_back(std::make_shared<Leaf>(std::exchange(leaf_, {})));
    if (node_.leaves.size() == kNodeLeavesMax * 3 / 4) close_node();
  }
  void close_node() {
    if (!node_.leaves.empty()) root_.push_back(std::make_shared<Node>(std::exchange(node_, {})));
  }

  Leaf leaf_;
  Node node_;
  Root root_;
  size_t size_ = 0;
};

}  // namespace fleetward::state
