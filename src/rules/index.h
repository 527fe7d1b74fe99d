#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rules/rule.h"
#include "state/map.h"

namespace fleetward::rules {

// The topic filter of a FROM clause: levels parted by '/', '+' whole level, '#' last. kInvalidArgument with
// the reason.
Status check_topic_filter(std::string_view filter);
// [MQTT-4.7]: wildcards at the first level do not match topics that start with '$'.
bool topic_matches(std::string_view filter, std::string_view topic);

// Which rules a topic runs; built once per snapshot of the rules and shared, immutable.
class RuleIndex {
 public:
  explicit RuleIndex(const state::Map<Rule>& rules);
  ~RuleIndex();

  bool empty() const { return by_name_.empty(); }
  // Appends the enabled rules whose FROM matches, in no given order. No allocation if none does.
  void match(std::string_view topic, std::vector<const Rule*>& out) const;
  // The enabled rule of this name, whatever its FROM (Basic Ingest); nullptr if none.
  const Rule* find_enabled(std::string_view name) const;

 private:
  struct Level;
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <typename T>
  using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

  static void match_level(const Level& level, std::string_view rest, bool first,
                          std::vector<const Rule*>& out);

  TextMap<std::shared_ptr<const Rule>> by_name_;
  TextMap<std::vector<const Rule*>> exact_;  // filters without wildcards
  std::unique_ptr<Level> wildcards_;         // null if no rule has a wildcard
};

// "$aws/rules/<rule>[/<rest>]": the parts, or nullopt if the topic is no Basic Ingest topic.
struct BasicIngestTopic {
  std::string_view rule;
  std::string_view rest;
};
std::optional<BasicIngestTopic> parse_basic_ingest(std::string_view topic);

}  // namespace fleetward::rules
