#include "log/group.h"

#include <algorithm>

#include "log/keys.h"

namespace fleetward::log {
namespace {

// Dead records before a partition's begin are deleted in pieces of about this size: each deletion leaves a
// range tombstone that readers and compactions have to carry for a while.
constexpr double kDeleteBytesMin = 4.0 * 1024 * 1024;

}  // namespace

Storage::Group::Draft& Storage::Group::draft(const Partition& partition) {
  const auto [it, fresh] = drafts_.try_emplace(partition);
  if (fresh) {
    if (const auto base = base_.partitions.find(partition); base != base_.partitions.end()) {
      it->second.info = base->second;
      it->second.exists = true;
    }
  }
  return it->second;
}

std::vector<Offset> Storage::Group::add(const Batch& batch) {
  std::vector<Offset> offsets;
  offsets.reserve(batch.appends.size());
  const Partition* last_partition = nullptr;
  Draft* d = nullptr;
  for (const auto& append : batch.appends) {
    if (last_partition == nullptr || *last_partition != append.partition) {
      d = &draft(append.partition);
      last_partition = &append.partition;
      appended_.insert(append.partition);
      if (!d->exists) {
        d->info = PartitionInfo{};
        d->info.id = next_id_++;
        d->exists = true;
      }
    }
    d->info.record_bytes += (static_cast<double>(append.value.size()) - d->info.record_bytes) / 64;
    d->chunk.add(append.value, append.now);
    offsets.push_back(d->info.end++);
    if (d->chunk.full()) write_chunk(*d);
  }
  append_count_ += batch.appends.size();
  for (const auto& commit : batch.commits) committed_[{commit.partition, commit.consumer}] = commit.next;
  batch.visit_changes([&](const Batch::KeyChange& change) {
    const rocksdb::Slice key(change.key.data(), change.key.size());
    const rocksdb::Slice value(change.value.data(), change.value.size());
    switch (change.kind) {
      case Batch::KeyChange::Kind::kPut:
        batch_.Put(families_.state, key, value);
        break;
      case Batch::KeyChange::Kind::kErase:
        batch_.Delete(families_.state, key);
        break;
      case Batch::KeyChange::Kind::kEraseRange:
        if (change.key < change.value) batch_.DeleteRange(families_.state, key, value);
        break;
    }
  });
  for (const auto& truncation : batch.truncations) truncate(truncation);
  for (const auto& partition : batch.drops) drop(partition);
  return offsets;
}

void Storage::Group::write_chunk(Draft& d) {
  if (d.chunk.count() == 0) return;
  batch_.Put(families_.records, keys::record(d.info.id, d.info.end - 1), d.chunk.take());
}

void Storage::Group::truncate(const Batch::Truncate& truncation) {
  Draft& d = draft(truncation.partition);
  if (!d.exists) return;
  PartitionInfo& info = d.info;
  info.begin = std::max(info.begin, std::min(truncation.first_kept, info.end));
  if (static_cast<double>(info.begin - info.deleted_to) * (info.record_bytes + 8) < kDeleteBytesMin) return;
  // From 0: a chunk of this very group may be written after its records died.
  batch_.DeleteRange(families_.records, keys::record(info.id, 0), keys::record(info.id, info.begin));
  info.deleted_to = info.begin;
}

void Storage::Group::drop(const Partition& partition) {
  Draft& d = draft(partition);
  if (d.exists) {
    batch_.DeleteRange(families_.records, keys::record(d.info.id, 0), keys::record(d.info.id + 1, 0));
  }
  d = Draft{};
  const auto at = [&](const auto& entry) { return entry.first.first == partition; };
  for (auto it = base_.committed.lower_bound({partition, {}}); it != base_.committed.end() && at(*it); ++it) {
    committed_[it->first] = std::nullopt;
  }
  for (auto it = committed_.lower_bound({partition, {}}); it != committed_.end() && at(*it); ++it) {
    it->second = std::nullopt;
  }
}

rocksdb::WriteBatch& Storage::Group::finish() {
  for (auto& [partition, d] : drafts_) {
    if (!d.exists) {
      batch_.Delete(families_.meta, keys::partition(partition));
      continue;
    }
    write_chunk(d);
    std::string value;
    keys::put_u32(d.info.id, value);
    keys::put_u64(d.info.begin, value);
    keys::put_u64(d.info.end, value);
    batch_.Put(families_.meta, keys::partition(partition), value);
  }
  for (const auto& [where, next] : committed_) {
    const std::string key = keys::consumer(where.second, where.first);
    if (!next) {
      batch_.Delete(families_.meta, key);
      continue;
    }
    std::string value;
    keys::put_u64(*next, value);
    batch_.Put(families_.meta, key, value);
  }
  if (next_id_ != base_.next_id) {
    std::string value;
    keys::put_u32(next_id_, value);
    batch_.Put(families_.meta, rocksdb::Slice(keys::kNextId.data(), keys::kNextId.size()), value);
  }
  std::string number_bytes;
  keys::put_u64(number(), number_bytes);
  // In each family, which keep their data apart: one of them may lose what the others have.
  batch_.Put(families_.meta, rocksdb::Slice(keys::kGroup.data(), keys::kGroup.size()), number_bytes);
  batch_.Put(families_.records, keys::group_of_records(), number_bytes);
  batch_.Put(families_.state, rocksdb::Slice(keys::kGroupOfState.data(), keys::kGroupOfState.size()),
             number_bytes);
  return batch_;
}

void Storage::Group::publish(Index& index) {
  for (auto& [partition, d] : drafts_) {
    if (d.exists) {
      index.partitions[partition] = d.info;
    } else {
      index.partitions.erase(partition);
    }
  }
  for (const auto& [where, next] : committed_) {
    if (next) {
      index.committed[where] = *next;
    } else {
      index.committed.erase(where);
    }
  }
  index.next_id = next_id_;
  ++index.group;
}

}  // namespace fleetward::log
