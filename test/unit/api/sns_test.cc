#include "api/sns/sns.h"

#include <gtest/gtest.h>

#include "log/memory_log.h"

namespace fleetward::api::sns {
namespace {

class SilentSender final : public alerts::HttpSender {
 public:
  void start(uint64_t id, alerts::HttpPost post) override {
    bodies.push_back(json::parse(post.body).value().get_object());
    ended.emplace_back(id, alerts::AttemptResult{200, ""});
  }
  std::vector<std::pair<uint64_t, alerts::AttemptResult>> wait(Duration) override {
    return std::exchange(ended, {});
  }
  void wake() override {}
  std::vector<json::object> bodies;
  std::vector<std::pair<uint64_t, alerts::AttemptResult>> ended;
};

class SnsTest : public testing::Test {
 protected:
  SnsTest() {
    identity_tables = identity::Tables::add_to(store);
    tables = alerts::Tables::add_to(store, registry::add_tag_table(store));
    EXPECT_TRUE(store.open(":memory:"));
    authorizer = std::make_unique<identity::Authorizer>(store, identity_tables, account);
    auto made = std::make_unique<SilentSender>();
    sender = made.get();
    stage = std::make_unique<alerts::Stage>(
        alerts::StageOptions{.account = account, .public_url = [] { return "http://h"; }}, log, store, tables,
        *authorizer, signer(), std::move(made), alerts::make_syslog_sender,
        [this](alerts::MqttMessage message, std::function<void(Status)> done) {
          mqtt_topics.push_back(std::move(message.topic));
          done({});
        },
        clock, clock, random, logger, metrics);
    service = sns::service({store, tables, *stage, account, authorize, clock, random});
  }
  static const alerts::Signer& signer() {
    static SystemRandom entropy;
    static const auto made =
        alerts::Signer::open(testing::TempDir() + "fleetward-sns-test", "sns", entropy, {1795503600000});
    return **made;
  }

  // The answer as JSON, or "<error name>: <message>".
  std::string call(std::string_view operation, std::string_view arguments, bool anonymous = false) {
    identity::Caller caller;
    if (!anonymous) caller.kind = identity::Caller::Kind::kRoot;
    const json::object parsed = json::parse(arguments).value().get_object();
    for (const http::Operation& o : service.operations) {
      if (o.name != operation) continue;
      auto result = o.run({caller, "127.0.0.1", "id", {}}, parsed);
      stage->run_once();
      return result ? json::serialize(*result) : result.error().name + ": " + result.error().message;
    }
    return "no such operation";
  }
  std::string arn(std::string_view name) const { return alerts::topic_arn(account, name); }
  std::string subscribe_http() {
    call("Subscribe", R"({"TopicArn":")" + arn("t") + R"(","Protocol":"http","Endpoint":"http://a/"})");
    return std::string(json::string_or(sender->bodies.back(), "Token"));
  }

  AccountScope account{AccountId::trusted("123456789012"), "eu-west-1"};
  log::MemoryLog log;
  state::Store store;
  identity::Tables identity_tables;
  alerts::Tables tables;
  std::unique_ptr<identity::Authorizer> authorizer;
  http::AuthorizeFunction authorize = [](const identity::Caller&, std::string_view action,
                                         std::string_view resource,
                                         const identity::RequestContext&) -> Status {
    if (action == "iot:Publish" && resource.ends_with("topic/forbidden")) {
      return fail(ErrorCode::kPermissionDenied, "no");
    }
    return {};
  };
  ManualClock clock;
  SeededRandom random{1};
  Logger logger = Logger::none();
  Metrics metrics;
  SilentSender* sender = nullptr;
  std::unique_ptr<alerts::Stage> stage;
  std::vector<std::string> mqtt_topics;
  http::Service service;
};

TEST_F(SnsTest, Topics) {
  const std::string created = R"({"TopicArn":")" + arn("t") + "\"}";
  EXPECT_EQ(call("CreateTopic", R"({"Name":"t","Tags":[{"Key":"a","Value":"b"}]})"), created);
  EXPECT_EQ(call("CreateTopic", R"({"Name":"t"})"), created);
  EXPECT_EQ(call("CreateTopic", R"({"Name":"t","Attributes":{"DisplayName":"x"}})"),
            "InvalidParameter: Invalid parameter: Attributes Reason: Topic already exists with different "
            "attributes");
  EXPECT_EQ(
      call("CreateTopic", R"({"Name":"x.fifo"})"),
      "InvalidParameter: Invalid parameter: Name Reason: FIFO topics are not supported by this release");
  EXPECT_EQ(call("CreateTopic", R"({"Name":"y","Attributes":{"KmsMasterKeyId":"k"}})"),
            "InvalidParameter: Invalid parameter: Attributes Reason: the attribute KmsMasterKeyId is not "
            "supported by "
            "this release");
  EXPECT_EQ(call("ListTopics", "{}"), R"({"Topics":[{"TopicArn":")" + arn("t") + "\"}]}");
  EXPECT_EQ(call("ListTagsForResource", R"({"ResourceArn":")" + arn("t") + "\"}"),
            R"({"Tags":[{"Key":"a","Value":"b"}]})");
  EXPECT_EQ(call("GetTopicAttributes", R"({"TopicArn":")" + arn("none") + "\"}"),
            "NotFound: Topic does not exist");
  EXPECT_EQ(call("DeleteTopic", R"({"TopicArn":")" + arn("t") + "\"}"), "{}");
  EXPECT_EQ(call("DeleteTopic", R"({"TopicArn":")" + arn("t") + "\"}"), "{}");
  EXPECT_EQ(call("ListTopics", "{}"), R"({"Topics":[]})");
}

