#include "api/iotdata/iotdata.h"

#include <gtest/gtest.h>

#include "core/encoding.h"
#include "registry/certificates.h"
#include "registry/policies.h"

namespace fleetward::api::iotdata {
namespace {

// Keeps what is published; `result` is what the broker says.
struct FakePublisher final : broker::InternalPublisher {
  void publish(broker::MessagePtr message, std::function<void(Status)> done) override {
    messages.push_back(std::move(message));
    done(result);
  }
  std::vector<broker::MessagePtr> messages;
  Status result;
};

class IotDataApi : public ::testing::Test {
 protected:
  IotDataApi()
      : access_{publisher_,
                [this](const std::string& begin, size_t count) { return retained_from(begin, count); },
                [this](const std::string& topic) -> std::optional<broker::RetainedMessage> {
                  for (const auto& held : retained_from(topic, 1)) {
                    if (held.message->topic == topic) return held;
                  }
                  return std::nullopt;
                },
                [](const std::string& id) -> std::optional<broker::ConnectionInfo> {
                  if (id != "lamp") return std::nullopt;
                  broker::ConnectionInfo info;
                  info.client_id = "lamp";
                  info.connected = true;
                  info.connected_since = {1000};
                  info.source_ip = "192.0.2.7";
                  info.subscriptions = {{"b/#", 1}, {"a", 0}};
                  return info;
                },
                [](const std::string& id, bool, bool) { return id == "lamp"; },
                [](std::string_view topic) -> std::optional<std::string_view> {
                  if (topic.starts_with("$aws/events")) return "reserved";
                  return std::nullopt;
                }},
        service_(service({access_, account_,
                          [this](const identity::Caller&, std::string_view action, std::string_view,
                                 const identity::RequestContext&) -> Status {
                            if (action == refused_action_) return fail(ErrorCode::kPermissionDenied, "no");
                            return {};
                          }})) {}

  std::vector<broker::RetainedMessage> retained_from(const std::string& begin, size_t count) const {
    std::vector<broker::RetainedMessage> out;
    for (const char* topic : {"a", "b/c", "d"}) {
      if (topic < begin || out.size() == count) continue;
      auto message = std::make_shared<broker::Message>();
      message->topic = topic;
      message->payload = "payload";
      message->user_properties = {{"k", "v"}};
      out.push_back({message, Timestamp{5}});
    }
    return out;
  }

  std::string call(const std::string& name, const std::string& arguments, std::string_view payload = {}) {
    for (const http::Operation& operation : service_.operations) {
      if (operation.name != name) continue;
      const identity::Caller caller;
      const identity::MapContext context;
      auto result = operation.run({caller, "192.0.2.1", "request", payload, &context},
                                  json::parse(arguments)->as_object());
      if (!result) return std::to_string(result.error().status) + " " + result.error().name;
      return json::serialize(*result);
    }
    return "no such operation";
  }

  FakePublisher publisher_;
  AccountScope account_{AccountId::trusted("123456789012"), "us-east-1"};
  std::string refused_action_;
  BrokerAccess access_;
  http::Service service_;
};

TEST_F(IotDataApi, Publish) {
  const std::string properties = to_base64(R"([{"a":"1"},{"a":"2"}])");
  EXPECT_EQ(call("Publish",
                 R"({"topic":"a/b","qos":1,"contentType":"text","payloadFormatIndicator":"UTF8_DATA",)"
                 R"("messageExpiry":60,"correlationData":"YQ==","userProperties":")" +
                     properties + "\"}",
                 "hello"),
            "{}");
  ASSERT_EQ(publisher_.messages.size(), 1u);
  const broker::Message& m = *publisher_.messages[0];
  EXPECT_EQ(m.topic, "a/b");
  EXPECT_EQ(m.payload, "hello");
  EXPECT_EQ(m.qos, 1);
  EXPECT_EQ(m.correlation_data, "a");
  EXPECT_EQ(m.expiry_seconds, 60u);
  EXPECT_TRUE(m.payload_is_utf8);
  EXPECT_EQ(m.user_properties, (std::vector<std::pair<std::string, std::string>>{{"a", "1"}, {"a", "2"}}));
}

TEST_F(IotDataApi, RefusedMessages) {
  EXPECT_EQ(call("Publish", R"({"topic":"a/+"})"), "400 InvalidRequestException");
  EXPECT_EQ(call("Publish", R"({"topic":"1/2/3/4/5/6/7/8/9"})"), "400 InvalidRequestException");
  EXPECT_EQ(call("Publish", R"({"topic":")" + std::string(257, 'x') + "\"}"), "400 InvalidRequestException");
  EXPECT_EQ(call("Publish", R"({"topic":"$aws/events/x"})"), "400 InvalidRequestException");
  EXPECT_EQ(call("Publish", R"({"topic":"$aws/rules/r/x","retain":true})"), "400 InvalidRequestException");
  EXPECT_EQ(call("Publish", R"({"topic":"a","qos":2})"), "400 InvalidRequestException");
  EXPECT_EQ(call("Publish", R"({"topic":"a","userProperties":"e30="})"), "400 InvalidRequestException");
  EXPECT_EQ(call("Publish", R"({"topic":"a","payloadFormatIndicator":"UTF8_DATA"})", "\xff"),
            "400 InvalidRequestException");
  EXPECT_EQ(call("Publish", R"({"topic":"a"})", std::string(kPayloadBytesMax + 1, 'x')),
            "413 RequestEntityTooLargeException");
  refused_action_ = "iot:RetainPublish";
  EXPECT_EQ(call("Publish", R"({"topic":"a","retain":true})"), "403 ForbiddenException");
  EXPECT_TRUE(publisher_.messages.empty());
  publisher_.result = fail(ErrorCode::kUnavailable, "disk full");
  EXPECT_EQ(call("Publish", R"({"topic":"a"})"), "503 ServiceUnavailableException");
}

