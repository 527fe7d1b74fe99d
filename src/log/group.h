#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <rocksdb/write_batch.h>

#include "log/chunk.h"
#include "log/storage.h"

namespace fleetward::log {

// One group under construction. Internal to the embedded log: includes RocksDB.
class Storage::Group {
 public:
  Group(const Index& index, Families families) : base_(index), families_(families), next_id_(index.next_id) {}

  // Adds a whole batch; answers the offsets of its appends.
  std::vector<Offset> add(const Batch& batch);
  // To be called once, after the last add().
  rocksdb::WriteBatch& finish();
  // After the commit: brings the index up to date.
  void publish(Index& index);

  uint64_t number() const { return base_.group + 1; }
  const std::set<Partition>& appended() const { return appended_; }
  size_t append_count() const { return append_count_; }
  size_t bytes() const { return batch_.GetDataSize(); }

 private:
  struct Draft {
    PartitionInfo info;
    ChunkBuilder chunk;
    bool exists = false;
  };
  Draft& draft(const Partition& partition);
  void write_chunk(Draft& draft);
  void truncate(const Batch::Truncate& truncation);
  void drop(const Partition& partition);

  const Index& base_;
  Families families_;
  uint32_t next_id_;
  rocksdb::WriteBatch batch_;
  std::map<Partition, Draft> drafts_;
  std::map<std::pair<Partition, std::string>, std::optional<Offset>> committed_;
  std::set<Partition> appended_;
  size_t append_count_ = 0;
};

}  // namespace fleetward::log
