#include "delivery/plan.h"

#include <gtest/gtest.h>

#include "test/unit/delivery/fakes.h"

namespace fleetward::delivery {
namespace {

constexpr Timestamp kStart{1'795'503'909'042};

log::Record record(log::Offset offset, size_t bytes, Timestamp appended = kStart) {
  return {offset, appended, std::string(bytes, 'r')};
}

TEST(Buffer, ClosesWithTheRecordThatReachesTheSize) {
  Destination d;
  d.buffer_mib = 1;
  Buffer buffer(7);
  EXPECT_TRUE(buffer.empty());
  EXPECT_TRUE(buffer.add(record(7, 600'000), d));
  EXPECT_FALSE(buffer.full(d));
  EXPECT_TRUE(buffer.add(record(8, 600'000), d));
  EXPECT_TRUE(buffer.full(d));
  EXPECT_FALSE(buffer.add(record(9, 1), d));
  EXPECT_EQ(buffer.begin(), 7u);
  EXPECT_EQ(buffer.end(), 9u);
  EXPECT_EQ(buffer.bytes(), 1'200'000u);
}

TEST(Buffer, KnowsItsOldestAndNewestArrival) {
  const Destination d;
  Buffer buffer;
  buffer.add(record(0, 1, kStart + Duration(50)), d);
  buffer.add(record(1, 1, kStart), d);  // another shard's clock
  buffer.add(record(2, 1, kStart + Duration(900)), d);
  EXPECT_EQ(buffer.oldest(), kStart);
  EXPECT_EQ(buffer.newest(), kStart + Duration(900));
}

TEST(Pending, SurvivesItsText) {
  Stream stream;
  stream.name = "s";
  stream.version = 4;
  stream.destination.bucket = "b";
  stream.destination.role_arn = "arn:aws:iam::123456789012:role/r";
  stream.destination.compression = Compression::kGzip;
  stream.destination.processing = {true, true, true};
  Buffer buffer(3);
  buffer.add(record(3, 5), stream.destination);
  SeededRandom random(1);
  const Pending pending = plan_object(stream, buffer, random);
  const auto back = Pending::from_text(pending.to_text());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->to_text(), pending.to_text());
  EXPECT_EQ(back->begin, 3u);
  EXPECT_EQ(back->end, 4u);
  EXPECT_EQ(back->delimiter, "\n");
  EXPECT_EQ(back->compression, Compression::kGzip);
  for (const char* bad : {"", "{}", "[]", R"({"key":"k","begin":4,"end":4})"})
    EXPECT_FALSE(Pending::from_text(bad));
}

TEST(ObjectBuilder, ConcatenatesWithAndWithoutDelimiter) {
  for (const auto& [delimiter, expected] :
       {std::pair{"", "{\"a\":1}{\"b\":2}"}, std::pair{"\n", "{\"a\":1}\n{\"b\":2}\n"}}) {
    for (const auto compression : {Compression::kNone, Compression::kGzip}) {
      Pending pending;
      pending.delimiter = delimiter;
      pending.compression = compression;
      ObjectBuilder builder(pending);
      builder.add("{\"a\":1}");
      builder.add("{\"b\":2}");
      const std::string object = builder.finish();
      EXPECT_EQ(compression == Compression::kGzip ? gunzip(object) : object, expected);
    }
  }
}

TEST(ObjectBuilder, SameRecordsGiveTheSameBytes) {
  SeededRandom random(9);
  std::vector<std::string> records;
  for (int i = 0; i < 200; ++i) records.push_back(random.bytes(static_cast<size_t>(i) * 97));
  Pending pending;
  pending.compression = Compression::kGzip;
  std::string first;
  for (int round = 0; round < 2; ++round) {
    ObjectBuilder builder(pending);
    std::string all;
    for (const auto& r : records) {
      builder.add(r);
      all += r;
    }
    const std::string object = builder.finish();
    EXPECT_EQ(gunzip(object), all);
    if (round == 1) {
      EXPECT_EQ(object, first);
    }
    first = object;
  }
}

TEST(RetryPause, DoublesUpToTheMaximum) {
  SeededRandom random(3);
  const Duration min{1'000}, max{300'000};
  for (uint32_t attempt = 1; attempt < 100; ++attempt) {
    const Duration pause = retry_pause(attempt, min, max, random);
    const int64_t full = std::min<int64_t>(300'000, int64_t{1000} << std::min(attempt - 1, 20u));
    EXPECT_GE(pause.count(), full / 2) << attempt;
    EXPECT_LE(pause.count(), full) << attempt;
  }
}

}  // namespace
}  // namespace fleetward::delivery
