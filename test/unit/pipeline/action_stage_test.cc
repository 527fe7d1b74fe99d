#include "pipeline/action_stage.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "core/encoding.h"
#include "core/steady_clock.h"
#include "test/unit/pipeline/rule_fixture.h"

namespace fleetward::pipeline {
namespace {

const Error kAway{ErrorCode::kUnavailable, "away"};
const Error kGone{ErrorCode::kNotFound, "no such bucket"};

ActionRecord record_of(size_t tasks) {
  ActionRecord record;
  record.rule = "r";
  record.tasks.resize(tasks);
  for (ActionTask& task : record.tasks) task.resource = "b";
  return record;
}

// --- the decisions

TEST(ActionQueue, RetriesWithGrowingPausesThenFails) {
  ActionQueue queue({.attempts_max = 4, .retry_min = Duration{500}, .retry_max = Duration{1500}}, 7);
  queue.add(7, record_of(1), Timestamp{0});
  Timestamp now{0};
  for (const int64_t pause : {500, 1000, 1500}) {
    const auto attempt = queue.due(now);
    ASSERT_TRUE(attempt);
    EXPECT_EQ(queue.finish(*attempt, fail(kAway), now), ActionQueue::Outcome::kRetry);
    EXPECT_FALSE(queue.due(now + Duration{pause - 1}));
    EXPECT_EQ(queue.next_due(), now + Duration{pause});
    now = now + Duration{pause};
    EXPECT_EQ(queue.committed(), 7U);
  }
  EXPECT_EQ(queue.finish(*queue.due(now), fail(kAway), now), ActionQueue::Outcome::kFailed);
  const auto finished = queue.take_finished();
  ASSERT_EQ(finished.size(), 1U);
  ASSERT_EQ(finished[0].failures.size(), 1U);
  EXPECT_EQ(finished[0].failures[0].message, "away");
  EXPECT_EQ(queue.committed(), 8U);
  EXPECT_FALSE(queue.next_due());
}

TEST(ActionQueue, FinalErrorsAreNotRepeated) {
  ActionQueue queue({}, 0);
  queue.add(0, record_of(1), Timestamp{0});
  EXPECT_EQ(queue.finish(*queue.due(Timestamp{0}), fail(kGone), Timestamp{0}), ActionQueue::Outcome::kFailed);
}

TEST(ActionQueue, OthersOvertakeWhatWaits) {
  ActionQueue queue({}, 0);
  queue.add(0, record_of(1), Timestamp{0});
  queue.add(1, record_of(2), Timestamp{1});
  queue.skip(2);
  const Timestamp now{10};
  EXPECT_EQ(queue.due(now)->offset, 0U);
  queue.finish(*queue.due(now), fail(kAway), now);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(queue.due(now)->offset, 1U);
    queue.finish(*queue.due(now), {}, now);
  }
  EXPECT_EQ(queue.take_finished().size(), 1U);
  // The older one is not done: a restart reads from there.
  EXPECT_EQ(queue.committed(), 0U);
  EXPECT_EQ(queue.next(), 3U);
  const Timestamp later = *queue.next_due();
  queue.finish(*queue.due(later), {}, later);
  EXPECT_EQ(queue.take_finished().size(), 1U);
  EXPECT_EQ(queue.committed(), 3U);
}

TEST(ActionQueue, TheWindowIsBounded) {
  ActionQueue queue({.window_records_max = 2}, 0);
  queue.add(0, record_of(1), {});
  EXPECT_TRUE(queue.has_room());
  queue.add(1, record_of(1), {});
  EXPECT_FALSE(queue.has_room());
  ActionQueue bytes({.window_bytes_max = 100}, 0);
  bytes.add(0, record_of(1), {});
  EXPECT_FALSE(bytes.has_room());
}

// --- the thread

// Answers with what was told, success by default, and lets a test wait for calls.
class FakeTargets final : public ActionTargets {
 public:
  Result<std::shared_ptr<const identity::PolicyDocument>> bucket_policy(std::string_view) override {
    return policy;
  }
  Status put_object(std::string_view bucket, std::string_view key, std::string_view body,
                    std::string_view acl) override {
    return note("put " + std::string(bucket) + "/" + std::string(key) + " " + std::string(body) +
                std::string(acl));
  }
  Status publish_sns(std::string_view topic, std::string_view body, bool json, const Chain& made) override {
    {
      const std::lock_guard lock(mutex);
      sns_made.push_back(made);
    }
    return note("sns " + std::string(topic) + " " + std::string(body) + (json ? " json" : ""));
  }
  Status note(std::string call) {
    const std::lock_guard lock(mutex);
    calls.push_back(std::move(call));
    changed.notify_all();
    if (answers.empty() || calls.back().starts_with("sns")) return {};
    Status out = answers.front();
    answers.pop_front();
    return out;
  }
  void wait_for(size_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return calls.size() >= count; });
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> calls;
  std::vector<Chain> sns_made;
  std::shared_ptr<const identity::PolicyDocument> policy;  // of every bucket
  std::deque<Status> answers;                              // of put_object, in order; then success
};

