#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include <rocksdb/listener.h>

#include "core/result.h"

namespace fleetward::log {

// RocksDB reads its MANIFEST up to where that ends, or seems to: one that lost its last entries names fewer
// table files, and what was in the others is gone without a word. So the file `manifest` beside it says how
// far it went when it last grew: "<number> <bytes> <hash of them>\n". Written after each flush and
// compaction, on RocksDB's threads; thread safe. Includes RocksDB.
class ManifestSeal final : public rocksdb::EventListener {
 public:
  explicit ManifestSeal(std::string directory) : directory_(std::move(directory)) {}

  // Before the database is opened. kCorrupt if its MANIFEST is not what was sealed, or the seal is damaged.
  // Good if there is no seal yet.
  Status check() const;
  // Of an open database. A seal that cannot be written leaves the one before, which is still true.
  void seal(rocksdb::DB& database);

  void OnFlushCompleted(rocksdb::DB* database, const rocksdb::FlushJobInfo&) override { seal(*database); }
  void OnCompactionCompleted(rocksdb::DB* database, const rocksdb::CompactionJobInfo&) override {
    seal(*database);
  }

 private:
  std::string path_of(uint64_t number) const;

  const std::string directory_;
  std::mutex mutex_;  // of the file
};

}  // namespace fleetward::log
