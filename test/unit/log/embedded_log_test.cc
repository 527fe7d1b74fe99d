// What only the embedded log does: locking, disks that refuse, bounds.
#include "log/embedded_log.h"

#include <atomic>
#include <filesystem>
#include <future>
#include <map>
#include <thread>

#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include "log/chunk.h"

namespace fleetward::log {
namespace {

const Partition kP{"reports", 0};
constexpr Timestamp kNow{1'700'000'000'000};

// Writable files that fail on demand: all of them as on a full disk, or the syncs only, or after half of the
// bytes of a write.
struct Faults {
  enum class Kind { kNone, kNoSpace, kSync, kTorn };
  std::atomic<Kind> kind{Kind::kNone};
  static rocksdb::IOStatus no_space() { return rocksdb::IOStatus::NoSpace("No space left on device"); }
};

class FaultyFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, Faults& faults)
      : FSWritableFileOwnerWrapper(std::move(file)), faults_(faults) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* context) override {
    switch (faults_.kind.load()) {
      case Faults::Kind::kNoSpace:
        return Faults::no_space();
      case Faults::Kind::kTorn:
        FSWritableFileOwnerWrapper::Append({data.data(), data.size() / 2}, options, context)
            .PermitUncheckedError();
        return Faults::no_space();
      default:
        return FSWritableFileOwnerWrapper::Append(data, options, context);
    }
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* context) override {
    return Append(data, options, context);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
    if (faults_.kind != Faults::Kind::kNone) return rocksdb::IOStatus::IOError("sync refused");
    return FSWritableFileOwnerWrapper::Sync(options, context);
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
    return Sync(options, context);
  }

 private:
  Faults& faults_;
};

class FaultyFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultyFileSystem(Faults& faults)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), faults_(faults) {}
  const char* Name() const override { return "FaultyFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* context) override {
    if (faults_.kind == Faults::Kind::kNoSpace) return Faults::no_space();
    const auto status = FileSystemWrapper::NewWritableFile(path, options, file, context);
    if (status.ok()) *file = std::make_unique<FaultyFile>(std::move(*file), faults_);
    return status;
  }

 private:
  Faults& faults_;
};

