#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "broker/hooks.h"
#include "mqtt/topic.h"

// Which of the counters that dimensions ask for a message moves. Pure.
namespace fleetward::broker {

// A bit for each counter of CountedTopics: two a dimension.
using CounterMask = uint32_t;
static_assert(CountedTopics::kDimensionsMax * 2 <= 32);
constexpr size_t counter_of(size_t dimension, bool in) {
  return dimension * 2 + (in ? 0 : 1);
}

// The client id stands for itself in a filter: wildcards in it match nothing. `topic` may be the filter of a
// SUBSCRIBE, whose wildcards are plain characters.
CounterMask counters_for(const CountedTopics& counted, std::string_view topic, std::string_view client_id,
                         const mqtt::MatchOptions& matching);
// Of what has no topic, a refused CONNECT: it is in no dimension, and so "not in" each.
CounterMask counters_without_topic(const CountedTopics& counted);

// The answer for the last topic of a connection, which most often is the next one's too.
struct LastCounters {
  std::string topic;
  CounterMask mask = 0;
  uint64_t version = 0;  // of the counted topics; 0: none yet
};

}  // namespace fleetward::broker
