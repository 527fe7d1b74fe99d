#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "detect/event.h"
#include "detect/quantiles.h"

// Statistical criteria between the partitions: what each gathered at a tick, and what is made of it.
namespace fleetward::detect {

// The values of one behaviour that one partition's things have at a tick: a part of a percentile.
struct Population {
  uint64_t behavior_key = 0;  // PlanBehavior::key
  std::string profile, behavior;
  double percent = 0;
  Quantiles values;
};

// The records of the log stream "populations": what one partition gathered at one tick, maybe nothing.
struct PopulationsRecord {
  Timestamp tick;
  uint32_t partition = 0;
  std::vector<Population> populations;
};
// Not const: encoding sorts the values.
void encode_populations(PopulationsRecord& record, std::string& out);
Result<PopulationsRecord> decode_populations(std::string_view bytes);  // kCorrupt

// The thresholds of one tick, from the populations of all partitions (in any order), by key. A behaviour
// whose population is smaller than `population_min`, or has a negative value, gets none; skipped(population,
// why) is called for it.
std::vector<Threshold> make_thresholds(
    std::vector<Population> populations, uint64_t population_min,
    const std::function<void(const Population& population, std::string_view why)>& skipped);

}  // namespace fleetward::detect
