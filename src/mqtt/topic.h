#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

// Topic names and topic filters (MQTT 5 section 4.7, 4.8.2). Text here is already valid UTF-8 without U+0000
// (the decoder's work). Pure.
namespace fleetward::mqtt {

struct TopicLimits {
  size_t bytes_max = 65'535;
  size_t levels_max = 128;  // bounds the depth of matching; AWS: 8
  // AWS: `$aws/rules/<rule>/` (Basic Ingest) and `$share/<group>/` do not count toward both limits.
  bool exempt_prefixes = true;

  static TopicLimits aws() { return {256, 8, true}; }
};

enum class TopicFault : uint8_t {
  kNone,
  kEmpty,     // [MQTT-4.7.3-1]
  kTooLong,   // TopicLimits::bytes_max
  kTooDeep,   // TopicLimits::levels_max
  kWildcard,  // in a topic name [MQTT-3.3.2-2]
  kBadHash,   // '#' not alone in its level or not last [MQTT-4.7.1-1]
  kBadPlus,   // '+' not alone in its level [MQTT-4.7.1-2]
  kBadShare,  // $share without a group, with a wildcard in it, or without a filter [MQTT-4.8.2-1, -2]
};
// A sentence for a reason string: "'#' must be the last level, alone [MQTT-4.7.1-1]".
std::string_view to_string(TopicFault fault);

TopicFault check_topic_name(std::string_view topic, const TopicLimits& limits = {});
// Accepts `$share/<group>/<filter>`.
TopicFault check_topic_filter(std::string_view filter, const TopicLimits& limits = {});

// 1 + number of slashes.
size_t level_count(std::string_view topic);
bool has_wildcard(std::string_view filter);

// `$share/<group>/<filter>`; nothing if it does not start with "$share/" or is not of that form.
struct SharedFilter {
  std::string_view group;
  std::string_view filter;
};
std::optional<SharedFilter> parse_share(std::string_view filter);

// `$aws/rules/<rule>/<topic>`; the topic part is empty if there is none (`$aws/rules/<rule>`).
struct BasicIngest {
  std::string_view rule;
  std::string_view topic;
};
std::optional<BasicIngest> parse_basic_ingest(std::string_view topic);

// The service's habits where they differ from the specification.
struct MatchOptions {
  bool hash_matches_parent = true;  // "a/#" matches "a" [4.7.1.2]; AWS: no
  bool plus_matches_empty = true;   // "a/+" matches "a/"; AWS: no
  static MatchOptions aws() { return {false, false}; }
};

// Both valid; `filter` without `$share`. Wildcards in the first level do not match `$`-topics
// [MQTT-4.7.2-1].
bool matches(std::string_view filter, std::string_view topic, const MatchOptions& options = {});

// Walks the levels of a topic or filter: for (Levels l(topic); !l.done(); l.next()) use(l.level()). A topic
// has at least one level; levels may be empty.
class Levels {
 public:
  explicit Levels(std::string_view text) : rest_(text) { cut(); }
  bool done() const { return done_; }
  std::string_view level() const { return level_; }
  // True if this is the last one.
  bool last() const { return last_; }
  void next() {
    if (last_) {
      done_ = true;
    } else {
      rest_.remove_prefix(level_.size() + 1);
      cut();
    }
  }

 private:
  void cut() {
    const size_t slash = rest_.find('/');
    last_ = slash == std::string_view::npos;
    level_ = last_ ? rest_ : rest_.substr(0, slash);
  }
  std::string_view rest_, level_;
  bool last_ = false, done_ = false;
};

}  // namespace fleetward::mqtt
