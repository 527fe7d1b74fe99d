#include "pipeline/export_stage.h"

#include "detect/value.h"
#include "export/export_record.h"
#include "test/unit/pipeline/detect_fixture.h"
#include "test/unit/pipeline/rule_fixture.h"

namespace fleetward::pipeline {
namespace {

// Takes every message; answers as told.
class Subscribers final : public broker::InternalPublisher {
 public:
  void publish(broker::MessagePtr message, std::function<void(Status)> done) override {
    if (status) messages.push_back(message->topic + " " + message->payload);
    if (done) done(status);
  }
  std::vector<std::string> messages;
  Status status;
};

class ExportStageTest : public RuleFixture {
 protected:
  static constexpr int64_t kStart = 1'767'225'600'000;

  void SetUp() override {
    put_rule("lake_rule", "SELECT * FROM 'metric/#'", R"([{"firehose":{$R,"deliveryStreamName":"lake"}}])");
  }
  void point(log::Log& log, const std::string& topic, const std::string& thing, double value,
             uint32_t partition = 0) {
    detect::ValueView view;
    view.kind = detect::ValueKind::kNumber;
    view.number = value;
    std::string bytes;
    detect::encode_value(view, bytes);
    exporting::RecordWriter writer;
    writer.add({topic, kRole, "base", "rssi", thing, detect::ExportClass::kAsIs, 1, {kStart + 5}, bytes});
    log::Batch batch;
    batch.append({"exports", partition}, writer.finish(), {kStart});
    ASSERT_TRUE(log.write(std::move(batch)));
  }
  std::unique_ptr<ExportStage> stage(log::Log& log) {
    ExportStageOptions options;
    options.partitions = 2;
    options.interval = Duration{60'000};
    return std::make_unique<ExportStage>(options, log, services(), subscribers_, clock_);
  }
  void drain(ExportStage& stage) {
    auto more = stage.step();
    while (more && *more) more = stage.step();
    EXPECT_TRUE(more) << more.error().message;
  }
  // The first point's batch comes due; no attempt succeeds.
  void expect_given_up_at_the_third_attempt(ExportStage& stage, const log::Log& log) {
    drain(stage);
    clock_.advance(Duration{70'000});
    for (int i = 0; i < 2; ++i) {
      drain(stage);
      EXPECT_EQ(log.committed("export", {"exports", 0}), 0U);
      clock_.advance(Duration{1000});
    }
    drain(stage);
    EXPECT_EQ(log.committed("export", {"exports", 0}), 1U);
  }
  // What reached the delivery stream.
  std::vector<std::string> delivered(const log::Log& log) {
    std::vector<std::string> out;
    for (const log::Record& record : read_all(log, {"records/id-lake", 0})) out.push_back(record.value);
    return out;
  }
  double messages(const char* result) {
    return counter("fleetward_export_messages_total", {{"result", result}});
  }

  ManualClock clock_{{kStart}};
  Subscribers subscribers_;
};

constexpr const char* kBody =
    R"({"version":"1.0","metrics":[{"name":"rssi","thing":"a","value":{"number":-1},"version":1,"timestamp":1767225600005},)"
    R"({"name":"rssi","thing":"b","value":{"number":-2},"version":1,"timestamp":1767225600005}]})";

TEST_F(ExportStageTest, BasicIngestReachesTheDeliveryStreamOnce) {
  log::MemoryLog log;
  const auto stage = this->stage(log);
  point(log, "$aws/rules/lake_rule/metric/x", "a", -1);
  point(log, "$aws/rules/lake_rule/metric/x", "b", -2);
  drain(*stage);
  EXPECT_TRUE(delivered(log).empty());  // the interval is not over
  clock_.advance(Duration{70'000});
  drain(*stage);
  EXPECT_EQ(delivered(log), std::vector<std::string>{kBody});
  EXPECT_TRUE(subscribers_.messages.empty());
  clock_.advance(Duration{70'000});
  drain(*stage);
  EXPECT_EQ(delivered(log).size(), 1U);
  EXPECT_EQ(log.committed("export", {"exports", 0}), 2U);
  EXPECT_EQ(messages("published"), 1.0);
}

TEST_F(ExportStageTest, AWallClockThatIsSetBackHoldsNothing) {
  log::MemoryLog log;
  clock_.advance(std::chrono::hours(24));
  const auto stage = this->stage(log);
  point(log, "$aws/rules/lake_rule", "a", -1);
  drain(*stage);
  clock_.set({kStart});
  drain(*stage);
  clock_.advance(Duration{70'000});
  drain(*stage);
  EXPECT_EQ(delivered(log).size(), 1U);
}

TEST_F(ExportStageTest, TheRuleNameAloneIsEnough) {
  log::MemoryLog log;
  const auto stage = this->stage(log);
  point(log, "$aws/rules/lake_rule", "a", -1);
  drain(*stage);
  clock_.advance(Duration{70'000});
  drain(*stage);
  EXPECT_EQ(delivered(log).size(), 1U);
}

TEST_F(ExportStageTest, AnOrdinaryTopicReachesSubscribersAndMatchingRules) {
  log::MemoryLog log;
  const auto stage = this->stage(log);
  point(log, "metric/cellular", "a", -1);
  point(log, "metric/cellular", "b", -2);
  drain(*stage);
  clock_.advance(Duration{70'000});
  drain(*stage);
  EXPECT_EQ(subscribers_.messages, std::vector<std::string>{std::string("metric/cellular ") + kBody});
  EXPECT_EQ(delivered(log), std::vector<std::string>{kBody});
}

TEST_F(ExportStageTest, ARefusingRoleIsTriedThenDroppedWithAReason) {
  put_role(
      R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":"firehose:*"}]})");
  log::MemoryLog log;
  const auto stage = this->stage(log);
  point(log, "metric/cellular", "a", -1);
  expect_given_up_at_the_third_attempt(*stage, log);
  EXPECT_EQ(messages("refused"), 1.0);
  EXPECT_TRUE(subscribers_.messages.empty());
  // The next batch does not wait again; once the role is right, it goes out.
  point(log, "metric/cellular", "a", -1);
  drain(*stage);
  clock_.advance(Duration{70'000});
  drain(*stage);
  EXPECT_EQ(messages("refused"), 2.0);
  SetUp();
  put_role(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":
      "arn:aws:iot:eu-west-1:123456789012:topic/metric/*","Action":"iot:Publish"}]})");
  point(log, "metric/cellular", "a", -1);
  drain(*stage);
  clock_.advance(Duration{70'000});
  drain(*stage);
  EXPECT_EQ(subscribers_.messages.size(), 1U);
}

TEST_F(ExportStageTest, ARuleThatIsNotThereIsTriedThenDroppedWithAReason) {
  log::MemoryLog log;
  const auto stage = this->stage(log);
  point(log, "$aws/rules/nobody/x", "a", -1);
  expect_given_up_at_the_third_attempt(*stage, log);
  EXPECT_EQ(messages("no_rule"), 1.0);
  EXPECT_EQ(messages("published"), 0.0);
}

TEST_F(ExportStageTest, ABrokerThatIsAwayIsTriedAgain) {
  log::MemoryLog log;
  const auto stage = this->stage(log);
  point(log, "metric/cellular", "a", -1);
  drain(*stage);
  clock_.advance(Duration{70'000});
  subscribers_.status = fail(ErrorCode::kUnavailable, "starting");
  drain(*stage);
  EXPECT_TRUE(delivered(log).empty());
  subscribers_.status = {};
  clock_.advance(Duration{1000});
  drain(*stage);
  EXPECT_EQ(subscribers_.messages.size(), 1U);
  EXPECT_EQ(delivered(log).size(), 1U);
}

TEST_F(ExportStageTest, ARefusedWriteThatIsThereIsNotRepeated) {
  log::MemoryLog log;
  const auto stage = this->stage(log);
  point(log, "$aws/rules/lake_rule/metric/x", "a", -1, 1);
  drain(*stage);
  clock_.advance(Duration{70'000});
  log.fail_next_sync("Input/output error");
  EXPECT_FALSE(stage->step());
  EXPECT_FALSE(stage->step());
  log.set_trouble("");
  drain(*stage);
  EXPECT_EQ(delivered(log).size(), 1U);
  EXPECT_EQ(messages("published"), 1.0);
}

TEST_F(ExportStageTest, AFullDiskDropsNothing) {
  log::MemoryLog log;
  const auto stage = this->stage(log);
  point(log, "metric/cellular", "a", -1);
  drain(*stage);
  log.set_trouble("No space left on device");
  subscribers_.status = fail(ErrorCode::kUnavailable, "the log refuses writes: No space left on device");
  for (int i = 0; i < 10; ++i) {
    clock_.advance(Duration{70'000});
    drain(*stage);
  }
  log.set_trouble("");
  subscribers_.status = {};
  clock_.advance(Duration{1000});
  drain(*stage);
  EXPECT_EQ(messages("unavailable"), 0.0);
  EXPECT_EQ(subscribers_.messages.size(), 1U);
  EXPECT_EQ(delivered(log).size(), 1U);
}

TEST_F(ExportStageTest, ACrashAtAnyWriteLosesAndRepeatsNothing) {
  const auto things_of = [&](const log::Log& log) {
    std::vector<std::string> things;
    for (const std::string& record : delivered(log)) {
      const auto document = json::parse(record);
      for (const json::value& element : document->get_object().at("metrics").get_array()) {
        things.emplace_back(json::string_or(element.get_object(), "thing"));
      }
    }
    std::sort(things.begin(), things.end());
    return things;
  };
  for (const bool after : {false, true}) {
    for (int at = 0; at < 4; ++at) {
      clock_.set({kStart});
      log::MemoryLog log;
      DyingLog dying(log);
      dying.die_at = at;
      dying.after = after;
      std::vector<std::string> expected;
      auto stage = this->stage(dying);
      bool restarted = false;
      for (int round = 0; round < 9; ++round) {
        const std::string thing = "thing-" + std::to_string(round);
        expected.push_back(thing);
        point(log, "$aws/rules/lake_rule/metric/x", thing, round, static_cast<uint32_t>(round % 2));
        clock_.advance(Duration{35'000});
        auto more = stage->step();
        while (more && *more) more = stage->step();
        if (dying.dead && !restarted) {
          restarted = true;
          stage = this->stage(log);
        }
      }
      for (int i = 0; i < 2; ++i) {
        clock_.advance(Duration{70'000});
        drain(*stage);
      }
      EXPECT_TRUE(restarted) << at;
      EXPECT_EQ(things_of(log), expected) << at << after;
    }
  }
}

}  // namespace
}  // namespace fleetward::pipeline
