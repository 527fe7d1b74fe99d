#include "broker/counted_topics.h"

#include <algorithm>

namespace fleetward::broker {
namespace {

constexpr std::string_view kClientId = "${iot:ClientId}";

bool filter_matches(const std::string& filter, std::string_view topic, std::string_view client_id,
                    const mqtt::MatchOptions& matching) {
  size_t at = filter.find(kClientId);
  if (at == std::string::npos) return mqtt::matches(filter, topic, matching);
  if (client_id.find_first_of("+#") != std::string_view::npos) return false;
  std::string own = filter;
  for (; at != std::string::npos; at = own.find(kClientId, at + client_id.size())) {
    own.replace(at, kClientId.size(), client_id);
  }
  return mqtt::matches(own, topic, matching);
}

}  // namespace

CounterMask counters_for(const CountedTopics& counted, std::string_view topic, std::string_view client_id,
                         const mqtt::MatchOptions& matching) {
  CounterMask mask = 0;
  for (size_t d = 0; d < counted.dimensions.size(); ++d) {
    const CountedTopics::Dimension& dimension = counted.dimensions[d];
    const bool in = std::any_of(
        dimension.filters.begin(), dimension.filters.end(),
        [&](const std::string& filter) { return filter_matches(filter, topic, client_id, matching); });
    if (in ? dimension.in : dimension.not_in) mask |= 1U << counter_of(d, in);
  }
  return mask;
}

CounterMask counters_without_topic(const CountedTopics& counted) {
  CounterMask mask = 0;
  for (size_t d = 0; d < counted.dimensions.size(); ++d) {
    if (counted.dimensions[d].not_in) mask |= 1U << counter_of(d, false);
  }
  return mask;
}

}  // namespace fleetward::broker
