#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fleetward::state {

// An immutable ordered map from key to shared value, in small leaves: a change copies one leaf and the list
// of leaves, so that a million entries cost a reader nothing and a writer little. A value type; any number of
// threads may read.
template <typename T>
class Map {
 public:
  using Value = std::shared_ptr<const T>;
  struct Entry {
    std::string key;
    Value value;
  };

  size_t size() const { return size_; }
  // nullptr if absent.
  const T* find(std::string_view key) const {
    const Value* value = find_shared(key);
    return value == nullptr ? nullptr : value->get();
  }
  const Value* find_shared(std::string_view key) const {
    if (!leaves_ || leaves_->empty()) return nullptr;
    const Leaf& leaf = *(*leaves_)[leaf_index(key)];
    const auto it = lower(leaf, key);
    return it != leaf.end() && it->key == key ? &it->value : nullptr;
  }
  // Calls visit(entry) for the entries with key >= begin, in order, until it answers false.
  template <typename Visit>
  void visit_from(std::string_view begin, Visit&& visit) const {
    if (!leaves_ || leaves_->empty()) return;
    for (size_t i = leaf_index(begin); i < leaves_->size(); ++i) {
      const Leaf& leaf = *(*leaves_)[i];
      for (auto it = lower(leaf, begin); it != leaf.end(); ++it) {
        if (!visit(*it)) return;
      }
    }
  }
  // The entries whose key starts with the prefix, in order, until visit answers false.
  template <typename Visit>
  void visit_prefix(std::string_view prefix, Visit&& visit) const {
    visit_from(prefix, [&](const Entry& entry) {
      return std::string_view(entry.key).substr(0, prefix.size()) == prefix && visit(entry);
    });
  }

  [[nodiscard]] Map with(std::string_view key, Value value) const {
    Map out = *this;
    Leaves leaves = leaves_ ? *leaves_ : Leaves{};
    if (leaves.empty()) leaves.push_back(std::make_shared<const Leaf>());
    const size_t index = leaves_ && !leaves_->empty() ? leaf_index(key) : 0;
    Leaf leaf = *leaves[index];
    const auto it = std::lower_bound(leaf.begin(), leaf.end(), key, before);
    if (it != leaf.end() && it->key == key) {
      it->value = std::move(value);
    } else {
      leaf.insert(it, Entry{std::string(key), std::move(value)});
      ++out.size_;
    }
    if (leaf.size() > kLeafEntriesMax) {
      const auto middle = leaf.begin() + static_cast<std::ptrdiff_t>(leaf.size() / 2);
      leaves.insert(
          leaves.begin() + static_cast<std::ptrdiff_t>(index) + 1,
          std::make_shared<const Leaf>(std::make_move_iterator(middle), std::make_move_iterator(leaf.end())));
      leaf.erase(middle, leaf.end());
    }
    leaves[index] = std::make_shared<const Leaf>(std::move(leaf));
    out.leaves_ = std::make_shared<const Leaves>(std::move(leaves));
    return out;
  }

  [[nodiscard]] Map without(std::string_view key) const {
    if (find_shared(key) == nullptr) return *this;
    Map out = *this;
    Leaves leaves = *leaves_;
    const size_t index = leaf_index(key);
    Leaf leaf = *leaves[index];
    leaf.erase(std::lower_bound(leaf.begin(), leaf.end(), key, before));
    if (leaf.empty()) {
      leaves.erase(leaves.begin() + static_cast<std::ptrdiff_t>(index));
    } else {
      leaves[index] = std::make_shared<const Leaf>(std::move(leaf));
    }
    --out.size_;
    out.leaves_ = std::make_shared<const Leaves>(std::move(leaves));
    return out;
  }

 private:
  static constexpr size_t kLeafEntriesMax = 256;
  using Leaf = std::vector<Entry>;
  using Leaves = std::vector<std::shared_ptr<const Leaf>>;

  static bool before(const Entry& entry, std::string_view key) { return entry.key < key; }
  static auto lower(const Leaf& leaf, std::string_view key) {
    return std::lower_bound(leaf.begin(), leaf.end(), key, before);
  }
  // The leaf that holds the key if any does: the last whose first key is not after it. Needs at least one
  // leaf.
  size_t leaf_index(std::string_view key) const {
    const auto it =
        std::upper_bound(leaves_->begin(), leaves_->end(), key,
                         [](std::string_view k, const auto& leaf) { return k < leaf->front().key; });
    return it == leaves_->begin() ? 0 : static_cast<size_t>(it - leaves_->begin()) - 1;
  }

  std::shared_ptr<const Leaves> leaves_;
  size_t size_ = 0;
};

}  // namespace fleetward::state
