#include <cstring>

#include "log/log.h"

namespace fleetward::log {
namespace {

constexpr size_t kChangeHead = 9;

}  // namespace

size_t Batch::append(Partition partition, std::string value, Timestamp now) {
  bytes_ += value.size();
  appends.push_back({std::move(partition), std::move(value), now});
  return appends.size() - 1;
}

void Batch::commit(std::string consumer, Partition partition, Offset next) {
  commits.push_back({std::move(consumer), std::move(partition), next});
}

void Batch::put(std::string_view key, std::string_view value) {
  change(KeyChange::Kind::kPut, key, value);
}

void Batch::erase(std::string_view key) {
  change(KeyChange::Kind::kErase, key, {});
}

void Batch::erase_range(std::string_view begin, std::string_view end) {
  change(KeyChange::Kind::kEraseRange, begin, end);
}

void Batch::change(KeyChange::Kind kind, std::string_view key, std::string_view value) {
  bytes_ += key.size() + value.size();
  ++change_count_;
  char head[kChangeHead];
  head[0] = static_cast<char>(kind);
  const auto key_size = static_cast<uint32_t>(key.size()), value_size = static_cast<uint32_t>(value.size());
  std::memcpy(head + 1, &key_size, 4);
  std::memcpy(head + 5, &value_size, 4);
  changes_.append(head, sizeof head).append(key).append(value);
}

Batch::KeyChange Batch::change_at(size_t& at) const {
  const char* head = changes_.data() + at;
  uint32_t key_size = 0, value_size = 0;
  std::memcpy(&key_size, head + 1, 4);
  std::memcpy(&value_size, head + 5, 4);
  at += kChangeHead + key_size + value_size;
  const char* key = head + kChangeHead;
  return {static_cast<KeyChange::Kind>(head[0]), {key, key_size}, {key + key_size, value_size}};
}

void Batch::truncate(Partition partition, Offset first_kept) {
  truncations.push_back({std::move(partition), first_kept});
}

void Batch::drop(Partition partition) {
  drops.push_back(std::move(partition));
}

bool Batch::empty() const {
  return appends.empty() && commits.empty() && change_count_ == 0 && truncations.empty() && drops.empty();
}

}  // namespace fleetward::log
