#include "detect/history.h"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "detect/bytes.h"

namespace fleetward::detect {
namespace {

struct Kept {
  int64_t time;
  std::string series, value;  // encoded
};

std::string encoded(const Value& value) {
  std::vector<std::string_view> texts(value.strings.begin(), value.strings.end());
  ValueView view;
  view.kind = value.kind;
  view.count = value.count;
  view.number = value.number;
  view.addresses = value.addresses;
  view.ports = value.ports;
  view.numbers = value.numbers;
  view.strings = texts;
  std::string out;
  encode_value(view, out);
  return out;
}
Value number(double n) {
  Value out;
  out.kind = ValueKind::kNumber;
  out.number = n;
  return out;
}
std::string row_of(std::initializer_list<std::pair<std::string, Value>> parts) {
  std::string out;
  for (const auto& [series, value] : parts) {
    const uint8_t code = row_code(series);
    bytes::put_varint(out, code);
    if (code == 0) bytes::put_string(out, series);
    out += encoded(value);
  }
  return out;
}

std::vector<Kept> read(const HistoryChunk& chunk, const std::string& series, int64_t from = INT64_MIN,
                       size_t count_max = SIZE_MAX) {
  std::vector<Kept> out;
  const auto ok = chunk.visit(series, {from}, [&](Timestamp time, const Value& value) {
    out.push_back({time.ms, series, encoded(value)});
    return out.size() < count_max;
  });
  EXPECT_TRUE(ok) << ok.error().message;
  return out;
}

bool operator==(const Kept& a, const Kept& b) {
  return a.time == b.time && a.series == b.series && a.value == b.value;
}

// Values as devices send them and values as nobody does.
class Source {
 public:
  explicit Source(uint64_t seed) : random_(seed) {}
  uint64_t below(uint64_t bound) { return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_); }

  Value value(ValueKind kind, uint64_t style) {
    Value out;
    out.kind = kind;
    switch (kind) {
      case ValueKind::kCount:
        out.count = style == 0 ? below(5) : style == 1 ? last_ += below(1000) : random_();
        break;
      case ValueKind::kNumber:
        out.number = a_number(style);
        break;
      case ValueKind::kCidrs:
        for (uint64_t n = below(4); n > 0; --n) {
          IpAddress address;
          IpAddress::parse("192.0.2." + std::to_string(below(250)), address);
          out.addresses.push_back(address);
        }
        break;
      case ValueKind::kPorts:
        for (uint64_t n = below(4); n > 0; --n) out.ports.push_back(static_cast<uint16_t>(below(65536)));
        break;
      case ValueKind::kNumbers:
        for (uint64_t n = below(4); n > 0; --n) out.numbers.push_back(a_number(style));
        break;
      case ValueKind::kStrings:
        for (uint64_t n = below(4); n > 0; --n) out.strings.push_back("unit-" + std::to_string(below(9)));
        break;
    }
    return out;
  }

