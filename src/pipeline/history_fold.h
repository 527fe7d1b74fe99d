#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/logger.h"
#include "core/metrics.h"
#include "core/result.h"
#include "core/time.h"
#include "detect/history.h"
#include "log/log.h"

namespace fleetward::pipeline {

struct HistoryFoldOptions {
  uint32_t partitions = 8;  // of "events"
  // After the end of a day until it is folded: the detect stage has then read what came in that day.
  Duration settle{10LL * 60 * 1000};
  // Of one step: then it ends with the thing under way, whose chunk may take kHistoryRowsMax rows and
  // kHistoryRowBytesMax bytes more.
  size_t rows_max = 2000;
  size_t bytes_max = 4 << 20;
};

// Turns what was kept of things in days that are over into one chunk for each thing and day
// (detect/history.h), a slice at a time. A slice is one write, which puts chunks and erases their rows, so
// that a reader finds every point once at any moment, also after a crash. Rows that come to a day later stay
// as they are until the next start, whose folding gives them a chunk of their own.
//
// Belongs to the detect stage, the only writer of rows, and its thread: what is between a slice's first and
// last key must not change between reading and writing it.
class HistoryFold {
 public:
  HistoryFold(HistoryFoldOptions options, log::Log& log, Logger& logger, Metrics& metrics);

  // One slice, of days from `oldest` on that are over at `now`. False if there was nothing to fold (or the
  // log is in trouble). The error is the log's; nothing has changed then, or all of the slice.
  Result<bool> step(Timestamp oldest, Timestamp now);

 private:
  struct Cursor {
    int64_t day = 0;
    std::string from;  // rows of the day below it are folded
  };
  class Slice;
  Result<bool> fold_slice(uint32_t partition, Cursor& cursor);

  const HistoryFoldOptions options_;
  log::Log& log_;
  Logger& logger_;
  prometheus::Counter &rows_, &chunks_, &chunk_bytes_, &corrupt_;
  std::vector<Cursor> cursors_;
};

}  // namespace fleetward::pipeline
