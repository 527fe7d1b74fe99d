#pragma once

#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/logger.h"
#include "core/metrics.h"
#include "core/result.h"
#include "core/time.h"
#include "detect/history.h"
#include "log/log.h"
#include "pipeline/stage_thread.h"

namespace fleetward::pipeline {

struct HistoryFoldOptions {
  uint32_t partitions = 8;  // of "events"
  // After the end of a day until it is folded: the detect stage has then read what came in that day.
  Duration settle{10LL * 60 * 1000};
  Duration values_kept{14LL * 24 * 3600 * 1000};  // rows of days before are left to their erasure
  // Of one step: then it ends with the thing under way, whose chunk may take kHistoryRowsMax rows and
  // kHistoryRowBytesMax bytes more.
  size_t rows_max = 1000;
  size_t bytes_max = 1 << 20;
  Duration pause{5};      // between two steps, for everyone else who wants a core or the disk
  Duration idle{30'000};  // between two looks for something to fold
};

// Turns what was kept of things in days that are over into one chunk for each thing and day
// (detect/history.h), a slice at a time. A slice is one write, which puts chunks and erases their rows, so
// that a reader finds every point once at any moment, also after a crash. Rows that come to a day later get a
// chunk of their own.
//
// What is between a slice's first and last key must not change between reading and writing it: the detect
// stage, the only writer of rows, claims the days it writes to. One thread, its own; alarms do not wait for
// it, however much there is to fold.
class HistoryFold {
 public:
  HistoryFold(HistoryFoldOptions options, log::Log& log, const Clock& clock, Logger& logger,
              Metrics& metrics);
  ~HistoryFold();  // stops

  void start();
  void stop();

  // The detect stage, before it submits rows of days from `oldest` on; until release() none of them is
  // folded. Waits while a slice of such a day is under way, which is for late rows only.
  void claim(uint32_t partition, int64_t oldest);
  // The rows are there.
  void release(uint32_t partition);

  // One slice, of days that are over. False if there was nothing to fold (or the log is in trouble). The
  // error is the log's; nothing has changed then, or all of the slice. For tests, on the caller's thread.
  Result<bool> step();

 private:
  static constexpr int64_t kNoDay = std::numeric_limits<int64_t>::max();
  // Of one partition; under mutex_ but for what only the folding thread writes, where it reads it.
  struct Progress {
    int64_t day = 0;           // written by the folding thread
    std::string from;          // likewise: rows of the day below it are folded
    int64_t claimed = kNoDay;  // the oldest day that the detect stage is writing to
    int64_t late = kNoDay;     // the oldest day with rows that came after it was folded
  };
  class Slice;
  enum class Next { kSlice, kNothing, kClaimed };

  void run();
  Next next(uint32_t partition, int64_t first, int64_t end);
  void move_on(uint32_t partition, int64_t day, std::string from);
  Result<bool> fold_slice(uint32_t partition);

  const HistoryFoldOptions options_;
  log::Log& log_;
  const Clock& clock_;
  Logger& logger_;
  prometheus::Counter &rows_, &chunks_, &chunk_bytes_, &corrupt_;
  std::mutex mutex_;
  std::condition_variable slice_done_;
  std::vector<Progress> partitions_;
  uint32_t under_way_ = 0;           // partition of the slice under way, if
  int64_t under_way_day_ = -kNoDay;  // there is one; under mutex_
  StageThread thread_;
};

}  // namespace fleetward::pipeline
