#include "pipeline/history_fold.h"

#include <algorithm>

#include "pipeline/detect_keys.h"

namespace fleetward::pipeline {
namespace {

constexpr size_t kReadRows = 256;  // of one read

}  // namespace

// The chunks of one step, under construction.
class HistoryFold::Slice {
 public:
  Slice(HistoryFold& fold, uint32_t partition, int64_t day)
      : fold_(fold),
        rows_prefix_(keys::values_day(partition, day)),
        chunks_prefix_(keys::history_day(partition, day)) {}

  // False: the row is for the next slice.
  bool add(const log::KeyValue& row) {
    const std::string_view place = std::string_view(row.key).substr(rows_prefix_.size());
    if (place.size() <= keys::kValuesTail) return true;  // no key of ours
    const std::string_view thing = place.substr(0, place.size() - keys::kValuesTail);
    if (thing != thing_ || builder_.full()) {
      if (rows >= fold_.options_.rows_max || bytes_ >= fold_.options_.bytes_max) return false;
      close_chunk();
      thing_ = thing;
    }
    ++rows;
    bytes_ += row.value.size();
    const Timestamp time{static_cast<int64_t>(keys::read_be64(place.substr(thing.size())))};
    if (builder_.empty()) chunk_key_ = chunks_prefix_ + std::string(place);
    if (auto ok = builder_.add(time, row.value); !ok) report(ok.error());
    return true;
  }

  void close_chunk() {
    if (builder_.empty()) return;
    auto chunk = builder_.take();
    if (!chunk) return report(chunk.error());
    ++chunks;
    chunk_bytes += chunk->size();
    batch.put(std::move(chunk_key_), std::move(*chunk));
  }

  log::Batch batch;
  size_t rows = 0, chunks = 0, chunk_bytes = 0;

 private:
  void report(const Error& error) {
    fold_.corrupt_.Increment();
    fold_.logger_.error("detect.history_lost",
                        {{"thing", thing_.substr(0, thing_.find('\0'))}, {"reason", error.message}});
  }

  HistoryFold& fold_;
  const std::string rows_prefix_, chunks_prefix_;
  std::string thing_, chunk_key_;  // thing_ with its zero byte
  detect::HistoryBuilder builder_;
  size_t bytes_ = 0;
};

HistoryFold::HistoryFold(HistoryFoldOptions options, log::Log& log, Logger& logger, Metrics& metrics)
    : options_(options),
      log_(log),
      logger_(logger),
      rows_(
          metrics.counter("fleetward_detect_history_rows_total", "Kept events folded into history chunks.")),
      chunks_(metrics.counter("fleetward_detect_history_chunks_total", "History chunks written.")),
      chunk_bytes_(
          metrics.counter("fleetward_detect_history_bytes_total", "Bytes of history chunks written.")),
      corrupt_(metrics.counter("fleetward_detect_history_corrupt_total",
                               "Kept events that could not be folded and were dropped.")),
      cursors_(options.partitions) {}

Result<bool> HistoryFold::step(Timestamp oldest, Timestamp now) {
  // In trouble a write that was refused may yet turn out to be there, with rows that this would erase unread.
  if (!log_.trouble().empty()) return false;
  const int64_t first = keys::day_of(oldest), end = keys::day_of(now - options_.settle);
  for (uint32_t partition = 0; partition < cursors_.size(); ++partition) {
    Cursor& cursor = cursors_[partition];
    if (cursor.day < first) cursor = {first, {}};
    while (cursor.day < end) {
      auto folded = fold_slice(partition, cursor);
      if (!folded || *folded) return folded;
      cursor = {cursor.day + 1, {}};
    }
  }
  return false;
}

Result<bool> HistoryFold::fold_slice(uint32_t partition, Cursor& cursor) {
  const std::string day = keys::values_day(partition, cursor.day), day_end = keys::after_prefix(day);
  const std::string begin = std::max(cursor.from, day);
  Slice slice(*this, partition, cursor.day);
  std::string from = begin, end;
  while (end.empty()) {
    auto page = log_.scan(from, day_end, kReadRows);
    if (!page) return fail(page.error());
    for (const log::KeyValue& row : *page) {
      if (slice.add(row)) continue;
      end = row.key;
      break;
    }
    if (!end.empty()) break;
    if (page->size() < kReadRows) {
      end = day_end;
    } else {
      from = page->back().key + '\0';
    }
  }
  slice.close_chunk();
  if (slice.rows == 0) return false;
  slice.batch.erase_range(begin, end);
  if (auto done = log_.write(std::move(slice.batch)); !done) return fail(done.error());
  rows_.Increment(static_cast<double>(slice.rows));
  chunks_.Increment(static_cast<double>(slice.chunks));
  chunk_bytes_.Increment(static_cast<double>(slice.chunk_bytes));
  cursor.from = std::move(end);
  return true;
}

}  // namespace fleetward::pipeline