class EmbeddedLogTest : public testing::Test {
 protected:
  EmbeddedLogTest() {
    std::string name = (std::filesystem::temp_directory_path() / "fleetward-log-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    options_.directory = directory_ + "/log";
    options_.retry_interval = Duration{1};
  }
  ~EmbeddedLogTest() override {
    log_.reset();
    std::filesystem::remove_all(directory_);
  }
  void open() {
    log_.reset();
    auto opened = open_embedded_log(options_, logger_, metrics_);
    ASSERT_TRUE(opened) << opened.error().message;
    log_ = std::move(*opened);
  }
  Committed append(const std::string& value) {
    Batch batch;
    batch.append(kP, value, kNow);
    batch.put("last", value);
    return log_->write(std::move(batch));
  }

  Logger logger_ = Logger::none();
  Metrics metrics_;
  std::string directory_;
  LogOptions options_;
  std::unique_ptr<Log> log_;
};

TEST_F(EmbeddedLogTest, SecondOpenerGetsConflict) {
  open();
  const auto second = open_embedded_log(options_, logger_, metrics_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict) << second.error().message;
}

TEST_F(EmbeddedLogTest, DamagedFilesAreCorrupt) {
  open();
  ASSERT_TRUE(append("a"));
  log_.reset();
  for (const auto& file : std::filesystem::directory_iterator(options_.directory)) {
    if (file.path().filename().string().starts_with("MANIFEST")) {
      std::filesystem::resize_file(file.path(), 10);
    }
  }
  const auto opened = open_embedded_log(options_, logger_, metrics_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt) << opened.error().message;
}

TEST_F(EmbeddedLogTest, AnImpossibleDirectoryIsUnavailable) {
  options_.directory = "/proc/no-such-place/log";
  const auto opened = open_embedded_log(options_, logger_, metrics_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable) << opened.error().message;
}

TEST_F(EmbeddedLogTest, ABatchLargerThanTheQueueIsRefused) {
  options_.queue_bytes_max = 10'000;
  open();
  const auto refused = append(std::string(20'000, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimitExceeded);
  EXPECT_TRUE(append("small"));
}

TEST_F(EmbeddedLogTest, AFullQueueRefusesAtOnce) {
  options_.queue_bytes_max = 10'000;
  open();
  // The writer is held inside a callback, so nothing leaves the queue.
  std::promise<void> entered, release;
  Batch first;
  first.append(kP, "first", kNow);
  log_->submit(std::move(first), [&](Committed) {
    entered.set_value();
    release.get_future().wait();
  });
  entered.get_future().wait();
  std::atomic<int> accepted{0}, refused{0};
  for (int i = 0; i < 20; ++i) {
    Batch batch;
    batch.append(kP, std::string(1000, 'x'), kNow);
    log_->submit(std::move(batch), [&](Committed committed) {
      ++(committed ? accepted : refused);
      if (!committed) {
        EXPECT_EQ(committed.error().code, ErrorCode::kUnavailable);
      }
    });
  }
  EXPECT_GT(refused, 10);
  release.set_value();
  log_.reset();  // writes what is queued
  EXPECT_EQ(accepted + refused, 20);
  EXPECT_GT(accepted, 5);
  open();
  EXPECT_EQ(log_->range(kP).end, static_cast<Offset>(1 + accepted));
}

class DiskRefuses : public EmbeddedLogTest, public testing::WithParamInterface<Faults::Kind> {};

TEST_P(DiskRefuses, NothingIsAcknowledgedAndItRecovers) {
  Faults faults;
  const auto env = rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(faults));
  options_.env = env.get();
  open();
  std::vector<std::string> acknowledged;
  int sent = 0;
  for (int round = 0; round < 5; ++round) {
    // The first round fails before anything was written.
    for (int i = 0; i < round * 3; ++i) {
      const std::string value = std::to_string(sent++) + std::string(5'000, 'v');
      ASSERT_TRUE(append(value));
      acknowledged.push_back(value);
    }
    faults.kind = GetParam();
    for (int i = 0; i < 3; ++i) {
      const auto refused = append("refused" + std::string(100'000, 'r'));
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
      EXPECT_FALSE(log_->trouble().empty());
      EXPECT_TRUE(log_->read(kP, 0, 1 << 20));  // reads go on
    }
    faults.kind = Faults::Kind::kNone;
    while (!log_->trouble().empty()) std::this_thread::yield();
  }
  ASSERT_TRUE(append("last"));
  acknowledged.push_back("last");
  for (int check = 0; check < 2; ++check) {
    std::vector<std::string> found;
    const auto records = log_->read(kP, 0, size_t{1} << 30);
    for (const auto& record : *records) {
      if (!record.value.starts_with("refused")) found.push_back(record.value);
    }
    ASSERT_EQ(found, acknowledged);
    EXPECT_EQ(**log_->get("last"), "last");
    open();
  }
  log_.reset();
}

// Submitted until it passes, each time as a copy, by callers that share a group and by one that is late.
TEST_P(DiskRefuses, ARepeatableBatchIsThereOnce) {
  Faults faults;
  const auto env = rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(faults));
  options_.env = env.get();
  open();
  ASSERT_TRUE(append("before"));
  std::vector<Batch> batches(4);
  for (size_t i = 0; i < batches.size(); ++i) {
    batches[i].append(kP, "repeatable" + std::to_string(i), kNow);
    batches[i].append({"other", 0}, std::string(100'000, 'x'), kNow);
    batches[i].make_repeatable();
  }
  std::atomic<int> wakes{0};
  const auto subscription = log_->subscribe("reports", [&](const Partition&) { ++wakes; });
  const auto submit_all = [&](size_t count) {
    std::vector<std::promise<Committed>> answers(count);
    for (size_t i = 0; i < count; ++i) {
      log_->submit(batches[i],
                   [&answers, i](Committed committed) { answers[i].set_value(std::move(committed)); });
    }
    std::vector<Committed> out;
    for (auto& answer : answers) out.push_back(answer.get_future().get());
    return out;
  };
  for (int round = 0; round < 3; ++round) {
    faults.kind = GetParam();
    for (const Committed& committed : submit_all(round == 0 ? batches.size() : 2)) EXPECT_FALSE(committed);
    faults.kind = Faults::Kind::kNone;
    while (!log_->trouble().empty()) std::this_thread::yield();
  }
  std::map<std::string, Offset> answered;
  const auto committed = submit_all(batches.size());
  for (size_t i = 0; i < batches.size(); ++i) {
    ASSERT_TRUE(committed[i]) << committed[i].error().message;
    answered["repeatable" + std::to_string(i)] = committed[i]->front();
  }
  EXPECT_GE(wakes, 1);
  ASSERT_TRUE(append("after"));
  for (int check = 0; check < 2; ++check) {
    const auto records = log_->read(kP, 0, size_t{1} << 30);
    ASSERT_EQ(records->size(), batches.size() + 2);
    for (const auto& [value, offset] : answered) EXPECT_EQ((*records)[offset].value, value);
    EXPECT_EQ(log_->range({"other", 0}).end, batches.size());
    open();
  }
  log_.reset();
}

INSTANTIATE_TEST_SUITE_P(Kinds, DiskRefuses,
                         testing::Values(Faults::Kind::kNoSpace, Faults::Kind::kSync, Faults::Kind::kTorn));

TEST(Chunk, DamageIsFoundNotFollowed) {
  ChunkBuilder builder;
  for (int i = 0; i < 5; ++i) builder.add(std::string(static_cast<size_t>(i), 'x'), kNow + Duration(i * 100));
  const std::string chunk = builder.take();
  const auto decode = [](std::string_view bytes) {
    std::vector<Record> out;
    size_t left = 1 << 20;
    bool more = true;
    return decode_chunk(bytes, 9, 0, left, &more, out).has_value() ? static_cast<int>(out.size()) : -1;
  };
  EXPECT_EQ(decode(chunk), 5);
  for (size_t size = 0; size < chunk.size(); ++size) EXPECT_EQ(decode(chunk.substr(0, size)), -1) << size;
  EXPECT_EQ(decode(chunk + "x"), -1);
  for (size_t i = 0; i < chunk.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = chunk;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      decode(damaged);  // must not read outside; the sanitizers watch
    }
  }
}

}  // namespace
}  // namespace fleetward::log
