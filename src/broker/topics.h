#pragma once

#include <optional>
#include <string_view>

// Which topics exist for clients: all that do not start with '$', and those reserved ones that this release
// serves (Developer Guide, Reserved topics). Pure.
namespace fleetward::broker {

inline bool is_ordinary_topic(std::string_view topic) {
  return topic.empty() || topic.front() != '$';
}

// Why a client may not publish to this valid topic name, or nothing.
std::optional<std::string_view> publish_refusal(std::string_view topic);
// Why a client may not subscribe to this valid filter (without `$share/<group>/`), or nothing.
std::optional<std::string_view> subscribe_refusal(std::string_view filter);

}  // namespace fleetward::broker
