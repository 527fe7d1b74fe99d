#pragma once

#include <shared_mutex>

#include "lake/contents.h"
#include "lake/object_store.h"

namespace fleetward::lake {

// Where the bytes of one PUT or one part are.
struct ContentRef {
  uint64_t id = 0;  // 0: no bytes at all
  bool inlined = false;
};

// See ContentWriter. Keeps up to `inline_max` bytes in memory, then writes a file.
class LocalContent final : public ContentWriter {
 public:
  LocalContent(ContentFiles& files, size_t inline_max, uint64_t bytes_max,
               std::vector<ChecksumAlgorithm> algorithms);
  ~LocalContent() override;

  StoreStatus append(std::string_view bytes) override;
  uint64_t size() const override { return size_; }

  // Ends the bytes: computes the digests, makes a file durable. Nothing may be appended afterwards.
  StoreStatus seal();
  // Writes the row that makes the content known to the index; part of the transaction that names it.
  void insert(Connection& db) const;
  // The transaction is durable: the bytes stay.
  void commit();

  const Digests& digests() const { return digests_; }
  const std::vector<ChecksumAlgorithm>& algorithms() const { return algorithms_; }
  ContentRef ref() const { return {id_, descriptor_ < 0}; }

 private:
  ContentFiles& files_;
  const size_t inline_max_;
  const uint64_t bytes_max_;
  const std::vector<ChecksumAlgorithm> algorithms_;
  Digests digests_;
  std::string memory_;
  uint64_t size_ = 0;
  uint64_t id_ = 0;
  int descriptor_ = -1;
  bool committed_ = false;
};

// One piece of an object: a PUT is one piece, a multipart object has one for each part.
struct Piece {
  int number = 1;
  uint64_t offset = 0;
  uint64_t size = 0;
  ContentRef content;
  std::string checksum;  // base64; empty if none is known
  std::string bytes;     // if inlined
};

// See ObjectReader. Pins its files, so that they outlive the object's index entry.
class LocalReader final : public ObjectReader {
 public:
  LocalReader(ContentFiles& files, ObjectInfo info, std::vector<Piece> pieces);
  ~LocalReader() override;

  const ObjectInfo& info() const override { return info_; }
  StoreResult<Span> part(int number) const override;
  StoreResult<std::string> read(uint64_t offset, size_t count) override;

 private:
  ContentFiles& files_;
  const ObjectInfo info_;
  const std::vector<Piece> pieces_;
  std::vector<uint64_t> pinned_;
  int descriptor_ = -1;
  uint64_t open_id_ = 0;
};

// Marks the content as no longer named: an inlined one is deleted, a file's id goes to `doomed`, to be handed
// to ContentFiles::doom() once the transaction is durable.
void drop_content(Connection& db, ContentRef content, std::vector<uint64_t>& doomed);

}  // namespace fleetward::lake
