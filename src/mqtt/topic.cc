#include "mqtt/topic.h"

#include <algorithm>

namespace fleetward::mqtt {
namespace {

constexpr std::string_view kSharePrefix = "$share/";
constexpr std::string_view kBasicIngestPrefix = "$aws/rules/";

TopicFault check_size(std::string_view text, const TopicLimits& limits) {
  if (text.size() > limits.bytes_max) return TopicFault::kTooLong;
  if (level_count(text) > limits.levels_max) return TopicFault::kTooDeep;
  return TopicFault::kNone;
}

// The part of a name or filter that the limits are about.
std::string_view counted_part(std::string_view text, const TopicLimits& limits) {
  if (!limits.exempt_prefixes) return text;
  if (const auto ingest = parse_basic_ingest(text)) return ingest->topic;
  return text;
}

TopicFault check_wildcards(std::string_view filter) {
  for (Levels levels(filter); !levels.done(); levels.next()) {
    const std::string_view level = levels.level();
    if (level.find('#') != std::string_view::npos && (level.size() != 1 || !levels.last()))
      return TopicFault::kBadHash;
    if (level.find('+') != std::string_view::npos && level.size() != 1) return TopicFault::kBadPlus;
  }
  return TopicFault::kNone;
}

}  // namespace

std::string_view to_string(TopicFault fault) {
  switch (fault) {
    case TopicFault::kNone:
      return "valid";
    case TopicFault::kEmpty:
      return "it must have at least one character [MQTT-4.7.3-1]";
    case TopicFault::kTooLong:
      return "it is longer than this server allows";
    case TopicFault::kTooDeep:
      return "it has more levels than this server allows";
    case TopicFault::kWildcard:
      return "a topic name must not hold wildcards [MQTT-3.3.2-2]";
    case TopicFault::kBadHash:
      return "'#' must be the last level, alone [MQTT-4.7.1-1]";
    case TopicFault::kBadPlus:
      return "'+' must be alone in its level [MQTT-4.7.1-2]";
    case TopicFault::kBadShare:
      return "$share/<group>/<filter> needs a group without wildcards and a filter [MQTT-4.8.2-1]";
  }
  return "invalid";
}

TopicFault check_topic_name(std::string_view topic, const TopicLimits& limits) {
  if (topic.empty()) return TopicFault::kEmpty;
  if (has_wildcard(topic)) return TopicFault::kWildcard;
  return check_size(counted_part(topic, limits), limits);
}

TopicFault check_topic_filter(std::string_view filter, const TopicLimits& limits) {
  if (filter.empty()) return TopicFault::kEmpty;
  std::string_view counted = filter;
  std::string_view plain = filter;
  if (filter == "$share" || filter.starts_with(kSharePrefix)) {
    const auto shared = parse_share(filter);
    if (!shared) return TopicFault::kBadShare;
    plain = shared->filter;
    if (limits.exempt_prefixes) counted = plain;
  }
  if (const TopicFault fault = check_wildcards(plain); fault != TopicFault::kNone) return fault;
  return check_size(counted_part(counted, limits), limits);
}

size_t level_count(std::string_view topic) {
  return 1 + static_cast<size_t>(std::count(topic.begin(), topic.end(), '/'));
}

bool has_wildcard(std::string_view filter) {
  return std::any_of(filter.begin(), filter.end(), [](char c) { return c == '#' || c == '+'; });
}

std::optional<SharedFilter> parse_share(std::string_view filter) {
  if (!filter.starts_with(kSharePrefix)) return std::nullopt;
  const std::string_view rest = filter.substr(kSharePrefix.size());
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == rest.size()) return std::nullopt;
  const SharedFilter shared{rest.substr(0, slash), rest.substr(slash + 1)};
  if (has_wildcard(shared.group)) return std::nullopt;
  return shared;
}

std::optional<BasicIngest> parse_basic_ingest(std::string_view topic) {
  if (!topic.starts_with(kBasicIngestPrefix)) return std::nullopt;
  const std::string_view rest = topic.substr(kBasicIngestPrefix.size());
  const size_t slash = rest.find('/');
  const std::string_view rule = rest.substr(0, slash);
  if (rule.empty() || has_wildcard(rule)) return std::nullopt;
  return BasicIngest{rule, slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1)};
}

bool matches(std::string_view filter, std::string_view topic, const MatchOptions& options) {
  if (!topic.empty() && topic[0] == '$' && !filter.empty() && (filter[0] == '+' || filter[0] == '#'))
    return false;
  Levels f(filter);
  Levels t(topic);
  while (true) {
    if (f.level() == "#") return true;
    if (f.level() == "+") {
      if (t.level().empty() && !options.plus_matches_empty) return false;
    } else if (f.level() != t.level()) {
      return false;
    }
    if (t.last()) {
      if (f.last()) return true;
      f.next();
      return f.level() == "#" && options.hash_matches_parent;
    }
    if (f.last()) return false;
    f.next();
    t.next();
  }
}

}  // namespace fleetward::mqtt