class FakePublisher final : public broker::InternalPublisher {
 public:
  void publish(broker::MessagePtr message, std::function<void(Status)>) override {
    const std::lock_guard lock(mutex);
    messages.push_back(std::move(message));
    changed.notify_all();
  }
  void wait_for(size_t count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return messages.size() >= count; });
  }
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<broker::MessagePtr> messages;
};

class ActionStageTest : public RuleFixture {
 public:
  void SetUp() override {
    put_rule("r", "SELECT * FROM 'a'",
             R"([{"s3":{$R,"bucketName":"b","key":"${topic()}"}},
                 {"sns":{$R,"targetArn":"arn:aws:sns:eu-west-1:123456789012:t"}}])",
             R"({"republish":{$R,"topic":"errors/${topic()}"}})");
  }
  void publish(std::string_view payload) {
    log::Batch batch;
    std::vector<broker::MessagePtr> replies;
    RuleRunner(services()).run(event("a", payload), chain_, batch, replies);
    ASSERT_TRUE(log_.write(std::move(batch)));
  }
  std::unique_ptr<ActionStage> start() {
    ActionStageOptions options;
    options.retry_min = options.retry_max = Duration{0};  // at once
    options.attempts_max = 3;
    auto stage =
        std::make_unique<ActionStage>(options, log_, services(), targets_, publisher_, clock_, steady_);
    stage->start();
    return stage;
  }

  log::MemoryLog log_;
  FakeTargets targets_;
  Chain chain_ = kFirst;
  FakePublisher publisher_;
  SystemClock clock_;
  SteadyClock steady_;
};

TEST_F(ActionStageTest, DoesAndForgets) {
  publish("one");
  const auto stage = start();
  targets_.wait_for(2);
  publish("two");
  targets_.wait_for(4);
  stage->stop();
  EXPECT_EQ(targets_.calls,
            (std::vector<std::string>{"put b/a one", "sns arn:aws:sns:eu-west-1:123456789012:t one",
                                      "put b/a two", "sns arn:aws:sns:eu-west-1:123456789012:t two"}));
  // What stop() interrupted between doing and committing would be done again: nothing was, or at most that.
  EXPECT_GE(log_.committed("actions", actions_partition()), 1U);
}

TEST_F(ActionStageTest, StartsWhereItWas) {
  publish("one");
  {
    const auto stage = start();
    targets_.wait_for(2);
  }
  publish("two");
  const auto stage = start();
  targets_.wait_for(4);
  const std::lock_guard lock(targets_.mutex);
  EXPECT_EQ(targets_.calls.back(), "sns arn:aws:sns:eu-west-1:123456789012:t two");
}

