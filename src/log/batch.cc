#include "log/log.h"

namespace fleetward::log {

size_t Batch::append(Partition partition, std::string value, Timestamp now) {
  bytes_ += value.size();
  appends.push_back({std::move(partition), std::move(value), now});
  return appends.size() - 1;
}

void Batch::commit(std::string consumer, Partition partition, Offset next) {
  commits.push_back({std::move(consumer), std::move(partition), next});
}

void Batch::put(std::string key, std::string value) {
  bytes_ += key.size() + value.size();
  changes.push_back({KeyChange::Kind::kPut, std::move(key), std::move(value)});
}

void Batch::erase(std::string key) {
  bytes_ += key.size();
  changes.push_back({KeyChange::Kind::kErase, std::move(key), {}});
}

void Batch::erase_range(std::string begin, std::string end) {
  bytes_ += begin.size() + end.size();
  changes.push_back({KeyChange::Kind::kEraseRange, std::move(begin), std::move(end)});
}

void Batch::truncate(Partition partition, Offset first_kept) {
  truncations.push_back({std::move(partition), first_kept});
}

void Batch::drop(Partition partition) {
  drops.push_back(std::move(partition));
}

bool Batch::empty() const {
  return appends.empty() && commits.empty() && changes.empty() && truncations.empty() && drops.empty();
}

}  // namespace fleetward::log
