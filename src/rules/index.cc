#include "rules/index.h"

#include <algorithm>

namespace fleetward::rules {
namespace {

constexpr size_t kFilterBytesMax = 256;

// The first level of `rest`, which then starts behind its slash; `last` tells that there was none.
std::string_view take_level(std::string_view& rest, bool& last) {
  const size_t slash = rest.find('/');
  last = slash == std::string_view::npos;
  const std::string_view level = rest.substr(0, slash);
  rest = last ? std::string_view() : rest.substr(slash + 1);
  return level;
}

bool has_wildcard(std::string_view filter) {
  return filter.find_first_of("+#") != std::string_view::npos;
}

}  // namespace

Status check_topic_filter(std::string_view filter) {
  if (filter.empty()) return fail(ErrorCode::kInvalidArgument, "it is empty");
  if (filter.size() > kFilterBytesMax) {
    return fail(ErrorCode::kInvalidArgument,
                "it is longer than " + std::to_string(kFilterBytesMax) + " bytes");
  }
  if (filter.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument, "it holds a null character");
  }
  if (filter.starts_with("$share/")) {
    return fail(ErrorCode::kInvalidArgument, "shared subscriptions have no meaning here");
  }
  std::string_view rest = filter;
  for (bool last = false; !last;) {
    const std::string_view level = take_level(rest, last);
    if (level == "#" && !last) return fail(ErrorCode::kInvalidArgument, "'#' must be the last level");
    if (level != "#" && level != "+" && has_wildcard(level)) {
      return fail(ErrorCode::kInvalidArgument, "'#' and '+' must stand alone in their level");
    }
  }
  return {};
}

bool topic_matches(std::string_view filter, std::string_view topic) {
  if (!topic.empty() && topic[0] == '$' && !filter.empty() && (filter[0] == '+' || filter[0] == '#'))
    return false;
  for (bool filter_last = false, topic_last = false;;) {
    const std::string_view wanted = take_level(filter, filter_last);
    if (wanted == "#") return true;
    const std::string_view level = take_level(topic, topic_last);
    if (wanted == "+" ? level.empty() : wanted != level) return false;
    // The service's '#' does not match the level above it.
    if (filter_last || topic_last) return filter_last && topic_last;
  }
}

// One node of the tree of wildcard filters.
struct RuleIndex::Level {
  TextMap<std::unique_ptr<Level>> children;
  std::unique_ptr<Level> plus;
  std::vector<const Rule*> here;  // the filter ends at this level
  std::vector<const Rule*> hash;  // ... with '#' below it
};

RuleIndex::RuleIndex(const state::Map<Rule>& rules) {
  rules.visit_from({}, [&](const auto& entry) {
    const Rule& rule = *entry.value;
    if (rule.disabled) return true;
    by_name_.emplace(rule.name, entry.value);
    const std::string& filter = rule.plan->topic_filter();
    if (filter.empty()) return true;
    if (!has_wildcard(filter)) {
      exact_[filter].push_back(&rule);
      return true;
    }
    if (!wildcards_) wildcards_ = std::make_unique<Level>();
    Level* at = wildcards_.get();
    std::string_view rest = filter;
    for (bool last = false; !last;) {
      const std::string_view level = take_level(rest, last);
      if (level == "#") {
        at->hash.push_back(&rule);
        return true;
      }
      auto& next = level == "+" ? at->plus : at->children[std::string(level)];
      if (!next) next = std::make_unique<Level>();
      at = next.get();
    }
    at->here.push_back(&rule);
    return true;
  });
}

RuleIndex::~RuleIndex() = default;

// Recursion is as deep as the deepest filter, at most kFilterBytesMax levels.
void RuleIndex::match_level(const Level& level, std::string_view rest, bool first,
                            std::vector<const Rule*>& out) {
  const bool reserved = first && rest.starts_with('$');
  if (!reserved) out.insert(out.end(), level.hash.begin(), level.hash.end());
  bool last = false;
  const std::string_view name = take_level(rest, last);
  const auto descend = [&](const Level& next) {
    if (last) {
      out.insert(out.end(), next.here.begin(), next.here.end());
    } else {
      match_level(next, rest, false, out);
    }
  };
  if (const auto child = level.children.find(name); child != level.children.end()) descend(*child->second);
  if (level.plus && !reserved && !name.empty()) descend(*level.plus);
}

void RuleIndex::match(std::string_view topic, std::vector<const Rule*>& out) const {
  if (!exact_.empty()) {
    if (const auto found = exact_.find(topic); found != exact_.end()) {
      out.insert(out.end(), found->second.begin(), found->second.end());
    }
  }
  if (wildcards_) match_level(*wildcards_, topic, true, out);
}

const Rule* RuleIndex::find_enabled(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second.get();
}

std::optional<BasicIngestTopic> parse_basic_ingest(std::string_view topic) {
  constexpr std::string_view kPrefix = "$aws/rules/";
  if (!topic.starts_with(kPrefix)) return std::nullopt;
  topic.remove_prefix(kPrefix.size());
  const size_t slash = topic.find('/');
  if (slash == 0 || topic.empty()) return std::nullopt;
  if (slash == std::string_view::npos) return BasicIngestTopic{topic, {}};
  return BasicIngestTopic{topic.substr(0, slash), topic.substr(slash + 1)};
}

}  // namespace fleetward::rules
