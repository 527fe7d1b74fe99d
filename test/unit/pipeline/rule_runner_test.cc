#include "pipeline/rule_runner.h"

#include "pipeline/action_record.h"
#include "pipeline/ingest.h"
#include "test/unit/pipeline/rule_fixture.h"

namespace fleetward::pipeline {
namespace {

constexpr const char* kToLake = R"([{"firehose":{$R,"deliveryStreamName":"lake"}}])";
constexpr const char* kErrors = R"({"firehose":{$R,"deliveryStreamName":"lake"}})";

class RuleRunnerTest : public RuleFixture {
 public:
  void run(std::string_view topic, std::string_view payload) {
    batch_ = {};
    replies_.clear();
    if (!runner_) runner_ = std::make_unique<RuleRunner>(services());
    deferred_ = runner_->run(event(topic, payload), chain_, batch_, replies_);
  }
  json::object failure_document() {
    EXPECT_EQ(batch_.appends.size(), 1U);
    return json::parse(batch_.appends.at(0).value).value().as_object();
  }
  std::string first_failure() {
    return std::string(
        failure_document()["failures"].as_array().at(0).as_object()["errorMessage"].as_string());
  }

  std::unique_ptr<RuleRunner> runner_;
  Chain chain_ = kFirst;
  size_t deferred_ = 0;
  log::Batch batch_;
  std::vector<broker::MessagePtr> replies_;
};

TEST_F(RuleRunnerTest, PutsRecordsOnTheStream) {
  put_rule("r", "SELECT * FROM 'ddmetric/#'", kToLake);
  run("ddmetric/cellular", "raw \x01 bytes");
  ASSERT_EQ(batch_.appends.size(), 1U);
  EXPECT_EQ(batch_.appends[0].partition.stream, "records/id-lake");
  EXPECT_EQ(batch_.appends[0].value, "raw \x01 bytes");
  EXPECT_EQ(batch_.appends[0].now, Timestamp{1767225600000});
  run("other", "x");
  EXPECT_TRUE(batch_.empty());
  EXPECT_EQ(messages("topic_match"), 1);
  EXPECT_EQ(messages("executed"), 1);
  EXPECT_EQ(actions("firehose", "success"), 1);
}

TEST_F(RuleRunnerTest, SeesChangesOfTheControlState) {
  put_rule("r", "SELECT * FROM 'a'", kToLake);
  run("a", "x");
  EXPECT_EQ(batch_.appends.size(), 1U);
  put_rule("r", "SELECT * FROM 'a'", kToLake, "", true);
  run("a", "x");
  EXPECT_TRUE(batch_.empty());
  put_rule("r", "SELECT * FROM 'a'", kToLake);
  put_role(R"({"Version":"2012-10-17","Statement":[{"Effect":"Deny","Resource":"*","Action":"*"}]})");
  run("a", "x");
  EXPECT_TRUE(batch_.empty());
  EXPECT_EQ(actions("firehose", "failure"), 1);
  EXPECT_EQ(messages("failed_and_dropped"), 1);
}

TEST_F(RuleRunnerTest, RepublishesAsReplies) {
  put_rule("r", "SELECT n FROM 'a/+'", R"([{"republish":{$R,"topic":"out/${topic(2)}","qos":1}}])");
  run("a/b", R"({"n":5,"m":6})");
  ASSERT_EQ(replies_.size(), 1U);
  EXPECT_EQ(replies_[0]->topic, "out/b");
  EXPECT_EQ(replies_[0]->payload, R"({"n":5})");
  EXPECT_EQ(replies_[0]->qos, 1);
  EXPECT_TRUE(batch_.empty());
}

TEST_F(RuleRunnerTest, NeedsTheRoleForThatVeryResource) {
  put_role(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish",
      "Resource":"arn:aws:iot:eu-west-1:123456789012:topic/out/good"},
      {"Effect":"Allow","Action":"firehose:PutRecord","Resource":"*"}]})");
  put_rule("r", "SELECT * FROM 'a/+'", R"([{"republish":{$R,"topic":"out/${topic(2)}"}}])", kErrors);
  run("a/good", "x");
  EXPECT_EQ(replies_.size(), 1U);
  run("a/bad", "x");
  EXPECT_TRUE(replies_.empty());
  EXPECT_NE(first_failure().find("iot:Publish on resource: arn:aws:iot:eu-west-1:123456789012:topic/out/bad"),
            std::string::npos);
  EXPECT_EQ(actions("republish", "failure"), 1);
  EXPECT_EQ(actions("firehose", "error_action_success"), 1);
}

