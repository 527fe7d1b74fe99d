#include <algorithm>

#include "detect/history.h"
#include "pipeline/detect_keys.h"
#include "pipeline/detect_queries.h"
#include "pipeline/report_intake.h"

// DetectQueries::values: rows as they were kept and chunks of history, merged.
namespace fleetward::pipeline {
namespace {

constexpr size_t kRowsRead = 256;  // of one read
constexpr size_t kChunksRead = 4;
constexpr size_t kTokenBytes = 12;  // time, points of that time already shown

// Where a listing goes on: with the points of `time`, less the first `shown` of them.
struct Place {
  Timestamp time;
  uint32_t shown = 0;

  static Place parse(std::string_view token) {
    if (token.size() != kTokenBytes) return {{INT64_MIN}, 0};
    Place out{{static_cast<int64_t>(keys::read_be64(token))}, 0};
    for (const char c : token.substr(8)) out.shown = out.shown << 8 | static_cast<uint8_t>(c);
    return out;
  }
  std::string token() const {
    std::string out;
    keys::put_be64(out, static_cast<uint64_t>(time.ms));
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(shown >> shift));
    return out;
  }
};

// Reads a thing's points of a series, one day at a time.
class DayReader {
 public:
  DayReader(const log::Log& log, uint32_t partition, std::string_view thing, std::string_view series)
      : log_(log), partition_(partition), thing_(thing), series_(series) {}

  // The first `count_max` points of the day in [from, to], oldest first. Fewer if reading became too much:
  // then `stopped_at` tells the time from which points are missing.
  Status read(int64_t day, Timestamp from, Timestamp to, size_t count_max) {
    points.clear();
    stopped_at = {INT64_MAX};
    if (auto ok = read_chunks(day, from, to, count_max); !ok) return ok;
    if (auto ok = read_rows(day, from, to, count_max); !ok) return ok;
    std::stable_sort(points.begin(), points.end(),
                     [](const MetricPoint& a, const MetricPoint& b) { return a.time < b.time; });
    const auto missing = std::find_if(points.begin(), points.end(),
                                      [&](const MetricPoint& point) { return point.time >= stopped_at; });
    points.erase(missing, points.end());
    return {};
  }
  bool exhausted() const {
    return rows_ >= DetectQueries::kScannedMax || chunk_bytes_ >= DetectQueries::kChunkBytesMax;
  }

  std::vector<MetricPoint> points;
  Timestamp stopped_at;

 private:
  Status read_chunks(int64_t day, Timestamp from, Timestamp to, size_t count_max) {
    const std::string prefix = keys::history_of(partition_, day, thing_);
    const std::string end = keys::after_prefix(prefix);
    for (std::string begin = prefix;;) {
      auto page = log_.scan(begin, end, kChunksRead);
      if (!page) return fail(page.error());
      for (const log::KeyValue& entry : *page) {
        const std::string_view tail =
            std::string_view(entry.key).substr(entry.key.size() - keys::kValuesTail);
        if (static_cast<int64_t>(keys::read_be64(tail)) > to.ms) return {};
        auto chunk = detect::HistoryChunk::open(entry.value);
        if (!chunk) return fail(chunk.error());
        chunk_bytes_ += chunk->bytes();
        size_t taken = 0;
        auto visited = chunk->visit(series_, from, [&](Timestamp time, detect::Value value) {
          if (time > to || taken++ == count_max) return false;
          points.push_back({time, std::move(value)});
          return true;
        });
        if (!visited) return visited;
      }
      if (page->size() < kChunksRead) return {};
      begin = page->back().key + '\0';
    }
  }

  Status read_rows(int64_t day, Timestamp from, Timestamp to, size_t count_max) {
    std::string begin = keys::values_from(partition_, day, thing_, from);
    const std::string end = keys::values_from(partition_, day, thing_, to + Duration{1});
    Timestamp last{INT64_MIN};
    for (size_t taken = 0; taken < count_max && begin < end;) {
      auto page = log_.scan(begin, end, kRowsRead);
      if (!page) return fail(page.error());
      for (const log::KeyValue& entry : *page) {
        const std::string_view tail =
            std::string_view(entry.key).substr(entry.key.size() - keys::kValuesTail);
        const Timestamp time{static_cast<int64_t>(keys::read_be64(tail))};
        // Not before a time was read whole, so that every page goes on.
        if (exhausted() && last.ms != INT64_MIN && time > last) {
          stopped_at = time;
          return {};
        }
        ++rows_;
        last = time;
        taken += add_row(time, entry.value);
      }
      if (page->size() < kRowsRead) return {};
      begin = page->back().key + '\0';
    }
    return {};
  }

  // A row, or the rest of one, that does not parse has no values.
  size_t add_row(Timestamp time, std::string_view row) {
    const size_t before = points.size();
    (void)detect::visit_row(row, [&](std::string_view series, std::string_view encoded) {
      if (series != series_) return;
      if (auto value = detect::decode_value(encoded)) points.push_back({time, std::move(*value)});
    });
    return points.size() - before;
  }

  const log::Log& log_;
  const uint32_t partition_;
  const std::string_view thing_, series_;
  size_t rows_ = 0, chunk_bytes_ = 0;
};

}  // namespace

Result<QueryPage<MetricPoint>> DetectQueries::values(std::string_view thing, std::string_view series,
                                                     Timestamp from, Timestamp to, std::string_view after,
                                                     size_t count_max) const {
  QueryPage<MetricPoint> out;
  Place place = Place::parse(after);
  if (place.time < from) place = {from, 0};
  uint32_t skip = place.shown;
  DayReader reader(log_, partition_of(thing, partitions_), thing, series);
  for (int64_t day = keys::day_of(place.time); day <= keys::day_of(to); ++day) {
    const Timestamp begin{std::max(place.time.ms, keys::start_of(day).ms)};
    // One more than is shown, to know whether there is another page.
    if (auto ok = reader.read(day, begin, to, skip + count_max - out.entries.size() + 1); !ok) {
      return fail(ok.error());
    }
    for (MetricPoint& point : reader.points) {
      if (skip > 0 && point.time == place.time) {
        --skip;
        continue;
      }
      if (out.entries.size() == count_max) {
        out.next = place.token();
        return out;
      }
      if (point.time != place.time) place = {point.time, 0};
      ++place.shown;
      out.entries.push_back(std::move(point));
    }
    skip = 0;
    if (reader.stopped_at.ms != INT64_MAX) {
      out.next = Place{reader.stopped_at, 0}.token();
      return out;
    }
    if (reader.exhausted() && day < keys::day_of(to)) {
      out.next = Place{keys::start_of(day + 1), 0}.token();
      return out;
    }
  }
  return out;
}

}  // namespace fleetward::pipeline
