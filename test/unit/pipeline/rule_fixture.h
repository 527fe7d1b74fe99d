#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/time.h"
#include "identity/authorizer.h"
#include "log/memory_log.h"
#include "pipeline/action_record.h"
#include "pipeline/rule_runner.h"

namespace fleetward::pipeline {

// A control store in memory with one role, one delivery stream and what a test adds.
class RuleFixture : public testing::Test {
 public:
  static constexpr const char* kRole = "arn:aws:iam::123456789012:role/rules";

  RuleFixture() {
    EXPECT_TRUE(store_.open(":memory:"));
    put_role(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",
        "Action":["firehose:PutRecord","firehose:PutRecordBatch","iot:Publish","s3:PutObject","sns:Publish"]}]})");
    put_stream("lake");
  }

  RuleServices services() {
    return {store_, rules_, streams_, authorizer_, scope_, random_, logger_, metrics_};
  }

  void put_role(std::string_view permissions, std::string_view service = "iot.amazonaws.com") {
    identity::Role role;
    role.name = "rules";
    role.path = "/";
    role.id = "AROA1";
    role.trust = identity::PolicyDocument::parse(R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow",
        "Action":"sts:AssumeRole","Principal":{"Service":")" +
                                                     std::string(service) + R"("}}]})",
                                                 identity::kTrustRules)
                     .value();
    role.grants.inline_policies["p"] =
        identity::PolicyDocument::parse(permissions, identity::kInlineRules).value();
    EXPECT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      t.put(identities_.roles, identity::name_key("rules"), role);
      return {};
    }));
  }

  void put_stream(const std::string& name) {
    delivery::Stream stream;
    stream.id = "id-" + name;
    stream.name = name;
    stream.arn = scope_.arn("firehose", "deliverystream/" + name);
    stream.status = delivery::StreamStatus::kActive;
    EXPECT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      t.put(streams_.streams, name, stream);
      return {};
    }));
  }

  // `actions` and `error` are JSON with "$R" for the role member.
  void put_rule(const std::string& name, const std::string& sql, std::string actions, std::string error = "",
                bool disabled = false) {
    json::object payload;
    payload["sql"] = sql;
    payload["awsIotSqlVersion"] = "2016-03-23";
    payload["ruleDisabled"] = disabled;
    payload["actions"] = json::parse(with_role(std::move(actions))).value();
    if (!error.empty()) payload["errorAction"] = json::parse(with_role(std::move(error))).value();
    auto rule = rules::build_rule(name, payload, {});
    ASSERT_TRUE(rule) << rule.error().error.message;
    EXPECT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      t.put(rules_.rules, name, std::move(*rule));
      return {};
    }));
  }

  static std::string with_role(std::string text) {
    for (size_t at = text.find("$R"); at != std::string::npos; at = text.find("$R")) {
      text.replace(at, 2, std::string("\"roleArn\":\"") + kRole + "\"");
    }
    return text;
  }

  // Of what a client publishes.
  static constexpr Chain kFirst{0, broker::kRepublishMessagesMax};

  static rules::Event event(std::string_view topic, std::string_view payload) {
    rules::Event out;
    out.topic = topic;
    out.payload = payload;
    out.client_id = "device-7";
    out.now = Timestamp{1767225600000};
    return out;
  }

  double counter(const std::string& name, const MetricLabels& labels) {
    return metrics_.counter(name, "", labels).Value();
  }
  double actions(const std::string& action, const std::string& result) {
    return counter("fleetward_rule_actions_total", {{"action", action}, {"result", result}});
  }
  double messages(const std::string& result) {
    return counter("fleetward_rule_messages_total", {{"result", result}});
  }

  state::Store store_;
  identity::Tables identities_ = identity::Tables::add_to(store_);
  delivery::Tables streams_ = delivery::Tables::add_to(store_);
  rules::Tables rules_ = rules::Tables::add_to(store_);
  AccountScope scope_{AccountId::trusted("123456789012"), "eu-west-1"};
  identity::Authorizer authorizer_{store_, identities_, scope_};
  SeededRandom random_{7};
  Logger logger_ = Logger::none();
  Metrics metrics_;
};

}  // namespace fleetward::pipeline
