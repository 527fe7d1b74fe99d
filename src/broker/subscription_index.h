#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "broker/level_table.h"
#include "mqtt/topic.h"

namespace fleetward::broker {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

// Filter -> values, found by topic: filters without wildcards as a whole, the others as a tree of levels.
// Pure; one thread. Matching visits at most 2^levels nodes, and topics are bounded to a few levels
// (Options::topic_slashes_max). Filters are valid and without `$share`.
template <typename Value>
class SubscriptionIndex {
 public:
  using Values = typename LevelTable<Value>::Values;

  explicit SubscriptionIndex(const mqtt::MatchOptions& options = {})
      : options_(options), exact_(table_.add_root()), root_(table_.add_root()) {}

  // The values of a filter, made if it is not there; the caller adds and removes. Call prune() when it has
  // become empty.
  Values& at(std::string_view filter) {
    if (!mqtt::has_wildcard(filter)) return table_[table_.child(exact_, filter)].values;
    Id id = root_;
    for (mqtt::Levels levels(filter); !levels.done(); levels.next()) id = table_.child(id, levels.level());
    return table_[id].values;
  }
  // nullptr if absent.
  Values* find(std::string_view filter) {
    const Id id = id_of(filter);
    return id == 0 ? nullptr : &table_[id].values;
  }
  // Frees what an empty filter holds.
  void prune(std::string_view filter) {
    if (const Id id = id_of(filter); id != 0) table_.prune(id);
  }

  bool empty() const { return table_[exact_].children == 0 && table_[root_].children == 0; }

  // visit(const Value&) for every value of every filter that matches.
  template <typename Visit>
  void match(std::string_view topic, Visit&& visit) const {
    if (table_[exact_].children > 0) {
      if (const Id id = table_.find(exact_, topic); id != 0) visit_all(id, visit);
    }
    if (table_[root_].children == 0) return;
    // [MQTT-4.7.2-1]: a wildcard in the first level does not match a topic that starts with '$'.
    walk(root_, mqtt::Levels(topic), topic.empty() || topic.front() != '$', visit);
  }

 private:
  using Id = typename LevelTable<Value>::Id;
  using Node = typename LevelTable<Value>::Node;

  Id id_of(std::string_view filter) const {
    if (!mqtt::has_wildcard(filter)) return table_.find(exact_, filter);
    Id id = root_;
    for (mqtt::Levels levels(filter); id != 0 && !levels.done(); levels.next()) {
      id = table_.find(id, levels.level());
    }
    return id;
  }

  template <typename Visit>
  void visit_all(Id id, Visit& visit) const {
    for (const Value& value : table_[id].values) visit(value);
  }

  // `id` stands for the levels before `levels`, of which at least one remains.
  template <typename Visit>
  void walk(Id id, mqtt::Levels levels, bool wildcards, Visit& visit) const {
    const Node& node = table_[id];
    if (wildcards && node.hash != 0) visit_all(node.hash, visit);
    const std::string_view level = levels.level();
    const bool last = levels.last();
    if (wildcards && node.plus != 0 && (options_.plus_matches_empty || !level.empty())) {
      step(node.plus, levels, last, visit);
    }
    if (node.children > (node.plus != 0 ? 1U : 0U) + (node.hash != 0 ? 1U : 0U)) {
      if (const Id found = table_.find(id, level); found != 0) step(found, levels, last, visit);
    }
  }
  template <typename Visit>
  void step(Id id, mqtt::Levels levels, bool last, Visit& visit) const {
    if (!last) {
      levels.next();
      walk(id, levels, true, visit);
      return;
    }
    visit_all(id, visit);
    if (const Id hash = table_[id].hash; options_.hash_matches_parent && hash != 0) visit_all(hash, visit);
  }

  const mqtt::MatchOptions options_;
  LevelTable<Value> table_;
  const Id exact_, root_;
};

}  // namespace fleetward::broker
