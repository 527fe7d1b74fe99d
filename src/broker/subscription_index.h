#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include <boost/container/small_vector.hpp>

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

  // visit(const Value&) for every value of every filter that matches. All branches go down a level together,
  // so that the memory of one arrives while that of the others is on its way.
  template <typename Visit>
  void match(std::string_view topic, Visit&& visit) const {
    auto whole = table_.start(exact_, table_.hash_text(topic));
    Ids branches{root_};
    Ids found;
    // [MQTT-4.7.2-1]: a wildcard in the first level does not match a topic that starts with '$'.
    bool wildcards = topic.empty() || topic.front() != '$';
    for (mqtt::Levels levels(topic); !levels.done() && !branches.empty(); levels.next()) {
      descend(branches, levels.level(), wildcards, found);
      wildcards = true;
    }
    table_.look(whole);
    for (const Id id : branches) {
      found.push_back(id);
      if (const Id hash = table_[id].hash; options_.hash_matches_parent && hash != 0) found.push_back(hash);
    }
    if (const Id id = table_.finish(whole, topic); id != 0) visit_all(id, visit);
    for (const Id id : found) visit_all(id, visit);
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

  using Ids = boost::container::small_vector<Id, 16>;
  using Steps = boost::container::small_vector<typename LevelTable<Value>::Step, 16>;

  // `branches`: the nodes that stand for the levels before `level`; then those that stand for it too. "#"
  // matches the level and all that follow: those go to `found`.
  void descend(Ids& branches, std::string_view level, bool wildcards, Ids& found) const {
    const uint64_t level_hash = table_.hash_text(level);
    const bool plus = wildcards && (options_.plus_matches_empty || !level.empty());
    Ids next;
    Steps steps;
    for (const Id id : branches) {
      const Node& node = table_[id];
      if (wildcards && node.hash != 0) {
        table_.prefetch(node.hash);
        found.push_back(node.hash);
      }
      if (plus && node.plus != 0) {
        table_.prefetch(node.plus);
        next.push_back(node.plus);
      }
      if (node.children > (node.plus != 0 ? 1U : 0U) + (node.hash != 0 ? 1U : 0U)) {
        steps.push_back(table_.start(id, level_hash));
      }
    }
    for (auto& step : steps) table_.look(step);
    for (auto& step : steps) {
      if (const Id id = table_.finish(step, level); id != 0) next.push_back(id);
    }
    branches.swap(next);
  }

  const mqtt::MatchOptions options_;
  LevelTable<Value> table_;
  const Id exact_, root_;
};

}  // namespace fleetward::broker
