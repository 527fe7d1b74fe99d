#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lake/errors.h"
#include "lake/index.h"

namespace fleetward::lake {

// The content files of a store and their ids. A file is written once under an id that is never used again,
// and removed when nothing names it and nobody reads it. Thread safe.
class ContentFiles {
 public:
  ContentFiles(std::string directory, Index::Watermarks watermarks);

  // A new id, in flight until settle(): whether the index names it is not decided yet.
  uint64_t reserve();
  void settle(uint64_t id);
  // What the index must remember: no id from next_id on was used, and every file below clean_below is known
  // to the index.
  Index::Watermarks watermarks() const;

  std::string path(uint64_t id) const;
  // Creates the file (and its directory) and answers a descriptor for writing.
  StoreResult<int> create(uint64_t id);
  // Makes bytes and name durable.
  StoreStatus sync(uint64_t id, int descriptor);
  // Removes a file that the index never named, and settles its id.
  void discard(uint64_t id);

  // Files that a reader holds: while pinned, a doomed file stays.
  void pin(const std::vector<uint64_t>& ids);
  void unpin(const std::vector<uint64_t>& ids);
  // The index has marked these as garbage: they are removed now, or when the last pin goes.
  void doom(const std::vector<uint64_t>& ids);
  // Files that are gone, if at least `count_min` of them wait to be forgotten; their directories are synced,
  // so the index may drop their rows.
  std::vector<uint64_t> take_removed(size_t count_min);

  // Ids of the files on the disk from `from` on. Only before the first reserve().
  std::vector<uint64_t> scan(uint64_t from) const;
  void raise_next_id(uint64_t at_least);

 private:
  std::string directory_of(uint64_t id) const;
  void remove(uint64_t id);

  const std::string directory_;
  mutable std::mutex mutex_;
  uint64_t next_id_;
  std::set<uint64_t> in_flight_;
  std::map<uint64_t, int> pins_;
  std::set<uint64_t> doomed_;  // pinned, to be removed
  std::vector<uint64_t> removed_;
};

// Bytes written to a descriptor, whole; kUnavailable names the reason ("No space left on device").
StoreStatus write_all(int descriptor, std::string_view bytes);
// Syncs a directory's entries.
StoreStatus sync_directory(const std::string& path);

}  // namespace fleetward::lake
