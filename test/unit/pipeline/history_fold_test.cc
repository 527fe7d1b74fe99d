#include "pipeline/history_fold.h"

#include <random>
#include <thread>
#include <utility>

#include "detect/history.h"
#include "pipeline/detect_keys.h"
#include "pipeline/detect_queries.h"
#include "test/unit/pipeline/detect_fixture.h"

namespace fleetward::pipeline {
namespace {

constexpr int64_t kDay = 24LL * 3600 * 1000;
constexpr int64_t kFirst = DetectFixture::kStart;  // a midnight
constexpr Timestamp kFoldTime{kFirst + 3 * kDay + 3600'000};

class HistoryFoldTest : public testing::Test {
 protected:
  static constexpr uint32_t kPartitions = 2;

  void keep(log::Log& log, const std::string& thing, int64_t at, const std::string& series, uint64_t count) {
    std::string row;
    detect::put_row_value(detect::row_code(series), series,
                          {.kind = detect::ValueKind::kCount, .count = count}, row);
    log::Batch batch;
    batch.put(keys::values(partition_of(thing, kPartitions), {at}, thing, ++sequence_), std::move(row));
    ASSERT_TRUE(log.write(std::move(batch)));
  }
  // Three days and a bit of a few things, some with two values in one millisecond.
  void fill(log::Log& log) {
    sequence_ = 0;
    std::mt19937_64 random(7);
    for (const char* thing : {"a", "a1", "b", "pump-17"}) {
      int64_t at = kFirst;
      while (at < kFirst + 3 * kDay + 7200'000) {
        keep(log, thing, at, random() % 3 == 0 ? "n" : "m", random() % 100);
        if (random() % 4 != 0) at += static_cast<int64_t>(random() % 3'600'000);
      }
    }
  }
  HistoryFold folder(log::Log& log, size_t rows_max) {
    return {{.partitions = kPartitions, .rows_max = rows_max}, log, clock_, logger_, metrics_};
  }
  void drain(HistoryFold& fold, Timestamp now = kFoldTime) {
    clock_.set(now);
    for (;;) {
      const auto more = fold.step();
      ASSERT_TRUE(more) << more.error().message;
      if (!*more) return;
    }
  }
  // Until there is nothing but claimed days.
  static void drain_until_claimed(HistoryFold& fold) {
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(fold.step().value());
  }
  // Every point as "time count", read in pages; `between` runs after each page.
  std::vector<std::string> points(
      log::Log& log, const std::string& thing, const std::string& series, size_t page, int64_t from = 0,
      int64_t to = INT64_MAX / 4, const std::function<void()>& between = [] {}) {
    const DetectQueries queries(log, kPartitions);
    std::vector<std::string> out;
    from = std::max(from, kFirst - kDay);
    to = std::min(to, kFirst + 5 * kDay);
    for (std::string after;;) {
      const auto got = queries.values(thing, series, {from}, {to}, after, page);
      EXPECT_TRUE(got) << got.error().message;
      EXPECT_LE(got->entries.size(), page);
      for (const MetricPoint& point : got->entries) {
        out.push_back(std::to_string(point.time.ms) + " " + std::to_string(point.value.count));
      }
      after = got->next;
      if (after.empty()) return out;
      EXPECT_FALSE(got->entries.empty());
      between();
    }
  }
  size_t count(const log::Log& log, const std::string& kind) {
    size_t n = 0;
    for (const auto& entry : scan_all(log, "detect/", "detect0")) {
      n += entry.key.find("/" + kind + "/") != std::string::npos ? 1 : 0;
    }
    return n;
  }

  ManualClock clock_{kFoldTime};
  Logger logger_ = Logger::none();
  Metrics metrics_;
  uint64_t sequence_ = 0;
};

TEST_F(HistoryFoldTest, QueriesSeeTheSameBeforeAndAfter) {
  log::MemoryLog rows;
  fill(rows);
  for (const size_t rows_max : {1, 10, 100'000}) {
    log::MemoryLog log;
    fill(log);
    HistoryFold fold = folder(log, rows_max);
    drain(fold);
    EXPECT_EQ(count(log, "history"), 4U * 3);
    for (const char* thing : {"a", "a1", "b", "pump-17", "nobody"}) {
      for (const char* series : {"m", "n", "x"}) {
        const auto all = points(rows, thing, series, 10'000);
        for (const size_t page : {1, 2, 7, 250})
          EXPECT_EQ(points(log, thing, series, page), all) << thing << page;
        const int64_t from = kFirst + kDay / 2, to = kFirst + 2 * kDay + 5'000'000;
        EXPECT_EQ(points(log, thing, series, 10, from, to), points(rows, thing, series, 10, from, to));
      }
    }
  }
}

TEST_F(HistoryFoldTest, ListingsGoOnWhileItHappens) {
  log::MemoryLog rows, log;
  fill(rows);
  fill(log);
  HistoryFold fold = folder(log, 5);
  EXPECT_EQ(points(log, "b", "m", 3, 0, INT64_MAX / 4, [&] { ASSERT_TRUE(fold.step()); }),
            points(rows, "b", "m", 10'000));
}

TEST_F(HistoryFoldTest, ACrashAtAnyWriteLosesAndRepeatsNothing) {
  log::MemoryLog rows;
  fill(rows);
  int crashes = 0;
  for (const bool after : {false, true}) {
    for (int at = 0;; ++at) {
      log::MemoryLog log;
      fill(log);
      DyingLog dying(log);
      dying.die_at = at;
      dying.after = after;
      HistoryFold first = folder(dying, 30);
      auto more = first.step();
      while (more && *more) more = first.step();
      if (!dying.dead) break;
      ++crashes;
      HistoryFold second = folder(log, 30);
      drain(second);
      for (const char* thing : {"a", "a1", "b", "pump-17"}) {
        ASSERT_EQ(points(log, thing, "m", 10'000), points(rows, thing, "m", 10'000)) << at << after;
      }
    }
  }
  EXPECT_GT(crashes, 10);
}

TEST_F(HistoryFoldTest, ADayIsLeftAloneUntilItIsOver) {
  log::MemoryLog log;
  keep(log, "a", kFirst + kDay - 1, "m", 1);
  HistoryFold fold = folder(log, 100);
  drain(fold, {kFirst + kDay + 9 * 60'000});
  EXPECT_EQ(count(log, "history"), 0U);
  drain(fold, {kFirst + kDay + 10 * 60'000});
  EXPECT_EQ(count(log, "history"), 1U);
  EXPECT_EQ(count(log, "values"), 0U);
}

// As the detect stage does.
TEST_F(HistoryFoldTest, WhatComesLateIsFoldedAsWell) {
  log::MemoryLog log;
  HistoryFold fold = folder(log, 100);
  const uint32_t partition = partition_of("a", kPartitions);
  std::vector<std::string> all;
  for (uint64_t i = 0; i < 4; ++i) {
    // The newest day first, then one before it.
    const auto at = kFirst + (i < 2 ? 2 : 1) * kDay + static_cast<int64_t>(i);
    fold.claim(partition, keys::day_of({at}));
    keep(log, "a", at, "m", i);
    drain_until_claimed(fold);
    EXPECT_EQ(count(log, "values"), 1U) << "the day is being written to";
    EXPECT_EQ(points(log, "a", "m", 10).size(), i + 1);
    fold.release(partition);
    drain(fold);
    EXPECT_EQ(count(log, "values"), 0U);
    EXPECT_EQ(count(log, "history"), i + 1);
    all.push_back(std::to_string(at) + " " + std::to_string(i));
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(points(log, "a", "m", 10), all);
  const uint32_t other = 1 - partition;
  fold.claim(other, keys::day_of({kFirst}));
  fold.claim(partition, keys::day_of(kFoldTime));
  keep(log, "a", kFoldTime.ms, "m", 9);
  fold.release(partition);
  fold.release(other);
  drain(fold);
  EXPECT_EQ(count(log, "values"), 1U) << "today's";
}

// A row for the very day is written while its slice is between reading and writing.
TEST_F(HistoryFoldTest, ARowThatComesDuringASliceIsNotErasedUnread) {
  for (const char* thing : {"a", "a1"}) {
    log::MemoryLog log;
    keep(log, "a", kFirst, "m", 1);
    keep(log, "a", kFirst + 2, "m", 1);
    DyingLog hooked(log);
    HistoryFold fold = folder(hooked, 100);
    const uint32_t partition = partition_of(thing, kPartitions);
    std::thread stage;
    hooked.before_write = [&, first = true]() mutable {
      if (!std::exchange(first, false)) return;
      stage = std::thread([&] {
        fold.claim(partition, keys::day_of({kFirst}));
        keep(log, thing, kFirst + 1, "m", 2);
        fold.release(partition);
      });
      for (int i = 0; i < 20; ++i) std::this_thread::yield();
    };
    ASSERT_TRUE(fold.step().value());
    stage.join();
    drain(fold);
    EXPECT_EQ(count(log, "values"), 0U);
    EXPECT_EQ(points(log, "a", "m", 10).size() + points(log, "a1", "m", 10).size(), 3U);
  }
}

TEST_F(HistoryFoldTest, ASliceIsBoundedAndTheThreadDoesThemAll) {
  log::MemoryLog log;
  for (int thing = 0; thing < 20; ++thing) {
    for (int i = 0; i < 10; ++i) keep(log, "pump-" + std::to_string(thing), kFirst + i, "m", 1);
  }
  HistoryFold fold({.partitions = kPartitions, .rows_max = 25, .pause = Duration{1}}, log, clock_, logger_,
                   metrics_);
  ASSERT_TRUE(fold.step().value());
  EXPECT_EQ(count(log, "values"), 170U);  // three things: the one under way is finished
  fold.start();
  while (count(log, "values") > 0) std::this_thread::yield();
  fold.stop();
  EXPECT_EQ(count(log, "history"), 20U);
}

TEST_F(HistoryFoldTest, NothingIsFoldedWhileTheLogIsInTrouble) {
  log::MemoryLog log;
  fill(log);
  log.set_trouble("No space left on device");
  HistoryFold fold = folder(log, 100);
  EXPECT_FALSE(fold.step().value());
  log.set_trouble("");
  EXPECT_TRUE(fold.step().value());
}

TEST_F(HistoryFoldTest, ARowThatDoesNotParseIsDropped) {
  log::MemoryLog log;
  keep(log, "a", kFirst, "m", 1);
  log::Batch batch;
  batch.put(keys::values(partition_of("a", kPartitions), {kFirst + 1}, "a", ++sequence_), "\x7f");
  ASSERT_TRUE(log.write(std::move(batch)));
  keep(log, "a", kFirst + 2, "m", 2);
  HistoryFold fold = folder(log, 100);
  drain(fold);
  EXPECT_EQ(points(log, "a", "m", 10).size(), 2U);
  EXPECT_EQ(count(log, "values"), 0U);
}

}  // namespace
}  // namespace fleetward::pipeline