TEST_F(RuleRunnerTest, NeedsTheTrustOfTheRole) {
  put_role(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]})",
           "lambda.amazonaws.com");
  put_rule("r", "SELECT * FROM 'a'", kToLake);
  run("a", "x");
  EXPECT_TRUE(batch_.empty());
  EXPECT_EQ(messages("failed_and_dropped"), 1);
}

TEST_F(RuleRunnerTest, FiresTheErrorActionOnceWithEveryFailure) {
  put_rule(
      "r", "SELECT * FROM 'a'",
      R"([{"firehose":{$R,"deliveryStreamName":"missing"}},{"firehose":{$R,"deliveryStreamName":"gone-${x}"}},
               {"firehose":{$R,"deliveryStreamName":"lake"}}])",
      kErrors);
  run("a", "payload");
  ASSERT_EQ(batch_.appends.size(), 2U);
  EXPECT_EQ(batch_.appends[0].value, "payload");
  const auto document = json::parse(batch_.appends[1].value).value().as_object();
  EXPECT_EQ(document.at("ruleName").as_string(), "r");
  EXPECT_EQ(document.at("base64OriginalPayload").as_string(), "cGF5bG9hZA==");
  EXPECT_EQ(document.at("clientId").as_string(), "device-7");
  const auto& failures = document.at("failures").as_array();
  ASSERT_EQ(failures.size(), 2U);
  EXPECT_EQ(failures[0].at("failedAction").as_string(), "FirehoseAction");
  EXPECT_EQ(failures[0].at("failedResource").as_string(), "missing");
  EXPECT_EQ(failures[1].at("failedResource").as_string(), "gone-");
  EXPECT_EQ(failures[0].at("errorMessage").as_string(),
            "the delivery stream missing does not exist or is not active");
}

TEST_F(RuleRunnerTest, LeavesObjectsAndNotificationsToTheStage) {
  put_rule("r", "SELECT * FROM 'a'",
           R"([{"s3":{$R,"bucketName":"b","key":"k/${topic()}","cannedAcl":"private"}},
               {"sns":{$R,"targetArn":"arn:aws:sns:eu-west-1:123456789012:t","messageFormat":"JSON"}},
               {"firehose":{$R,"deliveryStreamName":"missing"}}])",
           kErrors);
  run("a", R"({"x":1})");
  ASSERT_EQ(batch_.appends.size(), 1U);
  EXPECT_EQ(batch_.appends[0].partition, actions_partition());
  const auto record = decode_action_record(batch_.appends[0].value);
  ASSERT_TRUE(record);
  ASSERT_EQ(record->tasks.size(), 2U);
  EXPECT_EQ(record->tasks[0].resource + "|" + record->tasks[0].key + "|" + record->tasks[0].body,
            R"(b|k/a|{"x":1})");
  EXPECT_TRUE(record->tasks[1].json_format);
  // The failure that is known already goes along: the error action fires once.
  ASSERT_EQ(record->failures.size(), 1U);
  EXPECT_EQ(record->event.payload, R"({"x":1})");
}

TEST_F(RuleRunnerTest, WhatGoesThroughTheLogKeepsItsPlaceInTheChain) {
  put_rule("r", "SELECT * FROM 'a'",
           R"([{"s3":{$R,"bucketName":"b","key":"k"}},{"republish":{$R,"topic":"x"}}])", kErrors);
  put_rule("s", "SELECT * FROM 'a'", R"([{"sns":{$R,"targetArn":"arn:aws:sns:eu-west-1:123456789012:t"}}])");
  const auto made = [&](Chain chain) {
    chain_ = chain;
    run("a", "x");
    EXPECT_EQ(deferred_, 3U) << "a task and the error action of one rule, a task of the other";
    EXPECT_EQ(replies_.size(), 1U);
    const auto record = decode_action_record(batch_.appends.at(1).value);
    EXPECT_TRUE(record);
    return record->made;
  };
  EXPECT_EQ(made(kFirst).hops, 1U);
  EXPECT_EQ(made({3, 40}).hops, 4U);
  EXPECT_EQ(made({3, 40}).offspring_max, 10U);
  EXPECT_EQ(made({3, 3}).offspring_max, 0U);
  EXPECT_EQ(made({0, 3}).offspring_max, 1U) << "the first hop always passes";
}

