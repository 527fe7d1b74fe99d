#include "detect/history.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <optional>
#include <unordered_map>

#include <xxhash.h>
#include <zstd.h>

#include "detect/bytes.h"
#include "detect/metric.h"

namespace fleetward::detect {
namespace {

constexpr uint8_t kFormat = 2;
constexpr int kZstdLevel = 3;
constexpr uint8_t kXorDoubles = 255;  // in the place of `decimals`
constexpr int kDecimalsMax = 6;

enum Coding : uint8_t { kVarint = 0, kZigzag = 1, kDifferences = 2 };

auto corrupt(const char* what) {
  return fail(ErrorCode::kCorrupt, std::string("metric history: ") + what);
}

using bytes::unzigzag;
using bytes::zigzag;

size_t varint_bytes(uint64_t value) {
  return static_cast<size_t>(std::bit_width(value | 1) + 6) / 7;
}

// The coding whose bytes are the fewest. Differences wrap around, so that any value can follow any other.
void put_integers(const std::vector<uint64_t>& values, Coding plain, std::string& out) {
  size_t plain_bytes = 0, difference_bytes = 0;
  uint64_t last = 0;
  for (const uint64_t value : values) {
    plain_bytes += varint_bytes(plain == kVarint ? value : zigzag(static_cast<int64_t>(value)));
    difference_bytes += varint_bytes(zigzag(static_cast<int64_t>(value - last)));
    last = value;
  }
  const Coding coding = difference_bytes < plain_bytes ? kDifferences : plain;
  out.push_back(static_cast<char>(coding));
  last = 0;
  for (const uint64_t value : values) {
    if (coding == kVarint) {
      bytes::put_varint(out, value);
    } else {
      bytes::put_varint(out, zigzag(static_cast<int64_t>(coding == kZigzag ? value : value - last)));
    }
    last = value;
  }
}

struct IntegerReader {
  uint8_t coding = kVarint;
  uint64_t last = 0;

