#include "pipeline/detect_keys.h"

#include <cstdio>

namespace fleetward::pipeline::keys {
namespace {

std::string day_prefix(uint32_t partition, const char* kind, int64_t day) {
  char text[64];
  std::snprintf(text, sizeof text, "detect/%05u/%s/%06lld/", partition, kind, static_cast<long long>(day));
  return text;
}

}  // namespace

std::string partition_prefix(uint32_t partition) {
  char text[32];
  std::snprintf(text, sizeof text, "detect/%05u/", partition);
  return text;
}

std::string thing_prefix(uint32_t partition) {
  return partition_prefix(partition) + "things/";
}
std::string active_prefix(uint32_t partition) {
  return partition_prefix(partition) + "active/";
}
std::string active(uint32_t partition, Timestamp started, std::string_view violation) {
  std::string key = active_prefix(partition);
  put_be64(key, static_cast<uint64_t>(started.ms));
  key += violation;
  return key;
}
std::string opened_prefix(uint32_t partition) {
  return partition_prefix(partition) + "opened/";
}
std::string last_prefix(uint32_t partition) {
  return partition_prefix(partition) + "last/";
}
std::string values_day(uint32_t partition, int64_t day) {
  return day_prefix(partition, "values", day);
}
std::string events_day(uint32_t partition, int64_t day) {
  return day_prefix(partition, "events", day);
}
std::string ended_day(uint32_t partition, int64_t day) {
  return day_prefix(partition, "ended", day);
}

std::string values(uint32_t partition, Timestamp time, std::string_view thing, uint64_t sequence) {
  std::string key = values_day(partition, day_of(time));
  put_values_place(thing, time, sequence, key);
  return key;
}

void put_values_place(std::string_view thing, Timestamp time, uint64_t sequence, std::string& key) {
  key += thing;
  key.push_back('\0');
  put_be64(key, static_cast<uint64_t>(time.ms));
  put_be64(key, sequence);
}

std::string values_from(uint32_t partition, int64_t day, std::string_view thing, Timestamp time) {
  std::string key = values_day(partition, day);
  key += thing;
  key.push_back('\0');
  put_be64(key, static_cast<uint64_t>(time.ms));
  return key;
}

std::string history_day(uint32_t partition, int64_t day) {
  return day_prefix(partition, "history", day);
}

std::string history_of(uint32_t partition, int64_t day, std::string_view thing) {
  std::string key = history_day(partition, day);
  key += thing;
  key.push_back('\0');
  return key;
}

std::string event(uint32_t partition, Timestamp time, std::string_view violation_and_type) {
  std::string key = events_day(partition, day_of(time));
  put_be64(key, static_cast<uint64_t>(time.ms));
  key += violation_and_type;
  return key;
}

std::string verification(std::string_view violation) {
  return "detect/verification/" + std::string(violation);
}

int64_t day_of(Timestamp time) {
  return time.ms / (24LL * 3600 * 1000);
}
Timestamp start_of(int64_t day) {
  return {day * (24LL * 3600 * 1000)};
}

std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && static_cast<uint8_t>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

void put_be64(std::string& out, uint64_t value) {
  char raw[8];
  for (int i = 0; i < 8; ++i) raw[i] = static_cast<char>(value >> (56 - 8 * i));
  out.append(raw, 8);
}

uint64_t read_be64(std::string_view bytes) {
  if (bytes.size() < 8) return 0;
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(bytes[static_cast<size_t>(i)]);
  return value;
}

}  // namespace fleetward::pipeline::keys
