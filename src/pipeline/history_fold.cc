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

HistoryFold::HistoryFold(HistoryFoldOptions options, log::Log& log, const Clock& clock, Logger& logger,
                         Metrics& metrics)
    : options_(options),
      log_(log),
      clock_(clock),
      logger_(logger),
      rows_(
          metrics.counter("fleetward_detect_history_rows_total", "Kept events folded into history chunks.")),
      chunks_(metrics.counter("fleetward_detect_history_chunks_total", "History chunks written.")),
      chunk_bytes_(
          metrics.counter("fleetward_detect_history_bytes_total", "Bytes of history chunks written.")),
      corrupt_(metrics.counter("fleetward_detect_history_corrupt_total",
                               "Kept events that could not be folded and were dropped.")),
      partitions_(options.partitions) {}

HistoryFold::~HistoryFold() {
  stop();
}

void HistoryFold::start() {
  thread_.start([this] { run(); });
}

void HistoryFold::stop() {
  thread_.stop();
}

void HistoryFold::run() {
  bool failed = false;
  for (bool more = true; thread_.pause(more ? options_.pause : options_.idle);) {
    const auto folded = step();
    if (!folded && !failed) logger_.error("detect.folding_stalled", {{"reason", folded.error().message}});
    failed = !folded;
    more = folded && *folded;
  }
}

void HistoryFold::claim(uint32_t partition, int64_t oldest) {
  std::unique_lock lock(mutex_);
  slice_done_.wait(lock, [&] { return under_way_ != partition || under_way_day_ < oldest; });
  Progress& progress = partitions_[partition];
  progress.claimed = oldest;
  if (oldest < progress.day || (oldest == progress.day && !progress.from.empty())) {
    progress.late = std::min(progress.late, oldest);
  }
}

void HistoryFold::release(uint32_t partition) {
  const std::lock_guard lock(mutex_);
  partitions_[partition].claimed = kNoDay;
}

// Whether there is a day to look into; kSlice: nobody writes to it until move_on(). Late rows wait until the
// days after theirs are done, so that each costs no search of its own.
HistoryFold::Next HistoryFold::next(uint32_t partition, int64_t first, int64_t end) {
  const std::lock_guard lock(mutex_);
  Progress& progress = partitions_[partition];
  if (progress.day >= end && progress.late < end) {
    progress.day = progress.late;
    progress.from.clear();
    progress.late = kNoDay;
  }
  if (progress.day < first) {
    progress.day = first;
    progress.from.clear();
  }
  if (progress.day >= end) return Next::kNothing;
  if (progress.claimed <= progress.day) return Next::kClaimed;
  under_way_ = partition;
  under_way_day_ = progress.day;
  return Next::kSlice;
}

void HistoryFold::move_on(uint32_t partition, int64_t day, std::string from) {
  {
    const std::lock_guard lock(mutex_);
    partitions_[partition].day = day;
    partitions_[partition].from = std::move(from);
    under_way_day_ = -kNoDay;
  }
  slice_done_.notify_all();
}

Result<bool> HistoryFold::step() {
  // In trouble a write that was refused may yet turn out to be there, with rows that this would erase unread.
  if (!log_.trouble().empty()) return false;
  const Timestamp now = clock_.now();
  const int64_t first = keys::day_of(now - options_.values_kept), end = keys::day_of(now - options_.settle);
  bool claimed = false;
  for (uint32_t partition = 0; partition < partitions_.size(); ++partition) {
    for (;;) {
      const Next found = next(partition, first, end);
      claimed = claimed || found == Next::kClaimed;
      if (found != Next::kSlice) break;
      auto folded = fold_slice(partition);
      if (!folded || *folded) return folded;
    }
  }
  return claimed;
}

// True if it wrote.
Result<bool> HistoryFold::fold_slice(uint32_t partition) {
  const Progress& at = partitions_[partition];  // this thread's members
  const int64_t today = at.day;
  const std::string day = keys::values_day(partition, today), day_end = keys::after_prefix(day);
  const std::string begin = std::max(at.from, day);
  Slice slice(*this, partition, today);
  std::string end;
  auto read = [&]() -> Status {
    for (std::string from = begin; end.empty();) {
      auto page = log_.scan(from, day_end, kReadRows);
      if (!page) return fail(page.error());
      for (const log::KeyValue& row : *page) {
        if (slice.add(row)) continue;
        end = row.key;
        return {};
      }
      if (page->size() < kReadRows) {
        end = day_end;
      } else {
        from = page->back().key + '\0';
      }
    }
    return {};
  };
  Status done = read();
  if (done && slice.rows > 0) {
    slice.close_chunk();
    slice.batch.erase_range(begin, end);
    const auto written = log_.write(std::move(slice.batch));
    if (!written) done = fail(written.error());
  }
  if (!done) {
    move_on(partition, today, begin);
    return fail(done.error());
  }
  if (slice.rows == 0) {
    move_on(partition, today + 1, {});
    return false;
  }
  move_on(partition, today, std::move(end));
  rows_.Increment(static_cast<double>(slice.rows));
  chunks_.Increment(static_cast<double>(slice.chunks));
  chunk_bytes_.Increment(static_cast<double>(slice.chunk_bytes));
  return true;
}

}  // namespace fleetward::pipeline