TEST_F(IotDataApi, Retained) {
  EXPECT_EQ(call("GetRetainedMessage", R"({"topic":"b/c"})"),
            R"({"topic":"b/c","payload":"cGF5bG9hZA==","qos":0,"lastModifiedTime":5,"userProperties":")" +
                to_base64(R"([{"k":"v"}])") + "\"}");
  EXPECT_EQ(call("GetRetainedMessage", R"({"topic":"b"})"), "404 ResourceNotFoundException");
  const auto first = json::parse(call("ListRetainedMessages", R"({"maxResults":2})"))->as_object();
  EXPECT_EQ(first.at("retainedTopics").as_array().size(), 2u);
  const auto second =
      call("ListRetainedMessages",
           R"({"maxResults":2,"nextToken":")" + std::string(json::string_or(first, "nextToken")) + "\"}");
  EXPECT_EQ(second, R"({"retainedTopics":[{"topic":"d","payloadSize":7,"qos":0,"lastModifiedTime":5}]})");
}

TEST_F(IotDataApi, Connections) {
  EXPECT_EQ(call("GetConnection", R"({"clientId":"none"})"), "404 ResourceNotFoundException");
  EXPECT_EQ(call("GetConnection", R"({"clientId":"lamp"})").find("192.0.2.7"), std::string::npos);
  EXPECT_NE(call("GetConnection", R"({"clientId":"lamp","includeSocketInformation":true})").find("192.0.2.7"),
            std::string::npos);
  EXPECT_EQ(call("ListSubscriptions", R"({"clientId":"lamp"})"),
            R"({"subscriptions":[{"topicFilter":"a","qos":0},{"topicFilter":"b/#","qos":1}]})");
  EXPECT_EQ(call("DeleteConnection", R"({"clientId":"lamp"})"), "{}");
  EXPECT_EQ(call("DeleteConnection", R"({"clientId":"none"})"), "404 ResourceNotFoundException");
}

TEST_F(IotDataApi, PublishByCertificate) {
  state::Store store;
  const registry::Tables tables = registry::Tables::add_to(store);
  ASSERT_TRUE(store.open(":memory:"));
  const registry::DeviceAuthorizer authorizer(tables, account_);
  ManualClock clock;
  SeededRandom random(1);
  const std::string id(64, 'a');
  ASSERT_TRUE(store.transact([&](state::Transaction& t) -> Status {
    registry::Certificate certificate;
    certificate.facts.id = CertificateId::trusted(id);
    certificate.status = registry::CertificateStatus::kActive;
    EXPECT_TRUE(registry::add_certificate(t, tables, certificate));
    auto document = registry::parse_policy_document(
        R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish",)"
        R"("Resource":["arn:aws:iot:*:*:topic/ok/*","arn:aws:iot:*:*:topic/c/${iot:ClientId}"]}})");
    EXPECT_TRUE(document);
    EXPECT_TRUE(registry::create_policy(t, tables, "p", *document, "g", {}));
    return registry::attach_policy(t, tables, "p", registry::certificate_target(id), {});
  }));
  const auto publish = certificate_publish({access_, store, authorizer, clock, random});
  const auto status = [&](const std::string& certificate, const std::string& topic, std::string query = {}) {
    http::RequestHead head;
    head.client_certificate_id = certificate;
    if (const size_t equals = query.find('='); equals != std::string::npos) {
      head.query.push_back({query.substr(0, equals), query.substr(equals + 1), true});
    }
    const auto response = publish(head, topic, "x");
    EXPECT_NE(response.body.find("traceId"), std::string::npos);
    return response.status;
  };
  EXPECT_EQ(status(id, "ok/1"), 200);
  EXPECT_EQ(status(id, "ok/1", "qos=1"), 200);
  EXPECT_EQ(publisher_.messages.back()->qos, 1);
  EXPECT_EQ(status(id, "ok/1", "qos=2"), 400);
  EXPECT_EQ(status(id, "ok/1", "retain=true"), 403);
  EXPECT_EQ(status(id, "other"), 403);
  EXPECT_EQ(status(id, "c/"), 403);
  EXPECT_EQ(status(id, "ok/#"), 400);
  EXPECT_EQ(status(std::string(64, 'b'), "ok/1"), 401);
  EXPECT_EQ(status("", "ok/1"), 401);
  EXPECT_EQ(publisher_.messages.size(), 2u);
}

}  // namespace
}  // namespace fleetward::api::iotdata
