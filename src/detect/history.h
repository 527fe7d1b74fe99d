#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "detect/value.h"

// Metric history: what was kept of one thing, as rows (one for each event) and folded into chunks, which take
// a tenth of the room.
//
// A row is ([series][value])*, see encode_value; a series is a varint n: Builtin n - 1 without a dimension,
// or 0 and its counted name. A chunk is columns, compressed:
//
//   u8 format (2); u64 little-endian XXH3 of what follows; varint bytes of the body; the body as a zstd frame
//
//   body:   varint time columns, varint series, then all of them
//   time column: varint bytes of what follows; varint points (n >= 1); zigzag first, period;
//           n - 1 times zigzag (this - the one before - period); milliseconds
//   series: counted name; u8 kind of value; varint its time column; varint bytes of what follows; a value for
//           each point of the time column, by kind:
//           count:  integers
//           number: u8 decimals; integers, to be divided by 10^decimals. Or, if decimals is 255: for each
//                   u64 ^ the one before, without its leading zero bytes: u8 bytes left, then these
//           others: varint entries of a dictionary, each a counted encode_value; a varint index for each
//           point
//   integers: u8 coding: 0 varint; 1 zigzag; 2 zigzag differences (of the first to 0)
//
// Series with the same times share a time column: what came in one report, what one tick made.
namespace fleetward::detect {

inline constexpr size_t kHistoryRowsMax = 4096;           // of a chunk
inline constexpr size_t kHistoryRowBytesMax = 1 << 20;    // of a chunk's rows, beyond which it takes no more
inline constexpr size_t kHistoryBodyBytesMax = 16 << 20;  // what a reader decompresses

// The number of a series in rows; 0: it goes by its name.
uint8_t row_code(std::string_view series);
// Adds a value to a row; `code` is row_code(series).
void put_row_value(uint8_t code, std::string_view series, const ValueView& value, std::string& row);

// Calls each(series, encoded value) for the parts of a row. kCorrupt if it is not one (after the parts
// before).
Status visit_row(std::string_view row,
                 const std::function<void(std::string_view series, std::string_view encoded)>& each);

// Gathers rows of one thing into a chunk. One thread.
class HistoryBuilder {
 public:
  // `time` is not before that of the row added last. kCorrupt, and nothing is added, if it is not a row.
  Status add(Timestamp time, std::string_view row);
  bool empty() const { return rows_ == 0; }
  bool full() const { return rows_ >= kHistoryRowsMax || row_bytes_ >= kHistoryRowBytesMax; }
  // The chunk; the builder is empty afterwards. kLimitExceeded (and it is empty) if no reader would take it,
  // which one row alone of more than kHistoryBodyBytesMax can lead to.
  Result<std::string> take();

 private:
  struct Column {
    std::vector<int64_t> times;
    std::vector<uint64_t> scalars;    // counts, or the bits of numbers
    std::vector<std::string> values;  // others, encoded
  };
  std::map<std::pair<std::string, ValueKind>, Column, std::less<>> columns_;
  size_t rows_ = 0, row_bytes_ = 0;
};

// A chunk, opened for reading. Immutable; moves, as its parts are views of its own bytes.
class HistoryChunk {
 public:
  HistoryChunk(HistoryChunk&&) noexcept = default;
  HistoryChunk& operator=(HistoryChunk&&) noexcept = default;

  // kCorrupt if it is no chunk, was changed, or is one of a later format.
  static Result<HistoryChunk> open(std::string_view stored);

  using Visit = std::function<bool(Timestamp time, Value value)>;
  // The points of a series from `from` on in order of time (those of one time and kind in the order in which
  // they were added) until `visit` answers false. kCorrupt if they do not parse.
  Status visit(std::string_view series, Timestamp from, const Visit& visit) const;
  std::vector<std::string_view> series() const;
  size_t bytes() const { return body_.size(); }

 private:
  struct Series {
    std::string_view name;
    ValueKind kind = ValueKind::kCount;
    size_t times = 0;
    std::string_view values;
  };
  HistoryChunk() = default;
  Status parse();

  std::vector<char> body_;
  std::vector<std::string_view> times_;  // views of body_
  std::vector<Series> series_;
};

}  // namespace fleetward::detect
