#include "rules/rule.h"

#include <fstream>

#include <gtest/gtest.h>

#include "rules/evaluate.h"
#include "rules/function.h"
#include "rules/index.h"

namespace fleetward::rules {
namespace {

json::object object_of(std::string_view text) {
  return json::parse(text).value().as_object();
}

constexpr std::string_view kAll = R"({
  "sql": "SELECT *, topic() AS t FROM 'a/+' WHERE n > 1", "description": "all actions", "awsIotSqlVersion": "2016-03-23",
  "ruleDisabled": false,
  "actions": [
    {"firehose": {"roleArn": "arn:aws:iam::123456789012:role/r", "deliveryStreamName": "s-${topic(2)}", "separator": "\n"}},
    {"republish": {"roleArn": "arn:aws:iam::123456789012:role/r", "topic": "$$aws/rules/other/${topic()}", "qos": 1,
                   "headers": {"payloadFormatIndicator": "UTF8_DATA", "contentType": "${c}", "correlationData": "YWJj",
                               "messageExpiry": "60", "userProperties": [{"key": "k", "value": "${n}"}]}}},
    {"s3": {"roleArn": "arn:aws:iam::123456789012:role/r", "bucketName": "b", "key": "${topic()}/${timestamp()}", "cannedAcl": "private"}},
    {"sns": {"roleArn": "arn:aws:iam::123456789012:role/r", "targetArn": "arn:aws:sns:eu-west-1:123456789012:t", "messageFormat": "RAW"}}],
  "errorAction": {"republish": {"roleArn": "arn:aws:iam::123456789012:role/r", "topic": "errors", "qos": 0}}})";

Event event_of(std::string_view topic, std::string_view payload) {
  Event event;
  event.topic = topic;
  event.payload = payload;
  event.client_id = "device-7";
  event.now = Timestamp{1000};
  event.entropy[0] = 1;
  return event;
}

Rule rule_of(std::string_view payload) {
  auto rule = build_rule("r1", object_of(payload), Timestamp{5});
  EXPECT_TRUE(rule) << rule.error().error.message;
  return std::move(*rule);
}

TEST(Rule, SurvivesTheStore) {
  state::Store store;
  const Tables tables = Tables::add_to(store);
  (void)tables;
  const Rule rule = rule_of(kAll);
  const json::object wire = payload_of(rule);
  const auto again = build_rule("r1", wire, Timestamp{5});
  ASSERT_TRUE(again);
  EXPECT_EQ(json::serialize(payload_of(*again)), json::serialize(wire));
  EXPECT_EQ(rule.actions.size(), 4U);
  EXPECT_EQ(rule.plan->topic_filter(), "a/+");
}

TEST(Rule, ResolvesEveryAction) {
  const Rule rule = rule_of(kAll);
  const Event event = event_of("a/x", R"({"n":2,"c":"text/plain"})");
  const Message message(event);
  const Evaluation out = evaluate(rule, message);
  ASSERT_TRUE(out.matched);
  ASSERT_EQ(out.calls.size(), 4U);
  EXPECT_TRUE(out.failures.empty());
  const std::string body = R"({"n":2,"c":"text/plain","t":"a/x"})";
  const auto& firehose = std::get<FirehoseCall>(out.calls[0].call);
  EXPECT_EQ(firehose.stream_name, "s-x");
  EXPECT_EQ(firehose.records, std::vector<std::string>{body + "\n"});
  const auto& republish = std::get<RepublishCall>(out.calls[1].call);
  EXPECT_EQ(republish.topic, "$aws/rules/other/a/x");
  EXPECT_EQ(republish.payload, body);
  EXPECT_EQ(republish.qos, 1);
  EXPECT_EQ(republish.content_type, "text/plain");
  EXPECT_EQ(republish.correlation_data, "abc");
  EXPECT_EQ(republish.expiry_seconds, 60U);
  EXPECT_TRUE(republish.payload_is_utf8);
  EXPECT_EQ(republish.user_properties[0].second, "2");
  const auto& s3 = std::get<S3Call>(out.calls[2].call);
  EXPECT_EQ(s3.bucket + "|" + s3.key + "|" + s3.canned_acl, "b|a/x/1000|private");
  EXPECT_EQ(std::get<SnsCall>(out.calls[3].call).body, body);
}

