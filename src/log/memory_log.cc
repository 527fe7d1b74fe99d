#include "log/memory_log.h"

#include <algorithm>

namespace fleetward::log {

void MemoryLog::submit(Batch batch, CommitCallback done) {
  Committed committed = write(std::move(batch));
  if (done) done(std::move(committed));
}

Committed MemoryLog::write(Batch batch) {
  std::set<Partition> appended;
  Committed committed;
  {
    const std::lock_guard lock(mutex_);
    if (!trouble_.empty()) return fail(ErrorCode::kUnavailable, trouble_);
    if (batch.identity && batch.identity->written) return *batch.identity->written;
    for (const auto& append : batch.appends) appended.insert(append.partition);
    committed = apply(batch);
    if (!sync_failure_.empty()) {
      trouble_ = std::move(sync_failure_);
      sync_failure_.clear();
      if (batch.identity) batch.identity->written = std::move(*committed);
      return fail(ErrorCode::kUnavailable, trouble_);
    }
  }
  subscriptions_->wake(appended);
  return committed;
}

Committed MemoryLog::apply(Batch& batch) {
  std::vector<Offset> offsets;
  offsets.reserve(batch.appends.size());
  for (auto& append : batch.appends) {
    Contents& contents = partitions_[append.partition];
    offsets.push_back(contents.end());
    contents.records.push_back({contents.end(), append.now, std::move(append.value)});
  }
  for (auto& commit : batch.commits) committed_[{commit.partition, commit.consumer}] = commit.next;
  batch.visit_changes([&](const Batch::KeyChange& change) {
    const auto first = keys_.lower_bound(change.key);
    switch (change.kind) {
      case Batch::KeyChange::Kind::kPut:
        keys_.insert_or_assign(first, std::string(change.key), std::string(change.value));
        break;
      case Batch::KeyChange::Kind::kErase:
        if (first != keys_.end() && first->first == change.key) keys_.erase(first);
        break;
      case Batch::KeyChange::Kind::kEraseRange:
        if (change.key < change.value) keys_.erase(first, keys_.lower_bound(change.value));
        break;
    }
  });
  for (const auto& truncation : batch.truncations) {
    const auto it = partitions_.find(truncation.partition);
    if (it == partitions_.end()) continue;
    while (!it->second.records.empty() && it->second.begin < truncation.first_kept) {
      it->second.records.pop_front();
      ++it->second.begin;
    }
  }
  for (const auto& partition : batch.drops) {
    partitions_.erase(partition);
    std::erase_if(committed_, [&](const auto& entry) { return entry.first.first == partition; });
  }
  return offsets;
}

Result<std::vector<Record>> MemoryLog::read(const Partition& partition, Offset from, size_t bytes_max) const {
  const std::lock_guard lock(mutex_);
  std::vector<Record> out;
  const auto it = partitions_.find(partition);
  if (it == partitions_.end()) return out;
  const Contents& contents = it->second;
  size_t bytes = 0;
  for (Offset offset = std::max(from, contents.begin); offset < contents.end(); ++offset) {
    const Record& record = contents.records[offset - contents.begin];
    bytes += record.value.size();
    if (bytes > bytes_max && !out.empty()) break;
    out.push_back(record);
  }
  return out;
}

Log::Range MemoryLog::range(const Partition& partition) const {
  const std::lock_guard lock(mutex_);
  const auto it = partitions_.find(partition);
  return it == partitions_.end() ? Range{} : Range{it->second.begin, it->second.end()};
}

Offset MemoryLog::committed(const std::string& consumer, const Partition& partition) const {
  const std::lock_guard lock(mutex_);
  const auto it = committed_.find({partition, consumer});
  return it == committed_.end() ? 0 : it->second;
}

std::vector<Partition> MemoryLog::partitions(std::string_view stream_prefix) const {
  const std::lock_guard lock(mutex_);
  std::vector<Partition> out;
  for (auto it = partitions_.lower_bound(Partition{std::string(stream_prefix), 0});
       it != partitions_.end() && it->first.stream.starts_with(stream_prefix); ++it) {
    out.push_back(it->first);
  }
  return out;
}

Result<std::optional<std::string>> MemoryLog::get(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  const auto it = keys_.find(key);
  return it == keys_.end() ? std::nullopt : std::optional<std::string>(it->second);
}

Result<std::vector<KeyValue>> MemoryLog::scan(std::string_view begin, std::string_view end, size_t count_max,
                                              bool reverse) const {
  const std::lock_guard lock(mutex_);
  std::vector<KeyValue> out;
  if (begin >= end) return out;
  const auto first = keys_.lower_bound(begin);
  const auto last = keys_.lower_bound(end);
  if (reverse) {
    for (auto it = last; it != first && out.size() < count_max;) {
      --it;
      out.push_back({it->first, it->second});
    }
  } else {
    for (auto it = first; it != last && out.size() < count_max; ++it) out.push_back({it->first, it->second});
  }
  return out;
}

Log::Subscription MemoryLog::subscribe(std::string stream_prefix,
                                       std::function<void(const Partition&)> wake) {
  return subscriptions_->add(std::move(stream_prefix), std::move(wake));
}

std::string MemoryLog::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void MemoryLog::set_trouble(std::string reason) {
  const std::lock_guard lock(mutex_);
  trouble_ = std::move(reason);
}

void MemoryLog::fail_next_sync(std::string reason) {
  const std::lock_guard lock(mutex_);
  sync_failure_ = std::move(reason);
}

}  // namespace fleetward::log
