#include "api/iot/topic_rules.h"

#include <gtest/gtest.h>

#include "test/unit/api/service_role.h"

namespace fleetward::api::iot {
namespace {

constexpr const char* kBody =
    R"("sql":"SELECT * FROM 'ddmetric/#'","actions":[{"firehose":{"roleArn":"arn:aws:iam::123456789012:role/r",)"
    R"("deliveryStreamName":"dd-metric-export-stream"}}],"ruleDisabled":false)";

class TopicRules : public testing::Test {
 public:
  TopicRules() {
    EXPECT_TRUE(store_.open(":memory:"));
    const identity::Role role = service_role("r", "iot.amazonaws.com");
    EXPECT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      t.put(identities_.roles, identity::name_key("r"), role);
      return {};
    }));
  }

  // The answer, or "<status> <name>: <message>".
  std::string call(const std::string& name, const std::string& arguments) {
    for (const http::Operation& operation : operations_) {
      if (operation.name != name) continue;
      const auto result = operation.run(call_, json::parse(arguments).value().as_object());
      if (result) return json::serialize(*result);
      return std::to_string(result.error().status) + " " + result.error().name + ": " +
             result.error().message;
    }
    return "no such operation";
  }
  std::string create(const std::string& name, const std::string& more = "") {
    return call("CreateTopicRule", "{\"ruleName\":\"" + name + "\"," + kBody + more + "}");
  }

  state::Store store_;
  identity::Tables identities_ = identity::Tables::add_to(store_);
  rules::Tables rules_ = rules::Tables::add_to(store_);
  registry::TagTable tags_ = registry::add_tag_table(store_);
  AccountScope account_{AccountId::trusted("123456789012"), "eu-west-1"};
  identity::Authorizer authorizer_{store_, identities_, account_};
  ManualClock clock_{Timestamp{1767225600500}};
  identity::Caller caller_{.kind = identity::Caller::Kind::kRoot, .arn = "arn:aws:iam::123456789012:root"};
  http::Call call_{caller_, "192.0.2.7", "id", {}};
  std::vector<http::Operation> operations_ =
      topic_rule_operations({store_, rules_, tags_, authorizer_, account_, clock_});
};

TEST_F(TopicRules, LiveAndDie) {
  EXPECT_EQ(create("dd_export_firehose", R"(,"tags":"team=fleet%20ops&x=")"), "{}");
  EXPECT_EQ(
      call("GetTopicRule", R"({"ruleName":"dd_export_firehose"})"),
      R"({"ruleArn":"arn:aws:iot:eu-west-1:123456789012:rule/dd_export_firehose","rule":{)"
      R"("sql":"SELECT * FROM 'ddmetric/#'","actions":[{"firehose":{"roleArn":"arn:aws:iam::123456789012:role/r",)"
      R"("deliveryStreamName":"dd-metric-export-stream","batchMode":false}}],"ruleDisabled":false,)"
      R"("awsIotSqlVersion":"2015-10-08","ruleName":"dd_export_firehose","createdAt":1767225600.5}})");
  const auto tags = registry::tags_of(*store_.snapshot(), tags_,
                                      "arn:aws:iot:eu-west-1:123456789012:rule/dd_export_firehose");
  EXPECT_EQ(tags.at("team"), "fleet ops");
  EXPECT_EQ(tags.at("x"), "");
  EXPECT_EQ(create("dd_export_firehose"),
            "409 ResourceAlreadyExistsException: Topic rule 'dd_export_firehose' already exists");
  EXPECT_EQ(call("DisableTopicRule", R"({"ruleName":"dd_export_firehose"})"), "{}");
  EXPECT_TRUE(store_.snapshot()->get(rules_.rules).find("dd_export_firehose")->disabled);
  EXPECT_EQ(call("EnableTopicRule", R"({"ruleName":"dd_export_firehose"})"), "{}");
  clock_.advance(Duration{1000});
  EXPECT_EQ(
      call("ReplaceTopicRule", R"({"ruleName":"dd_export_firehose","sql":"SELECT a FROM 'b'","actions":[]})"),
      "{}");
  const auto snapshot = store_.snapshot();
  const rules::Rule* rule = snapshot->get(rules_.rules).find("dd_export_firehose");
  EXPECT_EQ(rule->plan->topic_filter(), "b");
  EXPECT_EQ(rule->created, Timestamp{1767225600500});
  EXPECT_EQ(call("DeleteTopicRule", R"({"ruleName":"dd_export_firehose"})"), "{}");
  EXPECT_EQ(call("DeleteTopicRule", R"({"ruleName":"dd_export_firehose"})"), "{}");
}

