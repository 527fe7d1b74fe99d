#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mqtt/topic.h"

namespace fleetward::broker {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

// Filter -> values, found by topic: filters without wildcards in a hash table, the others in a trie of
// levels. Pure; one thread. Matching visits at most 2^levels nodes, and topics are bounded to a few levels
// (Options::topic_slashes_max). Filters are valid and without `$share`.
template <typename Value>
class SubscriptionIndex {
 public:
  explicit SubscriptionIndex(const mqtt::MatchOptions& options = {}) : options_(options) {}

  // The values of a filter, made if it is not there; the caller adds and removes. Call prune() when it has
  // become empty.
  std::vector<Value>& at(std::string_view filter) {
    if (!mqtt::has_wildcard(filter)) {
      const auto it = exact_.find(filter);
      return it != exact_.end() ? it->second
                                : exact_.emplace(std::string(filter), std::vector<Value>{}).first->second;
    }
    Node* node = &root_;
    for (mqtt::Levels levels(filter); !levels.done(); levels.next()) {
      if (levels.level() == "#") return node->hash;
      node = &child(*node, levels.level());
    }
    return node->here;
  }
  // nullptr if absent.
  std::vector<Value>* find(std::string_view filter) {
    if (!mqtt::has_wildcard(filter)) {
      const auto it = exact_.find(filter);
      return it == exact_.end() ? nullptr : &it->second;
    }
    Node* node = &root_;
    for (mqtt::Levels levels(filter); !levels.done(); levels.next()) {
      if (levels.level() == "#") return &node->hash;
      if (levels.level() == "+") {
        node = node->plus.get();
      } else {
        const auto it = node->children.find(levels.level());
        node = it == node->children.end() ? nullptr : it->second.get();
      }
      if (node == nullptr) return nullptr;
    }
    return &node->here;
  }
  // Frees what an empty filter holds.
  void prune(std::string_view filter) {
    if (!mqtt::has_wildcard(filter)) {
      const auto it = exact_.find(filter);
      if (it != exact_.end() && it->second.empty()) exact_.erase(it);
      return;
    }
    prune(root_, mqtt::Levels(filter));
  }

  bool empty() const { return exact_.empty() && root_.empty(); }

  // visit(const Value&) for every value of every filter that matches.
  template <typename Visit>
  void match(std::string_view topic, Visit&& visit) const {
    if (!exact_.empty()) {
      const auto it = exact_.find(topic);
      if (it != exact_.end()) {
        for (const Value& value : it->second) visit(value);
      }
    }
    if (root_.empty()) return;
    // [MQTT-4.7.2-1]: a wildcard in the first level does not match a topic that starts with '$'.
    walk(root_, mqtt::Levels(topic), topic.empty() || topic.front() != '$', visit);
  }

 private:
  struct Node {
    std::vector<Value> here, hash;
    std::unique_ptr<Node> plus;
    TextMap<std::unique_ptr<Node>> children;
    bool empty() const { return here.empty() && hash.empty() && !plus && children.empty(); }
  };

  static Node& child(Node& node, std::string_view level) {
    if (level == "+") {
      if (!node.plus) node.plus = std::make_unique<Node>();
      return *node.plus;
    }
    const auto it = node.children.find(level);
    if (it != node.children.end()) return *it->second;
    return *node.children.emplace(std::string(level), std::make_unique<Node>()).first->second;
  }

  static void prune(Node& node, mqtt::Levels levels) {
    if (levels.done() || levels.level() == "#") return;
    const std::string_view level = levels.level();
    if (level == "+") {
      if (!node.plus) return;
      levels.next();
      prune(*node.plus, levels);
      if (node.plus->empty()) node.plus.reset();
      return;
    }
    const auto it = node.children.find(level);
    if (it == node.children.end()) return;
    levels.next();
    prune(*it->second, levels);
    if (it->second->empty()) node.children.erase(it);
  }

  template <typename Visit>
  static void visit_all(const std::vector<Value>& values, Visit&& visit) {
    for (const Value& value : values) visit(value);
  }

  // `node` stands for the levels before `levels`, of which at least one remains.
  template <typename Visit>
  void walk(const Node& node, mqtt::Levels levels, bool wildcards, Visit& visit) const {
    if (wildcards) visit_all(node.hash, visit);
    const std::string_view level = levels.level();
    const bool last = levels.last();
    if (wildcards && node.plus && (options_.plus_matches_empty || !level.empty())) {
      step(*node.plus, levels, last, visit);
    }
    if (!node.children.empty()) {
      const auto it = node.children.find(level);
      if (it != node.children.end()) step(*it->second, levels, last, visit);
    }
  }
  template <typename Visit>
  void step(const Node& node, mqtt::Levels levels, bool last, Visit& visit) const {
    if (!last) {
      levels.next();
      walk(node, levels, true, visit);
      return;
    }
    visit_all(node.here, visit);
    if (options_.hash_matches_parent) visit_all(node.hash, visit);
  }

  const mqtt::MatchOptions options_;
  TextMap<std::vector<Value>> exact_;
  Node root_;
};

}  // namespace fleetward::broker