TEST_F(SnsTest, HttpSubscriptionsWaitForTheirConfirmation) {
  call("CreateTopic", R"({"Name":"t"})");
  const std::string token = subscribe_http();
  const auto publish = [&] { call("Publish", R"({"TopicArn":")" + arn("t") + R"(","Message":"hello"})"); };
  publish();
  EXPECT_EQ(sender->bodies.size(), 1u);
  EXPECT_EQ(call("ConfirmSubscription", R"({"TopicArn":")" + arn("t") + R"(","Token":"wrong"})", true),
            "InvalidParameter: Invalid parameter: Token");
  const std::string confirmed =
      call("ConfirmSubscription", R"({"TopicArn":")" + arn("t") + R"(","Token":")" + token + "\"}", true);
  EXPECT_TRUE(confirmed.starts_with(R"({"SubscriptionArn":")" + arn("t") + ":")) << confirmed;
  publish();
  EXPECT_EQ(json::string_or(sender->bodies.back(), "Message"), "hello");

  EXPECT_EQ(call("Unsubscribe", confirmed, true), "{}");
  const json::object goodbye = sender->bodies.back();
  EXPECT_EQ(json::string_or(goodbye, "Type"), "UnsubscribeConfirmation");
  publish();
  EXPECT_EQ(sender->bodies.size(), 3u);
  EXPECT_EQ(call("ListSubscriptions", "{}"), R"({"Subscriptions":[]})");
  call("ConfirmSubscription",
       R"({"TopicArn":")" + arn("t") + R"(","Token":")" + std::string(json::string_or(goodbye, "Token")) +
           "\"}",
       true);
  publish();
  EXPECT_EQ(sender->bodies.size(), 4u);
}

TEST_F(SnsTest, TokensExpire) {
  call("CreateTopic", R"({"Name":"t"})");
  const std::string token = subscribe_http();
  clock.advance(alerts::kTokenValid + Duration{1});
  EXPECT_EQ(
      call("ConfirmSubscription", R"({"TopicArn":")" + arn("t") + R"(","Token":")" + token + "\"}", true),
      "InvalidParameter: Invalid parameter: Token Reason: it has expired");
}

TEST_F(SnsTest, UnsubscribingMayNeedASignature) {
  call("CreateTopic", R"({"Name":"t"})");
  const std::string token = subscribe_http();
  const std::string confirmed =
      call("ConfirmSubscription", R"({"TopicArn":")" + arn("t") +
                                      R"(","AuthenticateOnUnsubscribe":"true","Token":")" + token + "\"}");
  EXPECT_EQ(call("Unsubscribe", confirmed, true),
            "AuthorizationError: This subscription is ended by signed requests only.");
  EXPECT_EQ(call("Unsubscribe", confirmed), "{}");
}

TEST_F(SnsTest, MqttSubscriptionsNeedThePermissionToPublish) {
  call("CreateTopic", R"({"Name":"t"})");
  const auto subscribe = [&](const std::string& topic) {
    return call("Subscribe",
                R"({"TopicArn":")" + arn("t") + R"(","Protocol":"mqtt","Endpoint":")" + topic + "\"}");
  };
  EXPECT_EQ(subscribe("forbidden"), "AuthorizationError: no");
  EXPECT_TRUE(subscribe("a/+").starts_with("InvalidParameter"));
  EXPECT_TRUE(subscribe("$aws/things").starts_with("InvalidParameter"));
  const std::string first = subscribe("alerts");
  EXPECT_EQ(subscribe("alerts"), first);
  call("Publish", R"({"TopicArn":")" + arn("t") + R"(","Message":"hello"})");
  EXPECT_EQ(mqtt_topics, std::vector<std::string>{"alerts"});
}

