#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/high_water.h"
#include "core/logger.h"
#include "core/result.h"
#include "log/log.h"

namespace rocksdb {
class DB;
class ColumnFamilyHandle;
class Env;
class Status;
}  // namespace rocksdb

namespace fleetward::log {

class ManifestSeal;

// What the embedded log keeps in memory of each partition, as stored under its meta key.
struct PartitionInfo {
  uint32_t id = 0;  // never used again once dropped
  Offset begin = 0;
  Offset end = 0;
  // Not stored: where the last physical deletion stopped, and a running mean of the bytes of a record, to
  // judge how much dead data lies before `begin`.
  Offset deleted_to = 0;
  double record_bytes = 0;
};

struct Index {
  std::map<Partition, PartitionInfo> partitions;
  std::map<std::pair<Partition, std::string>, Offset> committed;  // partition, consumer
  uint32_t next_id = 1;
  uint64_t group = 0;  // the number of the last group, rising by one
};

// The log's data in one RocksDB database, format 2, three column families:
//   default: "F" -> "2", the format; "N" -> next partition id (u32);
//            "P" stream index(u32) -> id(u32) begin(u64) end(u64);
//            "C" consumer 00 stream index(u32) -> next offset (u64)
//   records: id(u32) last offset(u64) -> a chunk of records (chunk.h). Keyed by the last offset, so that
//            deleting [id 0, id first kept) removes exactly the chunks that are wholly dead, and a seek to an
//            offset lands on the chunk that holds it.
//   state:   consumers' keys as they are
// In each of them the number of the last group (u64): "G", records: id 0 offset 0, state: 00 "G".
// Numbers are big-endian. Every group is one synced WriteBatch, so the three are consistent after a crash.
// The file `acknowledged` beside RocksDB's holds the number of the last group that was acknowledged
// (core/high_water.h): a database that is behind it has lost something, and is not opened. `manifest`:
// manifest_seal.h.
// Reads are thread safe; write, recover and close belong to one thread.
class Storage {
 public:
  // `accept_loss`: opens a database that lost something all the same, and says so.
  Storage(std::string directory, rocksdb::Env* env, bool accept_loss, fleetward::Logger& logger);
  ~Storage();

  Status open(Index& index);

  // Everything one group writes; `index` is brought up to date by add(), on a copy-on-write view: nothing of
  // it is visible until commit() succeeded.
  class Group;
  std::unique_ptr<Group> begin_group(const Index& index) const;
  Status commit(Group& group);

  Result<std::vector<Record>> read(const PartitionInfo& partition, Offset from, size_t bytes_max) const;
  Result<std::optional<std::string>> get(std::string_view key) const;
  Result<std::vector<KeyValue>> scan(std::string_view begin, std::string_view end, size_t count_max,
                                     bool reverse) const;

  // After a failed commit: if the disk takes writes again, opens the database anew and reads `index` from it.
  Status recover(Index& index, std::shared_mutex& index_mutex);

 private:
  struct Families {
    rocksdb::ColumnFamilyHandle* meta = nullptr;
    rocksdb::ColumnFamilyHandle* records = nullptr;
    rocksdb::ColumnFamilyHandle* state = nullptr;
  };
  Status open_database();
  Status load(Index& index);
  Result<uint64_t> last_group() const;
  Status check_acknowledged(const Index& index);
  Status probe_disk() const;
  Status probe_database();
  void close();

  std::string directory_;
  rocksdb::Env* env_;
  bool accept_loss_;
  fleetward::Logger& logger_;
  HighWater acknowledged_;
  std::shared_ptr<ManifestSeal> seal_;
  // Held shared by readers, alone while the database is closed and opened again.
  mutable std::shared_mutex open_mutex_;
  std::unique_ptr<rocksdb::DB> database_;
  Families families_;
};

}  // namespace fleetward::log
