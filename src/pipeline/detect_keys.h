#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/time.h"

// Where detect's state and records are in the log's key space. Numbers in keys are fixed-width and
// big-endian, so that byte order is their order; days are since the epoch (UTC), so that retention is one
// range per day.
//
//   detect/partitions                                    how many there are, fixed when the log was new
//   detect/<p>/things/<thing>                            detect::Engine's state of a thing
//   detect/<p>/values/<day>/<thing>\0<time><sequence>    a row of one event (detect/history.h)
//   detect/<p>/history/<day>/<thing>\0<time><sequence>   a chunk of such, once the day is over
//   (history_fold.h);
//                                                        time and sequence are those of its first row
//   detect/<p>/active/<started><violation>               an open violation, JSON
//   detect/<p>/opened/<violation>                        <started>, as long as anything of it is kept
//   detect/<p>/last/<violation>                          its latest violating value, JSON
//   detect/<p>/events/<day>/<time><violation><type>      a violation event, JSON
//   detect/<p>/ended/<day>/<violation>                   when the violation ended; empty
//   detect/verification/<violation>                      what an operator judged, JSON
namespace fleetward::pipeline::keys {

std::string partition_prefix(uint32_t partition);  // "detect/00003/"
std::string thing_prefix(uint32_t partition);
std::string values_day(uint32_t partition, int64_t day);
std::string values(uint32_t partition, Timestamp time, std::string_view thing, uint64_t sequence);
// What follows values_day() in such a key.
void put_values_place(std::string_view thing, Timestamp time, uint64_t sequence, std::string& key);
// First key of the thing's values at or after `time`, within the day.
std::string values_from(uint32_t partition, int64_t day, std::string_view thing, Timestamp time);
std::string history_day(uint32_t partition, int64_t day);
// What the keys of the thing's chunks of the day begin with.
std::string history_of(uint32_t partition, int64_t day, std::string_view thing);
inline constexpr size_t kValuesTail = 16;  // <time><sequence>, at the end of keys of values and chunks
std::string active_prefix(uint32_t partition);
std::string active(uint32_t partition, Timestamp started, std::string_view violation);
std::string opened_prefix(uint32_t partition);
std::string last_prefix(uint32_t partition);
std::string events_day(uint32_t partition, int64_t day);
std::string event(uint32_t partition, Timestamp time, std::string_view violation_and_type);
std::string ended_day(uint32_t partition, int64_t day);
std::string verification(std::string_view violation);

inline constexpr std::string_view kPartitions = "detect/partitions";

int64_t day_of(Timestamp time);
Timestamp start_of(int64_t day);
// The smallest key above every key with this prefix.
std::string after_prefix(std::string prefix);
void put_be64(std::string& out, uint64_t value);
// Reads the eight bytes that were written big-endian; 0 if there are fewer.
uint64_t read_be64(std::string_view bytes);

}  // namespace fleetward::pipeline::keys