TEST(Rule, StopsAtWhere) {
  const Rule rule = rule_of(kAll);
  const Event event = event_of("a/x", R"({"n":1})");
  const Evaluation out = evaluate(rule, Message(event));
  EXPECT_FALSE(out.matched);
  EXPECT_TRUE(out.calls.empty());
}

TEST(Rule, BatchesArrays) {
  const Rule rule =
      rule_of(R"({"sql": "SELECT * FROM 'a'", "actions": [{"firehose": {"batchMode": true, "separator": ",",
      "roleArn": "arn:aws:iam::123456789012:role/r", "deliveryStreamName": "s"}}]})");
  const Event array = event_of("a", R"([{"x":1}, 2])");
  const Evaluation batch = evaluate(rule, Message(array));
  EXPECT_EQ(std::get<FirehoseCall>(batch.calls[0].call).records,
            (std::vector<std::string>{"{\"x\":1},", "2,"}));
  EXPECT_TRUE(std::get<FirehoseCall>(batch.calls[0].call).batch);
  const Event plain = event_of("a", R"({"x":1})");
  const Evaluation single = evaluate(rule, Message(plain));
  EXPECT_EQ(std::get<FirehoseCall>(single.calls[0].call).records, std::vector<std::string>{"{\"x\":1},"});
  EXPECT_FALSE(std::get<FirehoseCall>(single.calls[0].call).batch);
  std::string many = "[0";
  for (int i = 0; i < 500; ++i) many += ",0";
  many += "]";
  const Event over = event_of("a", many);
  const Evaluation refused = evaluate(rule, Message(over));
  ASSERT_EQ(refused.failures.size(), 1U);
  EXPECT_EQ(refused.failures[0].action, "FirehoseAction");
  EXPECT_EQ(refused.failures[0].message, "a batch of 501 records is over the limit of 500");
}

TEST(Rule, TellsWhichActionFailed) {
  const Rule rule = rule_of(R"({"sql": "SELECT * FROM 'a'", "actions": [
      {"s3": {"roleArn": "arn:aws:iam::123456789012:role/r", "bucketName": "b", "key": "${missing}"}},
      {"republish": {"roleArn": "arn:aws:iam::123456789012:role/r", "topic": "x/${bad}"}}],
      "errorAction": {"firehose": {"roleArn": "arn:aws:iam::123456789012:role/r", "deliveryStreamName": "errors"}}})");
  const Event event = event_of("a", R"({"bad":"+"})");
  const Message message(event);
  const Evaluation out = evaluate(rule, message);
  EXPECT_TRUE(out.calls.empty());
  ASSERT_EQ(out.failures.size(), 2U);
  EXPECT_EQ(out.failures[0].message, "the object key is empty");
  EXPECT_EQ(out.failures[1].message, "'x/+' is a topic with a wildcard");
  const Evaluation error = evaluate_error_action(rule, message, out.failures);
  ASSERT_EQ(error.calls.size(), 1U);
  EXPECT_EQ(std::get<FirehoseCall>(error.calls[0].call).records[0],
            R"({"ruleName":"r1","topic":"a","cloudwatchTraceId":"01000000-0000-4000-8000-000000000000",)"
            R"("clientId":"device-7","base64OriginalPayload":"eyJiYWQiOiIrIn0=","failures":[)"
            R"({"failedAction":"S3Action","failedResource":"b","errorMessage":"the object key is empty"},)"
            R"({"failedAction":"RepublishAction","failedResource":"x/${bad}",)"
            R"("errorMessage":"'x/+' is a topic with a wildcard"}]})");
}

struct Refusal {
  const char* payload;
  bool sql;
  const char* message;
};

class RuleRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(RuleRefusal, IsNamed) {
  const auto rule = build_rule("r", object_of(GetParam().payload), {});
  ASSERT_FALSE(rule);
  EXPECT_EQ(rule.error().sql, GetParam().sql) << rule.error().error.message;
  EXPECT_NE(rule.error().error.message.find(GetParam().message), std::string::npos)
      << rule.error().error.message;
}

#define ROLE R"("roleArn":"arn:aws:iam::123456789012:role/r")"
#define WITH(action) R"({"sql":"SELECT * FROM 'a'","actions":[)" action "]}"