  uint64_t next(bytes::Reader& in) {
    const uint64_t raw = in.varint();
    if (coding == kVarint) return raw;
    const auto value = static_cast<uint64_t>(unzigzag(raw));
    if (coding == kZigzag) return value;
    last += value;
    return last;
  }
};

// The number as a whole number of 10^-decimals, if that gives back the same bits. nullopt for a negative
// zero, too.
std::optional<int64_t> scaled(double number, int decimals) {
  constexpr double kExact = 1LL << 53;
  const double factor = std::pow(10.0, decimals);
  const double whole = std::nearbyint(number * factor);
  if (!(std::abs(whole) < kExact)) return std::nullopt;
  const auto integer = static_cast<int64_t>(whole);
  const double back = static_cast<double>(integer) / factor;
  if (std::bit_cast<uint64_t>(back) != std::bit_cast<uint64_t>(number)) return std::nullopt;
  return integer;
}

void put_doubles(const std::vector<uint64_t>& bits, std::string& out) {
  std::vector<uint64_t> integers;
  for (int decimals = 0; decimals <= kDecimalsMax; ++decimals) {
    integers.clear();
    for (const uint64_t one : bits) {
      const auto integer = scaled(std::bit_cast<double>(one), decimals);
      if (!integer) break;
      integers.push_back(static_cast<uint64_t>(*integer));
    }
    if (integers.size() < bits.size()) continue;
    out.push_back(static_cast<char>(decimals));
    put_integers(integers, kZigzag, out);
    return;
  }
  out.push_back(static_cast<char>(kXorDoubles));
  uint64_t last = 0;
  for (const uint64_t one : bits) {
    const uint64_t changed = one ^ last;
    const auto left = static_cast<uint8_t>((std::bit_width(changed) + 7) / 8);
    out.push_back(static_cast<char>(left));
    for (int i = left - 1; i >= 0; --i) out.push_back(static_cast<char>(changed >> 8 * i));
    last = one;
  }
}

uint64_t read_xor(bytes::Reader& in, uint64_t last) {
  const uint8_t left = in.u8();
  if (left > 8) in.ok = false;
  uint64_t changed = 0;
  for (const char c : in.take(left)) changed = changed << 8 | static_cast<uint8_t>(c);
  return last ^ changed;
}

void put_dictionary(const std::vector<std::string>& values, std::string& out) {
  std::unordered_map<std::string_view, uint64_t> places;
  std::string entries, indexes;
  for (const std::string& value : values) {
    const auto [it, fresh] = places.emplace(value, places.size());
    if (fresh) bytes::put_string(entries, value);
    bytes::put_varint(indexes, it->second);
  }
  bytes::put_varint(out, places.size());
  out += entries;
  out += indexes;
}

// The usual distance of two times, so that what is left of a regular series is its jitter.
int64_t period_of(const std::vector<int64_t>& times) {
  std::vector<int64_t> gaps;
  for (size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
  if (gaps.empty()) return 0;
  const auto middle = gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2);
  std::nth_element(gaps.begin(), middle, gaps.end());
  return *middle;
}

void put_times(const std::vector<int64_t>& times, std::string& out) {
  const int64_t period = period_of(times);
  std::string column;
  bytes::put_varint(column, times.size());
  bytes::put_varint(column, zigzag(times.front()));
  bytes::put_varint(column, zigzag(period));
  for (size_t i = 1; i < times.size(); ++i) {
    bytes::put_varint(column, zigzag(times[i] - times[i - 1] - period));
  }
  bytes::put_string(out, column);
}

struct TimeReader {
  explicit TimeReader(std::string_view column) : in{column} {
    points = in.count(1);
    time = unzigzag(in.varint());
    period = unzigzag(in.varint());
  }
  // The time of the next point. Wraps around on bytes that were not written here.
  int64_t next() {
    if (at++ > 0) {
      time = static_cast<int64_t>(static_cast<uint64_t>(time) + static_cast<uint64_t>(period) +
                                  static_cast<uint64_t>(unzigzag(in.varint())));
    }
    return time;
  }
  bytes::Reader in;
  size_t points = 0, at = 0;
  int64_t time = 0, period = 0;
};

// The values of one series, in order.
class ValueReader {
 public:
  ValueReader(ValueKind kind, std::string_view column) : kind_(kind), in_{column} {
    if (kind == ValueKind::kNumber) {
      const uint8_t decimals = in_.u8();
      xor_ = decimals == kXorDoubles;
      if (!xor_ && decimals > kDecimalsMax) in_.ok = false;
      factor_ = std::pow(10.0, decimals);
    } else if (kind != ValueKind::kCount) {
      for (size_t left = in_.count(1); in_.ok && left > 0; --left) dictionary_.push_back(in_.string());
      return;
    }
    if (!xor_) {
      integers_.coding = in_.u8();
      if (integers_.coding > kDifferences) in_.ok = false;
    }
  }
  bool ok() const { return in_.ok; }

  // Steps over a value: cheaper than next().
  void skip() { (void)raw(); }
  Result<Value> next() {
    Value out;
    out.kind = kind_;
    const uint64_t got = raw();
    if (!in_.ok) return corrupt("a value is cut short");
    if (kind_ == ValueKind::kCount) {
      out.count = got;
    } else if (kind_ == ValueKind::kNumber) {
      out.number =
          xor_ ? std::bit_cast<double>(got) : static_cast<double>(static_cast<int64_t>(got)) / factor_;
    } else {
      std::string_view encoded = dictionary_[got];
      auto value = decode_value(encoded);
      if (!value || value->kind != kind_) return corrupt("a value of the dictionary does not parse");
      return value;
    }
    return out;
  }

 private:
  uint64_t raw() {
    if (kind_ != ValueKind::kCount && kind_ != ValueKind::kNumber) {
      const uint64_t index = in_.varint();
      if (index >= dictionary_.size()) in_.ok = false;
      return index;
    }
    if (!xor_) return integers_.next(in_);
    last_ = read_xor(in_, last_);
    return last_;
  }

