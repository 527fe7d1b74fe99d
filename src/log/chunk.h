#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "log/log.h"

// Consecutive records of one partition, stored under one key. Layout: varint count; 8 bytes little-endian,
// the first record's time in ms; then for each record: zigzag varint, its time less the one before; varint
// length; the value.
namespace fleetward::log {

inline constexpr size_t kChunkBytesMax = 64 * 1024;  // a chunk is closed once it is this long

class ChunkBuilder {
 public:
  void add(std::string_view value, Timestamp appended);
  size_t count() const { return count_; }
  bool full() const { return body_.size() >= kChunkBytesMax; }
  // The stored form; the builder is empty afterwards.
  std::string take();

 private:
  size_t count_ = 0;
  int64_t first_ms_ = 0;
  int64_t last_ms_ = 0;
  std::string body_;
};

// Appends to `out` the chunk's records with offset >= from, until their values reach `bytes_left` (the first
// record of `out` always fits). `last` is the offset of the chunk's last record. False in `*more` once the
// bound is reached. kCorrupt if the chunk does not parse.
Status decode_chunk(std::string_view chunk, Offset last, Offset from, size_t& bytes_left, bool* more,
                    std::vector<Record>& out);

}  // namespace fleetward::log