INSTANTIATE_TEST_SUITE_P(
    Rules, RuleRefusal,
    testing::Values(
        Refusal{R"({"actions":[]})", false, "sql is missing"},
        Refusal{R"({"sql":"SELECT * FROM 'a'"})", false, "actions is missing"},
        Refusal{R"({"sql":"SELECT","actions":[]})", true, "line 1, column 7"},
        Refusal{R"({"sql":"SELECT 1 AS a","actions":[],"awsIotSqlVersion":"2017"})", false,
                "awsIotSqlVersion '2017'"},
        Refusal{R"({"sql":"SELECT 1 AS a","actions":[],"colour":1})", false, "unknown member 'colour'"},
        Refusal{R"({"sql":"SELECT 1 AS a","actions":[],"ruleDisabled":"no"})", false, "ruleDisabled must be"},
        Refusal{R"({"sql":"SELECT 1 AS a","actions":[{},{},{},{},{},{},{},{},{},{},{}]})", false,
                "at most 10 actions"},
        Refusal{WITH("{}"), false, "actions[0]: an action holds exactly one of"},
        Refusal{WITH("7"), false, "actions[0] must be an object"},
        Refusal{WITH(R"({"lambda":{"functionArn":"x"}})"), false, "the action 'lambda' is not available"},
        Refusal{WITH(R"({"dynamoDBv2":{}})"), false, "the action 'dynamoDBv2' is not available"},
        Refusal{WITH(R"({"timestream":{}})"), false, "the action 'timestream' is not available"},
        Refusal{WITH(R"({"carrierPigeon":{}})"), false, "unknown action 'carrierPigeon'"},
        Refusal{WITH(R"({"firehose":{)" ROLE "}}"), false, "firehose.deliveryStreamName is missing"},
        Refusal{WITH(R"({"firehose":{"deliveryStreamName":"s"}})"), false, "firehose.roleArn is missing"},
        Refusal{WITH(R"({"firehose":{"deliveryStreamName":"s","roleArn":"x"}})"), false,
                "firehose.roleArn is not the ARN"},
        Refusal{WITH(R"({"firehose":{"deliveryStreamName":"s","separator":";",)" ROLE "}}"), false,
                "firehose.separator"},
        Refusal{WITH(R"({"firehose":{"deliveryStreamName":"s","batch":1,)" ROLE "}}"), false,
                "firehose.batch is not a member"},
        Refusal{WITH(R"({"firehose":{"deliveryStreamName":"${","separator":",",)" ROLE "}}"), true,
                "actions[0]: firehose.deliveryStreamName holds a substitution template that is refused"},
        Refusal{WITH(R"({"republish":{"topic":"a","qos":2,)" ROLE "}}"), false,
                "republish.qos must be a whole number from 0 to 1"},
        Refusal{WITH(R"({"republish":{"topic":"a/#",)" ROLE "}}"), false, "is a topic with a wildcard"},
        Refusal{WITH(R"({"republish":{"topic":"$$aws/things/t/jobs/x",)" ROLE "}}"), false,
                "is a reserved topic"},
        Refusal{WITH(R"({"republish":{"topic":"a","headers":{"ttl":"1"},)" ROLE "}}"), false,
                "republish.headers.ttl is not a member"},
        Refusal{WITH(R"({"republish":{"topic":"a","headers":{"userProperties":[{"key":"k"}]},)" ROLE "}}"),
                false, "republish.headers.userProperties[0].value is missing"},
        Refusal{WITH(R"({"s3":{"bucketName":"b",)" ROLE "}}"), false, "s3.key is missing"},
        Refusal{WITH(R"({"s3":{"bucketName":"b","key":"k","cannedAcl":"secret",)" ROLE "}}"), false,
                "s3.cannedAcl"},
        Refusal{WITH(R"({"s3":{"bucketName":"b","key":"k","cannedAcl":"public-read",)" ROLE "}}"), false,
                "s3.cannedAcl 'public-read' is not available"},
        Refusal{WITH(R"({"sns":{"targetArn":"arn:aws:sqs:x:1:q",)" ROLE "}}"), false,
                "sns.targetArn is not the ARN"},
        Refusal{WITH(R"({"sns":{"targetArn":"arn:aws:sns:x:1:q","messageFormat":"XML",)" ROLE "}}"), false,
                "sns.messageFormat"}));

TEST(Rule, ChecksNames) {
  EXPECT_TRUE(check_rule_name("dd_export_firehose"));
  EXPECT_FALSE(check_rule_name(""));
  EXPECT_FALSE(check_rule_name("a-b"));
  EXPECT_FALSE(check_rule_name(std::string(129, 'a')));
}

// --- the reference page

TEST(Reference, NamesWhatThereIs) {
  std::ifstream file(FLEETWARD_TEST_DATA "/../../../docs/reference/rules.md");
  const std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t begin = page.find("## Functions"), refused = page.find("Refused:"),
               end = page.find("## Actions");
  ASSERT_NE(begin, std::string::npos);
  size_t named = 0;
  for (size_t at = page.find('`', begin); at < end; at = page.find('`', at + 1)) {
    const size_t close = page.find('`', at + 1);
    const std::string name = page.substr(at + 1, close - at - 1);
    if (name.find('(') == std::string::npos) {
      EXPECT_EQ(find_function(name) != nullptr, at < refused) << name;
      EXPECT_EQ(!missing_function(name).empty(), at > refused) << name;
      ++named;
    }
    at = close;
  }
  size_t functions = 0;
  for (const auto part :
       {message_functions(), math_functions(), string_functions(), data_functions(), time_functions()}) {
    functions += part.size();
  }
  EXPECT_EQ(named, functions + 7) << "a function is not on the page";
}

// --- the index

std::vector<std::string> matched(const RuleIndex& index, std::string_view topic) {
  std::vector<const Rule*> found;
  index.match(topic, found);
  std::vector<std::string> names;
  for (const Rule* rule : found) names.push_back(rule->name);
  std::sort(names.begin(), names.end());
  return names;
}

TEST(RuleIndex, FindsWhatMatches) {
  const std::vector<std::pair<std::string, std::string>> filters = {
      {"exact", "a/b"},   {"plus", "a/+"},     {"hash", "a/#"},
      {"all", "#"},       {"middle", "a/+/c"}, {"events", "$aws/events/#"},
      {"deep", "a/b/#"},  {"root", "+"},       {"two", "+/b"},
      {"other", "x/y/z"}, {"slash", "a/"}};
  state::Map<Rule> map;
  for (const auto& [name, filter] : filters) {
    auto rule =
        build_rule(name, object_of("{\"sql\":\"SELECT * FROM '" + filter + "'\",\"actions\":[]}"), {});
    ASSERT_TRUE(rule) << rule.error().error.message;
    map.set(name, std::make_shared<const Rule>(std::move(*rule)));
  }
  auto disabled =
      build_rule("off", object_of(R"({"sql":"SELECT * FROM 'a/b'","actions":[],"ruleDisabled":true})"), {});
  map.set("off", std::make_shared<const Rule>(std::move(*disabled)));
  const RuleIndex index(map);
  using Names = std::vector<std::string>;
  EXPECT_EQ(matched(index, "a/b"), (Names{"all", "exact", "hash", "plus", "two"}));
  EXPECT_EQ(matched(index, "a"), (Names{"all", "root"}));
  EXPECT_EQ(matched(index, "a/"), (Names{"all", "hash", "slash"}));
  EXPECT_EQ(matched(index, "a/b/c"), (Names{"all", "deep", "hash", "middle"}));
  EXPECT_EQ(matched(index, "$aws/events/x"), (Names{"events"}));
  EXPECT_EQ(matched(index, "$x"), Names{});
  EXPECT_EQ(matched(index, "q/w/e"), (Names{"all"}));
  EXPECT_EQ(index.find_enabled("off"), nullptr);
  EXPECT_NE(index.find_enabled("deep"), nullptr);
  // The tree and the plain matcher agree.
  for (const char* topic :
       {"a", "a/", "a/b", "a/b/", "a/b/c", "/", "", "$aws/events/x", "$x", "x/y/z", "+", "a//c"}) {
    Names expected;
    for (const auto& [name, filter] : filters) {
      if (topic_matches(filter, topic)) expected.push_back(name);
    }
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(matched(index, topic), expected) << topic;
  }
}

TEST(BasicIngest, SplitsTopics) {
  EXPECT_FALSE(parse_basic_ingest("a/b"));
  EXPECT_FALSE(parse_basic_ingest("$aws/rules/"));
  EXPECT_FALSE(parse_basic_ingest("$aws/rules//x"));
  EXPECT_EQ(parse_basic_ingest("$aws/rules/r")->rule, "r");
  EXPECT_EQ(parse_basic_ingest("$aws/rules/r")->rest, "");
  EXPECT_EQ(parse_basic_ingest("$aws/rules/r/a/b")->rest, "a/b");
}

}  // namespace
}  // namespace fleetward::rules
