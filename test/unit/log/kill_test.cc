// kill -9 in the middle of writing, many times: what was acknowledged is there, in order, whole.
#include <csignal>
#include <filesystem>
#include <map>
#include <random>
#include <sys/wait.h>

#include <gtest/gtest.h>
#include <unistd.h>

#include "log/embedded_log.h"

namespace fleetward::log {
namespace {

const Partition kP{"reports", 0};

Result<std::unique_ptr<Log>> open(const std::string& directory, Metrics& metrics, Logger& logger) {
  LogOptions options;
  options.directory = directory;
  return open_embedded_log(options, logger, metrics);
}

// Appends numbered records as fast as it can, each batch with a state key and a consumer's offset of the same
// number, and tells through the pipe which were acknowledged. Never returns.
[[noreturn]] void write_until_killed(const std::string& directory, uint64_t first, int pipe) {
  Metrics metrics;
  Logger logger = Logger::none();
  auto log = open(directory, metrics, logger);
  if (!log) _exit(1);
  for (uint64_t n = first;; ++n) {
    Batch batch;
    batch.append(kP, std::to_string(n), {1});
    batch.append(kP, std::to_string(n) + std::string(n % 700, '.'), {1});
    batch.put("last", std::to_string(n));
    batch.commit("c", kP, n + 1);
    if (n % 50 == 49) batch.truncate(kP, 2 * (n - 40));
    (*log)->submit(std::move(batch), [pipe, n](Committed committed) {
      if (committed && write(pipe, &n, sizeof n) != sizeof n) _exit(1);
    });
  }
}

// The number after the last acknowledged one.
uint64_t run_and_kill(const std::string& directory, uint64_t first, unsigned after_us) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    write_until_killed(directory, first, ends[1]);
  }
  close(ends[1]);
  uint64_t n = 0, next = first;
  // From the first acknowledgement on: opening takes its time.
  if (read(ends[0], &n, sizeof n) == sizeof n) next = n + 1;
  usleep(after_us);
  kill(child, SIGKILL);
  while (read(ends[0], &n, sizeof n) == sizeof n) next = n + 1;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  return next;
}

TEST(KillMinusNine, LosesNothingAcknowledged) {
  std::string name = (std::filesystem::temp_directory_path() / "fleetward-log-XXXXXX").string();
  const std::string directory = mkdtemp(name.data());
  std::mt19937 random(5);
  uint64_t next = 0;
  for (int round = 0; round < 8; ++round) {
    const uint64_t acknowledged = run_and_kill(directory, next, random() % 30'000);
    Metrics metrics;
    Logger logger = Logger::none();
    auto log = open(directory, metrics, logger);
    ASSERT_TRUE(log) << log.error().message;
    const auto last = (*log)->get("last");
    ASSERT_TRUE(last && *last);
    const uint64_t written = std::stoull(**last) + 1;  // also what was written but not acknowledged
    EXPECT_GE(written, acknowledged);
    // Records, state and offset agree.
    EXPECT_EQ((*log)->committed("c", kP), written);
    EXPECT_EQ((*log)->range(kP).end, 2 * written);
    const auto records = (*log)->read(kP, 0, size_t{1} << 30);
    ASSERT_TRUE(records);
    ASSERT_FALSE(records->empty());
    Offset offset = (*log)->range(kP).begin;
    for (const auto& record : *records) {
      ASSERT_EQ(record.offset, offset);
      ASSERT_EQ(std::stoull(record.value), offset / 2);
      ++offset;
    }
    EXPECT_EQ(offset, 2 * written);
    next = written;
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace fleetward::log