TEST_F(SnsTest, AnEndpointNamesAHostAndAPort) {
  call("CreateTopic", R"({"Name":"t"})");
  for (const char* url :
       {"http://localhost:99999/", "http://a:0/", "http://:80/", "http:///x", "http://[::1/"}) {
    const std::string answer = call(
        "Subscribe", R"({"TopicArn":")" + arn("t") + R"(","Protocol":"http","Endpoint":")" + url + "\"}");
    EXPECT_TRUE(answer.starts_with("InvalidParameter: ")) << url << ": " << answer;
  }
}

TEST_F(SnsTest, WhatIsNotSupportedIsNamed) {
  call("CreateTopic", R"({"Name":"t"})");
  for (const char* protocol : {"email", "email-json", "sms", "sqs", "application", "lambda", "firehose"}) {
    const std::string answer = call(
        "Subscribe", R"({"TopicArn":")" + arn("t") + R"(","Protocol":")" + protocol + R"(","Endpoint":"x"})");
    EXPECT_NE(answer.find(protocol), std::string::npos) << answer;
    EXPECT_TRUE(answer.starts_with("InvalidParameter")) << answer;
  }
  EXPECT_TRUE(call("Publish", R"({"PhoneNumber":"+1","Message":"x"})").find("PhoneNumber") !=
              std::string::npos);
}

TEST_F(SnsTest, Batches) {
  call("CreateTopic", R"({"Name":"t"})");
  const auto batch = [&](const std::string& entries) {
    return call("PublishBatch",
                R"({"TopicArn":")" + arn("t") + R"(","PublishBatchRequestEntries":)" + entries + "}");
  };
  EXPECT_TRUE(batch("[]").starts_with("EmptyBatchRequest"));
  EXPECT_TRUE(batch(R"([{"Id":"a","Message":"x"},{"Id":"a","Message":"y"}])")
                  .starts_with("BatchEntryIdsNotDistinct"));
  EXPECT_TRUE(batch(R"([{"Id":"a b","Message":"x"}])").starts_with("InvalidBatchEntryId"));
  const std::string mixed = batch(R"([{"Id":"a","Message":"x"},{"Id":"b","Message":""}])");
  EXPECT_NE(mixed.find(R"("Failed":[{"Id":"b","Code":"InvalidParameter")"), std::string::npos) << mixed;
  EXPECT_NE(mixed.find(R"("Successful":[{"Id":"a")"), std::string::npos) << mixed;
}

TEST_F(SnsTest, FilterPolicies) {
  call("CreateTopic", R"({"Name":"t"})");
  const std::string made =
      call("Subscribe", R"({"TopicArn":")" + arn("t") + R"(","Protocol":"mqtt","Endpoint":"a"})");
  const std::string subscription = made.substr(1, made.size() - 2);
  const auto set = [&](const std::string& name, const std::string& value) {
    return call("SetSubscriptionAttributes",
                "{" + subscription + R"(,"AttributeName":")" + name + R"(","AttributeValue":)" + value + "}");
  };
  EXPECT_EQ(set("FilterPolicy", R"("{\"a\":{\"b\":[1]}}")"),
            "InvalidParameter: Invalid parameter: AttributeValue Reason: FilterPolicy: the value of 'a' must "
            "be a list");
  EXPECT_EQ(set("FilterPolicyScope", R"("MessageBody")"), "{}");
  EXPECT_EQ(set("FilterPolicy", R"("{\"a\":{\"b\":[1]}}")"), "{}");
  call("Publish", R"({"TopicArn":")" + arn("t") + R"(","Message":"{\"a\":{\"b\":2}}"})");
  EXPECT_TRUE(mqtt_topics.empty());
  call("Publish", R"({"TopicArn":")" + arn("t") + R"(","Message":"{\"a\":{\"b\":1}}"})");
  EXPECT_EQ(mqtt_topics.size(), 1u);
  EXPECT_EQ(set("RedrivePolicy", R"("x")"),
            "InvalidParameter: Invalid parameter: AttributeValue Reason: the attribute RedrivePolicy is not "
            "supported by "
            "this release");
}

}  // namespace
}  // namespace fleetward::api::sns