TEST_F(RuleRunnerTest, ActionRecordsSurviveTheLog) {
  ActionRecord record;
  record.made = {5, 77};
  record.rule = "r";
  record.is_error_action = true;
  ActionTask task;
  task.role_arn = kRole;
  task.resource = "b";
  task.key = "k\n\"";
  task.body = std::string("a\0b\n", 4);
  record.tasks = {task, task};
  record.failures = {{"S3Action", "b", "why"}};
  auto original = event("t", "pay\nload");
  original.entropy[0] = ~uint64_t{0};
  original.entropy[1] = 5;
  original.correlation_data = "\xff";
  record.event = StoredEvent::of(original);
  const std::string text = encode_action_record(record);
  const auto again = decode_action_record(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(encode_action_record(*again), text);
  EXPECT_EQ(again->tasks[1].body, task.body);
  EXPECT_EQ(again->event.correlation_data, "\xff");
  EXPECT_EQ(rules::trace_id(again->event.view()), rules::trace_id(original));
  EXPECT_FALSE(decode_action_record(text.substr(0, text.size() - 1)));
  EXPECT_FALSE(decode_action_record(text + "x"));
  EXPECT_FALSE(decode_action_record("{}\n"));
  EXPECT_FALSE(decode_action_record("no header"));
}

// --- the publish hook

class FakeIntake final : public ReportIntake {
 public:
  void on_report(std::string_view thing, detect::ReportFormat format, std::string_view payload, Timestamp,
                 log::Batch&, std::vector<broker::MessagePtr>&) override {
    seen += std::string(thing) + (format == detect::ReportFormat::kCbor ? ":cbor:" : ":json:") +
            std::string(payload);
  }
  std::string seen;
};

class IngestTest : public RuleFixture {
 public:
  broker::PublishHook::Verdict publish(std::string_view topic, std::string_view payload) {
    batch_ = {};
    const broker::Publisher publisher{"device-7", "0123", "192.0.2.7"};
    return ingest_.on_publish(publisher, topic, payload, {}, Timestamp{5}, batch_);
  }
  FakeIntake intake_;
  Ingest ingest_{services(), intake_};
  log::Batch batch_;
};

TEST_F(IngestTest, ReportsEndAtTheIntake) {
  put_rule("all", "SELECT * FROM '$aws/things/#'", kToLake);
  EXPECT_FALSE(publish("$aws/things/t1/defender/metrics/json", "{}").route_to_subscribers);
  EXPECT_FALSE(publish("$aws/things/t2/defender/metrics/cbor", "x").route_to_subscribers);
  EXPECT_EQ(intake_.seen, "t1:json:{}t2:cbor:x");
  EXPECT_TRUE(batch_.empty());
}

TEST_F(IngestTest, KnowsWhatIsAReport) {
  EXPECT_TRUE(parse_report_topic("$aws/things/t/defender/metrics/json"));
  EXPECT_FALSE(parse_report_topic("$aws/things/t/defender/metrics/json/accepted"));
  EXPECT_FALSE(parse_report_topic("$aws/things//defender/metrics/json"));
  EXPECT_FALSE(parse_report_topic("$aws/things/t/shadow/update"));
  EXPECT_FALSE(parse_report_topic("$aws/things/t"));
}

TEST_F(IngestTest, BasicIngestRunsThatRuleOnly) {
  put_rule("named", "SELECT topic() AS t, topic(1) AS one FROM 'ddmetric/#'", kToLake);
  put_rule("other", "SELECT * FROM '#'", kToLake);
  EXPECT_FALSE(publish("$aws/rules/named/x/y", "{}").route_to_subscribers);
  ASSERT_EQ(batch_.appends.size(), 1U);
  EXPECT_EQ(batch_.appends[0].value, R"({"t":"x/y","one":"x"})");
  EXPECT_FALSE(publish("$aws/rules/unknown/x", "{}").route_to_subscribers);
  EXPECT_TRUE(batch_.empty());
  EXPECT_EQ(messages("rule_not_found"), 1);
}

TEST_F(IngestTest, OthersGoToRulesAndSubscribers) {
  put_rule("r", "SELECT clientid() AS c, principal() AS p, sourceip() AS ip FROM 'a'", kToLake);
  EXPECT_TRUE(publish("a", "{}").route_to_subscribers);
  ASSERT_EQ(batch_.appends.size(), 1U);
  EXPECT_EQ(batch_.appends[0].value, R"({"c":"device-7","p":"0123","ip":"192.0.2.7"})");
  EXPECT_TRUE(publish("b", "{}").route_to_subscribers);
  EXPECT_TRUE(batch_.empty());
}

}  // namespace
}  // namespace fleetward::pipeline
