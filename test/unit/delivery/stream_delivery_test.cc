#include "delivery/stream_delivery.h"

#include "test/unit/delivery/fakes.h"

namespace fleetward::delivery {
namespace {

constexpr Timestamp kStart{1'795'503'909'042};

Stream some_stream() {
  Stream s;
  s.id = "5c1f8ab0-0000-4000-8000-000000000001";
  s.name = "metrics";
  s.arn = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/metrics";
  s.status = StreamStatus::kActive;
  s.destination.bucket = "lake";
  s.destination.role_arn = "arn:aws:iam::123456789012:role/delivery";
  s.destination.buffer_mib = 1;
  s.destination.buffer_seconds = 60;
  return s;
}

// One process: dies when the crash says so, then another takes over the same log and store.
struct Process {
  Process(log::MemoryLog& memory, FakeSink& the_sink, Crash& the_crash, Random& random, Metrics& metrics)
      : log(memory, the_crash),
        probe(metrics),
        context{options,
                log,
                [this](const Stream&, const std::string&, const std::string& bucket,
                       const std::string& key) -> Status {
                  asked = bucket + "/" + key;
                  return may_put;
                },
                the_sink,
                random,
                logger,
                probe},
        delivery(context, some_stream().id) {}

  WorkerOptions options;
  CrashingLog log;
  Logger logger = Logger::none();
  Probe probe;
  Status may_put;
  std::string asked;
  DeliveryContext context;
  StreamDelivery delivery;
};

class StreamDeliveryTest : public testing::Test {
 protected:
  Process& process() {
    if (!process_) {
      process_ = std::make_unique<Process>(memory_, sink_, crash_, random_, metrics_);
      process_->may_put = may_put_;
    }
    return *process_;
  }
  void restart() {
    process_.reset();
    crash_ = Crash{};
  }
  void append(const std::string& value, Timestamp now) {
    log::Batch batch;
    delivery::append(batch, stream_, value, now);
    ASSERT_TRUE(memory_.write(std::move(batch)));
    sent_ += value;
    sent_ += stream_.destination.delimiter();
  }
  // Steps until nothing is due at `now` of the steady clock.
  Timestamp settle(Timestamp now) {
    for (int i = 0; i < 1000; ++i) {
      const Timestamp due = process().delivery.step(stream_, control_version_, {now + wall_ahead_, now});
      if (due > now) return due;
    }
    ADD_FAILURE() << "never settles";
    return kNever;
  }
  double counter(const std::string& line) {
    const std::string text = metrics_.scrape();
    const size_t at = text.find(line + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + line.size() + 1));
  }