  ValueKind kind_;
  bytes::Reader in_;
  bool xor_ = false;
  double factor_ = 1;
  uint64_t last_ = 0;
  IntegerReader integers_;
  std::vector<std::string_view> dictionary_;
};

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Contexts are a hundred kilobytes and more, so a thread keeps its own.
ZSTD_CCtx* compressor() {
  thread_local std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  return context.get();
}
ZSTD_DCtx* decompressor() {
  thread_local std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  return context.get();
}

Result<std::string> seal(const std::string& body) {
  if (body.size() > kHistoryBodyBytesMax) {
    return fail(ErrorCode::kLimitExceeded, "metric history: one event kept too much for a chunk");
  }
  std::string rest;
  bytes::put_varint(rest, body.size());
  const size_t begin = rest.size();
  rest.resize(begin + ZSTD_compressBound(body.size()));
  const size_t size = ZSTD_compressCCtx(compressor(), rest.data() + begin, rest.size() - begin, body.data(),
                                        body.size(), kZstdLevel);
  if (ZSTD_isError(size) != 0) return fail(ErrorCode::kInternal, "metric history: no memory to compress");
  rest.resize(begin + size);
  std::string out(1, static_cast<char>(kFormat));
  bytes::put_u64(out, XXH3_64bits(rest.data(), rest.size()));
  return out + rest;
}

}  // namespace

uint8_t row_code(std::string_view series) {
  const MetricInfo* builtin = find_builtin(series);
  return builtin == nullptr ? 0 : static_cast<uint8_t>(static_cast<uint8_t>(builtin->id) + 1);
}

void put_row_value(uint8_t code, std::string_view series, const ValueView& value, std::string& row) {
  bytes::put_varint(row, code);
  if (code == 0) bytes::put_string(row, series);
  encode_value(value, row);
}

Status visit_row(std::string_view row, const std::function<void(std::string_view, std::string_view)>& each) {
  while (!row.empty()) {
    bytes::Reader in{row};
    const uint64_t code = in.varint();
    if (code > kBuiltinCount) return corrupt("a row has an unknown series");
    const std::string_view series = code == 0 ? in.string() : info_of(static_cast<Builtin>(code - 1)).name;
    if (!in.ok) return corrupt("a row is cut short");
    const std::string_view encoded = take_encoded_value(in.rest);
    if (encoded.empty()) return corrupt("a row is cut short");
    each(series, encoded);
    row = in.rest;
  }
  return {};
}

Status HistoryBuilder::add(Timestamp time, std::string_view row) {
  bool fine = true;
  auto parsed = visit_row(row, [&](std::string_view, std::string_view encoded) {
    fine = fine && decode_value(encoded).has_value();
  });
  if (!parsed) return parsed;
  if (!fine) return corrupt("a value of a row does not parse");
  ++rows_;
  row_bytes_ += row.size();
  return visit_row(row, [&](std::string_view series, std::string_view encoded) {
    const auto kind = static_cast<ValueKind>(encoded.front());
    Column& column = columns_[{std::string(series), kind}];
    column.times.push_back(time.ms);
    if (kind != ValueKind::kCount && kind != ValueKind::kNumber) {
      column.values.emplace_back(encoded);
      return;
    }
    bytes::Reader in{encoded.substr(1)};
    column.scalars.push_back(kind == ValueKind::kCount ? in.varint() : in.u64());
  });
}

Result<std::string> HistoryBuilder::take() {
  std::string times, series;
  std::map<std::vector<int64_t>, size_t> places;
  for (auto& [key, column] : columns_) {
    const auto [place, fresh] = places.emplace(std::move(column.times), places.size());
    if (fresh) put_times(place->first, times);
    bytes::put_string(series, key.first);
    series.push_back(static_cast<char>(key.second));
    bytes::put_varint(series, place->second);
    std::string values;
    if (key.second == ValueKind::kCount) {
      put_integers(column.scalars, kVarint, values);
    } else if (key.second == ValueKind::kNumber) {
      put_doubles(column.scalars, values);
    } else {
      put_dictionary(column.values, values);
    }
    bytes::put_string(series, values);
  }
  std::string body;
  bytes::put_varint(body, places.size());
  bytes::put_varint(body, columns_.size());
  body += times;
  body += series;
  columns_.clear();
  rows_ = row_bytes_ = 0;
  return seal(body);
}

Result<HistoryChunk> HistoryChunk::open(std::string_view stored) {
  bytes::Reader in{stored};
  if (in.u8() != kFormat) return corrupt("a chunk of an unknown format");
  const uint64_t checksum = in.u64();
  if (!in.ok || XXH3_64bits(in.rest.data(), in.rest.size()) != checksum) {
    return corrupt("a chunk's checksum does not match");
  }
  const uint64_t size = in.varint();
  if (!in.ok || size > kHistoryBodyBytesMax) return corrupt("a chunk's length does not parse");
  HistoryChunk out;
  out.body_.resize(size);
  const size_t got =
      ZSTD_decompressDCtx(decompressor(), out.body_.data(), size, in.rest.data(), in.rest.size());
  if (ZSTD_isError(got) != 0 || got != size) return corrupt("a chunk does not decompress");
  if (auto ok = out.parse(); !ok) return fail(ok.error());
  return out;
}

Status HistoryChunk::parse() {
  bytes::Reader in{{body_.data(), body_.size()}};
  const size_t times = in.count(1), series = in.count(1);
  for (size_t i = 0; in.ok && i < times; ++i) times_.push_back(in.string());
  for (size_t i = 0; in.ok && i < series; ++i) {
    Series one;
    one.name = in.string();
    const uint8_t kind = in.u8();
    if (kind > static_cast<uint8_t>(ValueKind::kStrings)) in.ok = false;
    one.kind = static_cast<ValueKind>(kind);
    one.times = in.varint();
    if (one.times >= times_.size()) in.ok = false;
    one.values = in.string();
    series_.push_back(one);
  }
  if (!in.ok || !in.rest.empty()) return corrupt("a chunk's columns do not parse");
  return {};
}

Status HistoryChunk::visit(std::string_view series, Timestamp from, const Visit& visit) const {
  // Columns of one name differ in kind: the metric was made anew with another type in between.
  struct Cursor {
    TimeReader times;
    ValueReader values;
    int64_t time = 0;
  };
  std::vector<Cursor> cursors;
  const auto advance = [](Cursor& cursor) {
    if (cursor.times.at == cursor.times.points) return false;
    cursor.time = cursor.times.next();
    return true;
  };
  for (const Series& one : series_) {
    if (one.name != series) continue;
    Cursor cursor{TimeReader(times_[one.times]), ValueReader(one.kind, one.values)};
    bool more = advance(cursor);
    while (more && cursor.time < from.ms && cursor.times.in.ok && cursor.values.ok()) {
      cursor.values.skip();
      more = advance(cursor);
    }
    if (!cursor.times.in.ok || !cursor.values.ok()) return corrupt("a column does not parse");
    if (more) cursors.push_back(std::move(cursor));
  }
  while (!cursors.empty()) {
    const auto first = std::min_element(cursors.begin(), cursors.end(),
                                        [](const Cursor& a, const Cursor& b) { return a.time < b.time; });
    auto value = first->values.next();
    if (!value) return fail(value.error());
    if (!visit({first->time}, std::move(*value))) return {};
    const bool more = advance(*first);
    if (!first->times.in.ok) return corrupt("a column of times does not parse");
    if (!more) cursors.erase(first);
  }
  return {};
}

std::vector<std::string_view> HistoryChunk::series() const {
  std::vector<std::string_view> out;
  for (const Series& one : series_) out.push_back(one.name);
  return out;
}

}  // namespace fleetward::detect