TEST_F(ActionStageTest, TriesAgainThenFiresTheErrorAction) {
  targets_.answers = {fail(kAway), fail(kAway), fail(kAway)};
  publish("x");
  const auto stage = start();
  publisher_.wait_for(1);
  EXPECT_EQ(publisher_.messages[0]->topic, "errors/a");
  const auto document = json::parse(publisher_.messages[0]->payload).value().as_object();
  EXPECT_EQ(document.at("base64OriginalPayload").as_string(), to_base64("x"));
  const auto& failures = document.at("failures").as_array();
  ASSERT_EQ(failures.size(), 1U);
  EXPECT_EQ(failures[0].at("failedAction").as_string(), "S3Action");
  EXPECT_EQ(failures[0].at("errorMessage").as_string(), "away");
  EXPECT_EQ(actions("s3", "failure"), 1);
  EXPECT_EQ(actions("s3", "retry"), 2);
  EXPECT_EQ(actions("sns", "success"), 1);
}

TEST_F(ActionStageTest, WhatItPublishesKeepsItsPlaceInTheChain) {
  targets_.answers = {fail(kGone)};
  chain_ = {4, 90};
  publish("x");
  const auto stage = start();
  publisher_.wait_for(1);
  // Two tasks and the error action share.
  EXPECT_EQ(publisher_.messages[0]->hops, 5U);
  EXPECT_EQ(publisher_.messages[0]->offspring_max, 30U);
  targets_.wait_for(2);
  const std::lock_guard lock(targets_.mutex);
  EXPECT_EQ(targets_.sns_made.at(0).hops, 5U);
  EXPECT_EQ(targets_.sns_made.at(0).offspring_max, 30U);
}

TEST_F(ActionStageTest, ARefusedWriteThatIsThereIsNotRepeated) {
  put_rule("r", "SELECT * FROM 'a'", R"([{"s3":{$R,"bucketName":"b","key":"k"}}])",
           R"({"firehose":{$R,"deliveryStreamName":"lake"}})");
  targets_.answers = {fail(kGone)};
  publish("x");
  log_.fail_next_sync("Input/output error");
  const auto stage = start();
  while (log_.trouble().empty()) std::this_thread::yield();
  log_.set_trouble("");
  publish("y");
  while (log_.committed("actions", actions_partition()) < 2) std::this_thread::yield();
  ASSERT_EQ(log_.partitions("records/").size(), 1U);
  EXPECT_EQ(log_.range(log_.partitions("records/")[0]).end, 1U);
}

TEST_F(ActionStageTest, AsksTheRole) {
  put_role(
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":["iot:Publish","sns:Publish"]}]})");
  publish("x");
  const auto stage = start();
  publisher_.wait_for(1);
  EXPECT_NE(publisher_.messages[0]->payload.find("s3:PutObject on resource: arn:aws:s3:::b/a"),
            std::string::npos);
  const std::lock_guard lock(targets_.mutex);
  EXPECT_EQ(targets_.calls.size(), 1U);
}

TEST_F(ActionStageTest, AsksTheBucket) {
  targets_.policy = identity::PolicyDocument::parse(
                        R"({"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
                            "Action":"s3:*","Resource":"arn:aws:s3:::b/*"}]})",
                        {.principal_required = true})
                        .value();
  publish("x");
  const auto stage = start();
  publisher_.wait_for(1);
  EXPECT_NE(
      publisher_.messages[0]->payload.find(
          "s3:PutObject on resource: arn:aws:s3:::b/a with an explicit deny in a resource-based policy"),
      std::string::npos);
  const std::lock_guard lock(targets_.mutex);
  EXPECT_EQ(targets_.calls.size(), 1U);
}

TEST_F(ActionStageTest, PassesOverWhatItCannotRead) {
  log::Batch batch;
  batch.append(actions_partition(), "garbage", Timestamp{1});
  ASSERT_TRUE(log_.write(std::move(batch)));
  publish("x");
  const auto stage = start();
  targets_.wait_for(2);
  EXPECT_EQ(counter("fleetward_action_records_corrupt_total", {}), 1);
}

}  // namespace
}  // namespace fleetward::pipeline