  Stream stream_ = some_stream();
  uint64_t control_version_ = 1;
  log::MemoryLog memory_;
  FakeSink sink_;
  Crash crash_;
  SeededRandom random_{42};
  Metrics metrics_;
  Status may_put_;
  std::string sent_;
  Duration wall_ahead_{0};  // of the steady clock: changes when somebody sets it
  std::unique_ptr<Process> process_;
};

TEST_F(StreamDeliveryTest, DeliversWhenTheIntervalEnds) {
  EXPECT_EQ(settle(kStart), kNever);
  append("{\"a\":1}", kStart);
  append("{\"b\":2}", kStart + Duration(1000));
  EXPECT_EQ(settle(kStart + Duration(2000)), kStart + Duration(60'000));
  EXPECT_EQ(sink_.attempts, 0);
  EXPECT_EQ(process().delivery.backlog().state, StreamDelivery::Backlog::State::kBuffering);
  EXPECT_EQ(process().delivery.backlog().bytes, 14u);
  EXPECT_EQ(settle(kStart + Duration(60'000)), kNever);
  EXPECT_EQ(sink_.content(), "{\"a\":1}{\"b\":2}");
  EXPECT_TRUE(sink_.order[0].starts_with("lake/2026/11/24/07/metrics-1-2026-11-24-07-05-09-"))
      << sink_.order[0];
  EXPECT_EQ(sink_.order[0], process().asked);
  EXPECT_EQ(process().delivery.backlog().state, StreamDelivery::Backlog::State::kIdle);
  // Nothing is left in the log.
  EXPECT_EQ(memory_.range(records_of(stream_)).begin, 2u);
  EXPECT_EQ(*memory_.get(pending_key_of(stream_.id)), std::nullopt);
}

TEST_F(StreamDeliveryTest, AnIntervalIsElapsedTimeWhateverTheWallClockShows) {
  for (const Duration set : {Duration(-7'200'000), Duration(7'200'000)}) {
    SCOPED_TRACE(set.count());
    append("x", kStart + wall_ahead_);
    EXPECT_EQ(settle(kStart), kStart + Duration(60'000));
    wall_ahead_ += set;
    append("y", kStart + wall_ahead_);
    EXPECT_EQ(settle(kStart + Duration(59'999)), kStart + Duration(60'000));
    EXPECT_EQ(settle(kStart + Duration(60'000)), kNever);
    EXPECT_EQ(sink_.content(), sent_);
  }
  // Set back before anybody looked at the record: its interval begins with the first look.
  append("z", kStart + wall_ahead_);
  wall_ahead_ -= Duration(7'200'000);
  EXPECT_EQ(settle(kStart), kStart + Duration(60'000));
  EXPECT_EQ(settle(kStart + Duration(60'000)), kNever);
  EXPECT_EQ(sink_.content(), sent_);
}

TEST_F(StreamDeliveryTest, DeliversBySizeWithoutWaiting) {
  for (int i = 0; i < 7; ++i) append(std::string(300'000, static_cast<char>('a' + i)), kStart);
  // 1 MiB is reached by the fourth record.
  EXPECT_EQ(settle(kStart), kStart + Duration(60'000));
  ASSERT_EQ(sink_.order.size(), 1u);
  EXPECT_EQ(sink_.objects[sink_.order[0]].size(), 1'200'000u);
  EXPECT_EQ(settle(kStart + Duration(60'000)), kNever);
  EXPECT_EQ(sink_.content(), sent_);
}

TEST_F(StreamDeliveryTest, ZeroIntervalDeliversAtOnce) {
  stream_.destination.buffer_seconds = 0;
  append("x", kStart);
  EXPECT_EQ(settle(kStart), kNever);
  EXPECT_EQ(sink_.content(), "x");
}

// The process dies before or after every write to the log and to the store, twice in a row; what was sent is
// delivered once, in order.
class Crashes : public StreamDeliveryTest, public testing::WithParamInterface<Compression> {};

TEST_P(Crashes, AtAnyPointLoseAndRepeatNothing) {
  const auto scenario = [&](int first, int second) {
    stream_ = some_stream();
    stream_.destination.compression = GetParam();
    stream_.destination.processing = {true, true, true};
    log::Batch clean;
    add_removal(clean, stream_.id);
    clean.drop(records_of(stream_));
    ASSERT_TRUE(memory_.write(std::move(clean)));
    sink_.objects.clear();
    sink_.order.clear();
    sent_.clear();
    restart();
    crash_.at = first;
    sink_.crash = &crash_;
    int crashes = 0;
    Timestamp now = kStart;
    for (int tick = 0; tick < 40; ++tick, now = now + Duration(10'000)) {
      if (tick < 20) append(std::string(tick % 5 == 0 ? 400'000 : 10, static_cast<char>('a' + tick)), now);
      process().delivery.step(stream_, 1, {now, now});
      if (!crash_.dead) continue;
      restart();
      if (++crashes == 1) crash_.at = second;
    }
    restart();
    for (int i = 0; i < 5; ++i, now = now + Duration(600'000))
      process().delivery.step(stream_, 1, {now, now});
    ASSERT_EQ(sink_.content(), sent_) << first << ", " << second;
    ASSERT_EQ(memory_.range(records_of(stream_)).begin, 20u);
    ASSERT_EQ(*memory_.get(pending_key_of(stream_.id)), std::nullopt);
  };
  scenario(-1, -1);
  const int points = 2 * 3 * static_cast<int>(sink_.order.size());  // pending, object, offset
  ASSERT_GT(points, 12);
  for (int first = 0; first < points && !HasFatalFailure(); ++first) {
    for (const int second : {-1, 0, 1, 2, 3, 4, 5}) scenario(first, second);
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, Crashes, testing::Values(Compression::kNone, Compression::kGzip));

TEST_F(StreamDeliveryTest, ARefusedRoleIsTriedAgainAndThenDelivers) {
  may_put_ = fail(ErrorCode::kPermissionDenied, "role delivery lacks s3:PutObject");
  append("x", kStart);
  Timestamp now = kStart + Duration(60'000);
  int64_t last_pause = 0;
  for (int attempt = 1; attempt <= 12; ++attempt) {
    const Timestamp due = settle(now);
    const int64_t pause = (due - now).count();
    EXPECT_GE(pause, 500);
    EXPECT_LE(pause, 300'000);
    if (attempt < 8) {
      EXPECT_GE(pause, last_pause);  // doubled, less jitter of half
    }
    last_pause = pause;
    EXPECT_EQ(process().delivery.last_error(), "role delivery lacks s3:PutObject");
    EXPECT_EQ(process().delivery.backlog().state, StreamDelivery::Backlog::State::kFailing);
    now = due;
  }
  EXPECT_EQ(sink_.attempts, 0);
  EXPECT_EQ(counter("fleetward_delivery_failures_total{reason=\"role\"}"), 12);
  process().may_put = {};
  // Long before the pause ends: the control state has changed.
  ++control_version_;
  EXPECT_EQ(settle(now + Duration(1000)), kNever);
  EXPECT_EQ(sink_.content(), "x");
  EXPECT_EQ(process().delivery.last_error(), "");
}

TEST_F(StreamDeliveryTest, AnAbsentStoreIsNotTriedEarly) {
  sink_.refusal.message = "connection refused";
  append("x", kStart);
  Timestamp now = kStart + Duration(60'000);
  for (int i = 0; i < 6; ++i) now = settle(now);
  const int attempts = sink_.attempts;
  ++control_version_;
  EXPECT_GT(settle(now - Duration(1)), now - Duration(1));
  EXPECT_EQ(sink_.attempts, attempts);
}

TEST_F(StreamDeliveryTest, ANewDestinationTakesWhatTheOldOneRefused) {
  sink_.refusal = {ErrorCode::kNotFound, "no such bucket: lake"};
  append("x", kStart);
  Timestamp now = kStart + Duration(60'000);
  settle(now);
  EXPECT_EQ(sink_.attempts, 1);
  sink_.refusal.message.clear();
  stream_.version = 2;
  stream_.destination.bucket = "other";
  ++control_version_;
  now = now + Duration(1000);
  EXPECT_EQ(settle(now), kNever);
  ASSERT_EQ(sink_.order.size(), 1u);
  EXPECT_TRUE(sink_.order[0].starts_with("other/2026/11/24/07/metrics-2-")) << sink_.order[0];
}

TEST_F(StreamDeliveryTest, RetentionGivesUpWithACount) {
  sink_.refusal.message = "connection refused";
  append("old", kStart);
  append("older", kStart + Duration(10));
  const Timestamp late = kStart + Duration(24 * 3600'000 + 100'000);
  Timestamp now = kStart + Duration(60'000);
  while (now < late) now = settle(now);
  now = settle(now);
  EXPECT_EQ(now, kNever);
  now = late + Duration(300'000);
  EXPECT_EQ(memory_.range(records_of(stream_)).begin, 2u);
  EXPECT_EQ(counter("fleetward_delivery_dropped_records_total{reason=\"retention\"}"), 2);
  // What comes later is delivered once the store is back.
  sink_.refusal.message.clear();
  append("new", now);
  settle(now + Duration(60'000));
  EXPECT_EQ(sink_.content(), "new");
}

TEST_F(StreamDeliveryTest, ALogThatRefusesStopsNothingForGood) {
  append("x", kStart);
  memory_.set_trouble("No space left on device");
  const Timestamp now = kStart + Duration(60'000);
  EXPECT_GT(settle(now), now);
  EXPECT_EQ(process().delivery.last_error(), "No space left on device");
  EXPECT_EQ(sink_.attempts, 0);
  memory_.set_trouble("");
  EXPECT_EQ(settle(now + Duration(1000)), kNever);
  EXPECT_EQ(sink_.content(), "x");
  EXPECT_EQ(process().delivery.last_error(), "");
}

TEST_F(StreamDeliveryTest, ADamagedPendingEntryIsReported) {
  log::Batch batch;
  batch.put(pending_key_of(stream_.id), "{nonsense");
  ASSERT_TRUE(memory_.write(std::move(batch)));
  append("x", kStart);
  EXPECT_GT(settle(kStart + Duration(60'000)), kStart + Duration(60'000));
  EXPECT_NE(process().delivery.last_error().find("does not parse"), std::string::npos);
}

}  // namespace
}  // namespace fleetward::delivery
