// The contract of log::Log, run against both backings. The embedded one is closed and opened again by
// reopen(), so that what a test sees afterwards comes from the disk.
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "log/embedded_log.h"
#include "log/memory_log.h"

namespace fleetward::log {
namespace {

const Partition kP{"reports", 0};
const Partition kQ{"reports", 1};
constexpr Timestamp kNow{1'700'000'000'000};
constexpr size_t kAll = size_t{1} << 30;

enum class Backing { kMemory, kEmbedded };

class LogContract : public testing::TestWithParam<Backing> {
 protected:
  void SetUp() override {
    if (GetParam() == Backing::kMemory) {
      log_ = std::make_unique<MemoryLog>();
      return;
    }
    std::string name = (std::filesystem::temp_directory_path() / "fleetward-log-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    open();
  }
  void TearDown() override {
    log_.reset();
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  void open() {
    LogOptions options;
    options.directory = directory_ + "/log";
    auto opened = open_embedded_log(options, logger_, metrics_);
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
  }
  void reopen() {
    if (GetParam() == Backing::kMemory) return;
    log_.reset();
    open();
  }

  std::vector<Offset> append(const Partition& partition, const std::vector<std::string>& values) {
    Batch batch;
    for (const auto& value : values) batch.append(partition, value, kNow);
    auto committed = log_->write(std::move(batch));
    EXPECT_TRUE(committed);
    return committed ? *committed : std::vector<Offset>();
  }
  std::vector<std::string> values(const Partition& partition, Offset from, size_t bytes_max = kAll) {
    std::vector<std::string> out;
    auto records = log_->read(partition, from, bytes_max);
    EXPECT_TRUE(records);
    if (!records) return out;
    for (const auto& record : *records) out.push_back(record.value);
    return out;
  }
  std::string state(std::string_view key) {
    auto value = log_->get(key);
    EXPECT_TRUE(value);
    return value && *value ? **value : "(none)";
  }

  Logger logger_ = Logger::none();
  Metrics metrics_;
  std::string directory_;
  std::unique_ptr<Log> log_;
};

using Values = std::vector<std::string>;
using Offsets = std::vector<Offset>;

TEST_P(LogContract, AppendsAnswerDenseOffsetsPerPartition) {
  Batch batch;
  batch.append(kP, "a", kNow);
  batch.append(kQ, "x", kNow + Duration(5));
  batch.append(kP, "b", kNow - Duration(7));
  auto committed = log_->write(std::move(batch));
  ASSERT_TRUE(committed);
  EXPECT_EQ(*committed, (Offsets{0, 0, 1}));
  reopen();
  EXPECT_EQ(append(kP, {"c", ""}), (Offsets{2, 3}));
  reopen();
  EXPECT_EQ(values(kP, 0), (Values{"a", "b", "c", ""}));
  EXPECT_EQ(values(kP, 2), (Values{"c", ""}));
  EXPECT_EQ(values(kP, 4), Values{});
  EXPECT_EQ(values(kP, 99), Values{});
  EXPECT_EQ(values({"other", 0}, 0), Values{});
  const auto records = log_->read(kP, 0, kAll);
  EXPECT_EQ((*records)[1].offset, 1u);
  EXPECT_EQ((*records)[1].appended, kNow - Duration(7));
  EXPECT_EQ(log_->range(kP).begin, 0u);
  EXPECT_EQ(log_->range(kP).end, 4u);
  EXPECT_EQ(log_->range({"other", 0}).end, 0u);
  EXPECT_EQ(log_->partitions("rep"), (std::vector<Partition>{kP, kQ}));
  EXPECT_EQ(log_->partitions("x"), std::vector<Partition>{});
}

TEST_P(LogContract, ReadIsBoundedButAlwaysAdvances) {
  append(kP, {std::string(100, 'a'), std::string(100, 'b'), std::string(100, 'c')});
  EXPECT_EQ(values(kP, 0, 1).size(), 1u);
  EXPECT_EQ(values(kP, 0, 200).size(), 2u);
  EXPECT_EQ(values(kP, 1, 299), (Values{std::string(100, 'b'), std::string(100, 'c')}));
}

TEST_P(LogContract, LargeAndManyRecordsReadBackInOrder) {
  Values all;
  for (int i = 0; i < 5000; ++i)
    all.push_back(std::to_string(i) + std::string(static_cast<size_t>(i % 90), '.'));
  all[77] = std::string(1'500'000, 'L');
  append(kP, all);
  reopen();
  EXPECT_EQ(values(kP, 0), all);
  for (const Offset from : {1u, 76u, 77u, 78u, 2500u, 4999u}) {
    EXPECT_EQ(values(kP, from), Values(all.begin() + from, all.end()));
  }
}

TEST_P(LogContract, StateOffsetsAndRecordsAreWrittenTogether) {
  Batch batch;
  batch.append(kP, "out", kNow);
  batch.put("detect/a", "1");
  batch.put("detect/b", "2");
  batch.put("detect/c", "3");
  batch.erase("detect/b");
  batch.commit("detect", kQ, 7);
  ASSERT_TRUE(log_->write(std::move(batch)));
  reopen();
  EXPECT_EQ(values(kP, 0), Values{"out"});
  EXPECT_EQ(state("detect/a"), "1");
  EXPECT_EQ(state("detect/b"), "(none)");
  EXPECT_EQ(log_->committed("detect", kQ), 7u);
  EXPECT_EQ(log_->committed("detect", kP), 0u);
  EXPECT_EQ(log_->committed("export", kQ), 0u);
}

TEST_P(LogContract, ChangesApplyInOrderAndRangesAreHalfOpen) {
  Batch batch;
  for (const char* key : {"a", "b", "c", "d"}) batch.put(key, "1");
  batch.erase_range("b", "d");
  batch.erase_range("x", "a");  // empty
  batch.put("c", "2");
  ASSERT_TRUE(log_->write(std::move(batch)));
  reopen();
  EXPECT_EQ(state("a"), "1");
  EXPECT_EQ(state("b"), "(none)");
  EXPECT_EQ(state("c"), "2");
  EXPECT_EQ(state("d"), "1");
}

TEST_P(LogContract, ScansInBothDirections) {
  Batch batch;
  for (const char* key : {"p/1", "p/2", "p/3", "q", "\xff"}) batch.put(key, key);
  ASSERT_TRUE(log_->write(std::move(batch)));
  const auto scan = [&](std::string_view begin, std::string_view end, size_t count, bool reverse = false) {
    Values out;
    const auto found = log_->scan(begin, end, count, reverse);
    for (const auto& kv : *found) out.push_back(kv.key);
    return out;
  };
  EXPECT_EQ(scan("p/", "p0", 10), (Values{"p/1", "p/2", "p/3"}));
  EXPECT_EQ(scan("p/", "p0", 2), (Values{"p/1", "p/2"}));
  EXPECT_EQ(scan("p/", "p0", 2, true), (Values{"p/3", "p/2"}));
  EXPECT_EQ(scan("p/2", "p/2", 2), Values{});
  EXPECT_EQ(scan("z", "p", 2), Values{});
}

TEST_P(LogContract, TruncationKeepsOffsetsGoing) {
  append(kP, {"a", "b", "c"});
  Batch batch;
  batch.truncate(kP, 2);
  ASSERT_TRUE(log_->write(std::move(batch)));
  reopen();
  EXPECT_EQ(log_->range(kP).begin, 2u);
  EXPECT_EQ(values(kP, 0), Values{"c"});
  Batch all;
  all.truncate(kP, 100);  // no further than the end
  all.truncate(kP, 1);    // never backwards
  all.truncate({"unknown", 3}, 5);
  ASSERT_TRUE(log_->write(std::move(all)));
  reopen();
  EXPECT_EQ(values(kP, 0), Values{});
  EXPECT_EQ(append(kP, {"d"}), Offsets{3});
  EXPECT_EQ(log_->range(kP).begin, 3u);
  EXPECT_EQ(log_->range({"unknown", 3}).end, 0u);
}

TEST_P(LogContract, LargeTruncationsInPieces) {
  std::vector<std::string> values_in(1000, std::string(20'000, 'x'));
  append(kP, values_in);
  for (Offset first = 100; first <= 1000; first += 100) {
    Batch batch;
    batch.truncate(kP, first);
    batch.append(kP, "n", kNow);
    ASSERT_TRUE(log_->write(std::move(batch)));
    ASSERT_EQ(log_->read(kP, 0, 1)->front().offset, first);
  }
  reopen();
  EXPECT_EQ(values(kP, 0), Values(10, "n"));
}

TEST_P(LogContract, DropForgetsAPartition) {
  append(kP, {"a"});
  append(kQ, {"q"});
  Batch batch;
  batch.commit("c", kP, 1);
  batch.append(kP, "b", kNow);
  batch.drop(kP);
  ASSERT_TRUE(log_->write(std::move(batch)));
  EXPECT_EQ(log_->partitions(""), std::vector<Partition>{kQ});
  reopen();
  EXPECT_EQ(log_->partitions(""), std::vector<Partition>{kQ});
  EXPECT_EQ(log_->committed("c", kP), 0u);
  EXPECT_EQ(append(kP, {"new"}), Offsets{0});
  reopen();
  EXPECT_EQ(values(kP, 0), Values{"new"});
  EXPECT_EQ(values(kQ, 0), Values{"q"});
}

TEST_P(LogContract, SubscribersAreWokenForTheirStreams) {
  std::mutex mutex;
  std::vector<Partition> woken;
  auto subscription = log_->subscribe("records/", [&](const Partition& p) {
    const std::lock_guard lock(mutex);
    woken.push_back(p);
  });
  append({"records/a", 0}, {"1", "2"});
  append(kP, {"x"});
  append({"records/b", 2}, {"1"});
  // Wakes follow the callbacks; the writer has done all of them once it takes another batch's result.
  append(kP, {"y"});
  {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(woken, (std::vector<Partition>{{"records/a", 0}, {"records/b", 2}}));
  }
  subscription.reset();
  append({"records/a", 0}, {"3"});
  append(kP, {"z"});
  EXPECT_EQ(woken.size(), 2u);
}

TEST_P(LogContract, ASubscriptionMayOutliveTheLog) {
  auto subscription = log_->subscribe("", [](const Partition&) {});
  log_.reset();
  subscription.reset();
}

TEST_P(LogContract, ConcurrentCallersKeepTheirOrderAndLoseNothing) {
  constexpr int kThreads = 4, kBatches = 500;
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::promise<void> done;
      for (int i = 0; i < kBatches; ++i) {
        Batch batch;
        batch.append(kP, std::to_string(t) + ":" + std::to_string(i), kNow);
        batch.put("last/" + std::to_string(t), std::to_string(i));
        log_->submit(std::move(batch), [&, i](Committed committed) {
          EXPECT_TRUE(committed);
          ++answered;
          if (i == kBatches - 1) done.set_value();
        });
      }
      done.get_future().get();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(answered, kThreads * kBatches);
  reopen();
  std::map<int, int> next;
  const Values all = values(kP, 0);
  EXPECT_EQ(all.size(), static_cast<size_t>(kThreads * kBatches));
  for (const auto& value : all) {
    const int t = std::stoi(value);
    EXPECT_EQ(std::stoi(value.substr(value.find(':') + 1)), next[t]++);
  }
  for (int t = 0; t < kThreads; ++t) {
    EXPECT_EQ(state("last/" + std::to_string(t)), std::to_string(kBatches - 1));
  }
}

// Random batches against a model of both backings' contract.
TEST_P(LogContract, RandomBatchesMatchTheModel) {
  std::mt19937 random(11);
  MemoryLog model;
  const std::vector<Partition> partitions = {kP, kQ, {"records/x", 0}};
  for (int step = 0; step < 400; ++step) {
    Batch batch;
    const size_t operations = 1 + random() % 6;
    for (size_t i = 0; i < operations; ++i) {
      const Partition& p = partitions[random() % partitions.size()];
      const std::string key = "k" + std::to_string(random() % 20);
      switch (random() % 8) {
        case 0:
          batch.commit("c", p, random() % 100);
          break;
        case 1:
          batch.put(key, std::to_string(step));
          break;
        case 2:
          batch.erase(key);
          break;
        case 3:
          batch.erase_range("k1", key);
          break;
        case 4:
          batch.truncate(p, model.range(p).begin + random() % 5);
          break;
        case 5:
          if (random() % 10 == 0) batch.drop(p);
          break;
        default:
          batch.append(p, std::string(random() % 3000, static_cast<char>('a' + step % 26)),
                       kNow + Duration(step));
      }
    }
    const auto expected = model.write(batch);
    const auto got = log_->write(std::move(batch));
    ASSERT_TRUE(got);
    ASSERT_EQ(*got, *expected);
    if (step % 40 == 39) reopen();
    for (const auto& p : partitions) {
      ASSERT_EQ(log_->range(p).begin, model.range(p).begin);
      ASSERT_EQ(log_->range(p).end, model.range(p).end);
      ASSERT_EQ(log_->committed("c", p), model.committed("c", p));
      const auto a = log_->read(p, random() % 200, 20'000), b = model.read(p, 0, kAll);
      ASSERT_TRUE(a);
      for (const auto& record : *a) {
        const auto& same = (*b)[record.offset - b->front().offset];
        ASSERT_EQ(record.value, same.value);
        ASSERT_EQ(record.appended, same.appended);
      }
    }
    const auto a = log_->scan("", "~", 1000), b = model.scan("", "~", 1000, false);
    ASSERT_EQ(a->size(), b->size());
    for (size_t i = 0; i < a->size(); ++i) ASSERT_EQ((*a)[i].value, (*b)[i].value);
  }
  ASSERT_EQ(log_->partitions(""), model.partitions(""));
}

INSTANTIATE_TEST_SUITE_P(Backings, LogContract, testing::Values(Backing::kMemory, Backing::kEmbedded),
                         [](const auto& backing) {
                           return backing.param == Backing::kMemory ? "Memory" : "Embedded";
                         });

}  // namespace
}  // namespace fleetward::log