TEST_F(TopicRules, AnswerMissingOnesAsTheServiceDoes) {
  for (const char* name : {"GetTopicRule", "EnableTopicRule", "DisableTopicRule"}) {
    EXPECT_EQ(call(name, R"({"ruleName":"none"})"),
              "401 UnauthorizedException: Access to topic rule 'none' was denied: it does not exist");
  }
  EXPECT_TRUE(call("ReplaceTopicRule", R"({"ruleName":"none","sql":"SELECT a","actions":[]})")
                  .starts_with("401 Una"));
}

TEST_F(TopicRules, AreCheckedWhenCreated) {
  EXPECT_EQ(call("CreateTopicRule", R"({"ruleName":"r","sql":"SELECT a FORM 'b'","actions":[]})"),
            "400 SqlParseException: expected the end of the statement but found 'FORM' at line 1, column 10");
  EXPECT_TRUE(call("CreateTopicRule", R"({"ruleName":"a-b","sql":"SELECT a","actions":[]})")
                  .starts_with("400 InvalidRequestException"));
  EXPECT_TRUE(call("CreateTopicRule", R"({"ruleName":"r","sql":"SELECT a","actions":[{"lambda":{}}]})")
                  .find("the action 'lambda' is not available") != std::string::npos);
  EXPECT_TRUE(
      create("r", R"(,"tags":"=x")").starts_with("400 InvalidRequestException: the header x-amz-tagging"));
  const std::string other_role =
      R"({"ruleName":"r","sql":"SELECT a","actions":[{"sns":{"roleArn":"arn:aws:iam::123456789012:role/none",)"
      R"("targetArn":"arn:aws:sns:eu-west-1:123456789012:t"}}]})";
  EXPECT_TRUE(
      call("CreateTopicRule", other_role).starts_with("400 InvalidRequestException: there is no role"));
  caller_.kind = identity::Caller::Kind::kUser;
  caller_.arn = "arn:aws:iam::123456789012:user/alice";
  const std::string denied = create("r");
  EXPECT_NE(denied.find("iam:PassRole"), std::string::npos) << denied;
  EXPECT_EQ(store_.snapshot()->get(rules_.rules).size(), 0U);
}

TEST_F(TopicRules, UnknownMembersAreRefusedWithTheirPath) {
  const std::string refusal = "400 InvalidRequestException: Unknown or unsupported member: ";
  EXPECT_EQ(create("a", R"(,"colour":1)"), refusal + "colour");
  EXPECT_EQ(create("a", R"(,"errorAction":{"sns":{"roleArn":"r","targetArn":"t","subject":"s"}})"),
            refusal + "errorAction.sns.subject");
  EXPECT_EQ(create("a"), "{}");
  const auto replace = [&](const std::string& action) {
    return call("ReplaceTopicRule", R"({"ruleName":"a","sql":"SELECT 1 AS b","actions":[)" + action + "]}");
  };
  EXPECT_EQ(replace(R"({"firehose":{"roleArn":"r","deliveryStreamName":"d","batch":true}})"),
            refusal + "actions[0].firehose.batch");
  EXPECT_EQ(
      replace(R"({"republish":{"roleArn":"r","topic":"t","headers":{"userProperties":[{"name":"n"}]}}})"),
      refusal + "actions[0].republish.headers.userProperties[0].name");
  EXPECT_NE(replace(R"({"lambda":{"functionArn":"f"}})").find("'lambda' is not available"),
            std::string::npos);
}

TEST_F(TopicRules, AreListedInPages) {
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(create(name), "{}");
  call("DisableTopicRule", R"({"ruleName":"b"})");
  call("ReplaceTopicRule", R"({"ruleName":"c","sql":"SELECT * FROM 'other/+'","actions":[]})");
  const auto names = [&](const std::string& arguments, std::string* token = nullptr) {
    const auto page = json::parse(call("ListTopicRules", arguments)).value().as_object();
    std::string out;
    for (const auto& item : page.at("rules").as_array()) out += item.at("ruleName").as_string();
    if (token != nullptr) *token = json::string_or(page, "nextToken");
    return out;
  };
  EXPECT_EQ(names("{}"), "abc");
  EXPECT_EQ(names(R"({"ruleDisabled":true})"), "b");
  EXPECT_EQ(names(R"({"topic":"other/x"})"), "c");
  EXPECT_EQ(names(R"({"topic":"ddmetric/#"})"), "ab");
  std::string token;
  EXPECT_EQ(names(R"({"maxResults":2})", &token), "ab");
  EXPECT_EQ(names(R"({"maxResults":2,"nextToken":")" + token + "\"}", &token), "c");
  EXPECT_EQ(token, "");
}

}  // namespace
}  // namespace fleetward::api::iot