 private:
  double a_number(uint64_t style) {
    constexpr double kOdd[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 5e-324, 1.7976931348623157e308, -1.0 / 3};
    if (style == 0) return static_cast<double>(below(2000)) / 10 - 100;
    if (style == 1) return static_cast<double>(below(1'000'000'000)) / 1e6;
    return style == 2 ? kOdd[below(std::size(kOdd))] : std::bit_cast<double>(random_());
  }
  std::mt19937_64 random_;
  uint64_t last_ = 0;
};

TEST(History, RandomRowsComeBackAsTheyWere) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Source source(seed);
    HistoryBuilder builder;
    std::map<std::string, std::vector<Kept>> kept;
    const size_t rows = 1 + source.below(200), series = 1 + source.below(12);
    std::vector<uint64_t> styles;
    for (size_t i = 0; i < series; ++i) styles.push_back(source.below(4));
    int64_t time = static_cast<int64_t>(source.below(1ULL << 45)) - (1LL << 44);
    for (size_t r = 0; r < rows; ++r) {
      const uint64_t pace = source.below(20);  // 0: several rows of one time
      if (pace > 0) time += pace < 5 ? static_cast<int64_t>(source.below(100'000)) : 300'000;
      std::string row;
      for (size_t s = 0; s < series; ++s) {
        if (source.below(5) == 0) continue;
        // A series is of one kind, but the last one, which changes (not within a millisecond).
        const auto kind = static_cast<ValueKind>(s + 1 == series ? static_cast<uint64_t>(time) % 6 : s % 6);
        const std::string name = "series-" + std::to_string(s);
        const std::string value = encoded(source.value(kind, styles[s]));
        bytes::put_varint(row, 0);
        bytes::put_string(row, name);
        row += value;
        kept[name].push_back({time, name, value});
      }
      ASSERT_TRUE(builder.add({time}, row));
    }
    const auto stored = builder.take();
    ASSERT_TRUE(stored);
    EXPECT_TRUE(builder.empty());
    const auto chunk = HistoryChunk::open(*stored);
    ASSERT_TRUE(chunk) << chunk.error().message;
    for (const auto& [name, points] : kept) {
      EXPECT_EQ(read(*chunk, name), points) << name;
      const int64_t from = points[source.below(points.size())].time;
      std::vector<Kept> later;
      for (const Kept& point : points) {
        if (point.time >= from) later.push_back(point);
      }
      EXPECT_EQ(read(*chunk, name, from), later) << name;
      if (later.size() > 2) {
        later.resize(2);
        EXPECT_EQ(read(*chunk, name, from, 2), later) << name;
      }
    }
    EXPECT_TRUE(read(*chunk, "unknown").empty());
  }
}

TEST(History, ADayOfAThingTakesLittle) {
  // Twelve scalars every five minutes with the jitter of a device's clock, and a list that seldom changes.
  std::mt19937_64 random(1);
  std::normal_distribution<double> noise;
  HistoryBuilder builder;
  double temperature = 20;
  Value ports;
  ports.kind = ValueKind::kPorts;
  ports.ports = {22, 443, 8883};
  for (int i = 0; i < 288; ++i) {
    temperature += noise(random) / 10;
    const auto count = [&](double mean, double spread) {
      return Value::of_count(static_cast<uint64_t>(std::max(0.0, mean + spread * noise(random))));
    };
    const std::string row = row_of({{"aws:all-bytes-out", count(50'000, 9000)},
                                    {"aws:all-bytes-in", count(9'000, 2000)},
                                    {"aws:all-packets-out", count(300, 40)},
                                    {"aws:all-packets-in", count(280, 40)},
                                    {"aws:num-listening-tcp-ports", Value::of_count(3)},
                                    {"aws:num-established-tcp-connections", count(2, 0.4)},
                                    {"aws:listening-tcp-ports", ports},
                                    {"temperature", number(std::round(temperature * 100) / 100)},
                                    {"rssi", number(std::round(-710 + 20 * noise(random)) / 10)}});
    const int64_t jitter = static_cast<int64_t>(std::abs(noise(random)) * 40);
    ASSERT_TRUE(builder.add({1'767'225'600'000 + i * 300'000 + jitter}, row));
  }
  const auto stored = builder.take();
  ASSERT_TRUE(stored);
  EXPECT_LT(static_cast<double>(stored->size()) / (288 * 8), 2.0);
}

TEST(History, IsFullAtItsBounds) {
  HistoryBuilder builder;
  for (size_t i = 0; i < kHistoryRowsMax; ++i) {
    EXPECT_FALSE(builder.full());
    ASSERT_TRUE(builder.add({0}, row_of({{"m", Value::of_count(i)}})));
  }
  EXPECT_TRUE(builder.full());
  ASSERT_TRUE(builder.take());
  EXPECT_FALSE(builder.full());
  Value large;
  large.kind = ValueKind::kStrings;
  large.strings = {std::string(kHistoryRowBytesMax, 'x')};
  ASSERT_TRUE(builder.add({0}, row_of({{"m", large}})));
  EXPECT_TRUE(builder.full());
  ASSERT_TRUE(builder.take());
  large.strings = {std::string(kHistoryBodyBytesMax, 'x')};
  ASSERT_TRUE(builder.add({0}, row_of({{"m", large}})));
  const auto refused = builder.take();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimitExceeded);
  EXPECT_TRUE(builder.empty());
}

TEST(History, RefusesWhatIsNotARow) {
  HistoryBuilder builder;
  const std::string row = row_of({{"m", Value::of_count(700)}, {"n", number(1.5)}});
  for (size_t cut = 1; cut < row.size(); ++cut) {
    const auto added = builder.add({0}, row.substr(0, cut));
    if (cut == row_of({{"m", Value::of_count(700)}}).size()) continue;  // a row itself
    ASSERT_FALSE(added) << cut;
    EXPECT_EQ(added.error().code, ErrorCode::kCorrupt);
  }
  EXPECT_FALSE(builder.add({0}, std::string("\1m\x09", 3)));  // a kind that does not exist
}

TEST(History, ADamagedChunkIsRefused) {
  HistoryBuilder builder;
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(builder.add({i}, row_of({{"m", Value::of_count(7)}})));
  const std::string stored = builder.take().value();
  for (size_t i = 0; i < stored.size(); ++i) {
    std::string damaged = stored;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    const auto chunk = HistoryChunk::open(damaged);
    ASSERT_FALSE(chunk) << i;
    EXPECT_EQ(chunk.error().code, ErrorCode::kCorrupt);
    EXPECT_FALSE(HistoryChunk::open(std::string_view(stored).substr(0, i)));
  }
}

}  // namespace
}  // namespace fleetward::detect
