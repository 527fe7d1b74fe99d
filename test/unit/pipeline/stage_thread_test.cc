#include "pipeline/stage_thread.h"

#include <future>

#include <gtest/gtest.h>

#include "log/memory_log.h"

namespace fleetward::pipeline {
namespace {

constexpr Duration kLong{3'600'000};

void append(log::Log& log, const std::string& stream) {
  log::Batch batch;
  batch.append({stream, 0}, "x", {1});
  ASSERT_TRUE(log.write(std::move(batch)));
}

TEST(StageThread, WakesForItsStreamAndStops) {
  log::MemoryLog log;
  StageThread thread;
  std::promise<void> first, second;
  bool ended = false;
  thread.start(log, "events", [&] {
    EXPECT_TRUE(thread.wait(std::nullopt)) << "there may be work from before";
    first.set_value();
    EXPECT_TRUE(thread.wait(std::nullopt));
    second.set_value();
    EXPECT_FALSE(thread.wait(kLong));
    EXPECT_TRUE(thread.stopping());
    EXPECT_FALSE(thread.pause(kLong));
    ended = true;
  });
  first.get_future().wait();
  append(log, "exports");
  append(log, "events");
  second.get_future().wait();
  thread.stop();
  EXPECT_TRUE(ended);
  thread.stop();
  append(log, "events");
}

TEST(StageThread, TimeEndsAWaitAndAPause) {
  log::MemoryLog log;
  StageThread thread;
  std::promise<void> done;
  thread.start(log, "events", [&] {
    EXPECT_TRUE(thread.wait(Duration{1}));
    EXPECT_TRUE(thread.wait(Duration{1}));
    EXPECT_TRUE(thread.pause(Duration{1}));
    done.set_value();
  });
  done.get_future().wait();
}

TEST(StageThread, MayNeverHaveBeenStarted) {
  StageThread thread;
  thread.stop();
}

}  // namespace
}  // namespace fleetward::pipeline
