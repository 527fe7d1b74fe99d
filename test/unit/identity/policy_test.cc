#include "identity/policy.h"

#include <gtest/gtest.h>

#include "identity/policy_compiled.h"

namespace fleetward::identity {
namespace {

std::shared_ptr<const PolicyDocument> document(const std::string& statement) {
  auto parsed = PolicyDocument::parse(R"({"Version":"2012-10-17","Statement":[)" + statement + "]}");
  EXPECT_TRUE(parsed) << parsed.error().message;
  return *parsed;
}

Decision decide(const std::string& statement, const std::string& action, const std::string& resource,
                const MapContext& context = {}) {
  return document(statement)->evaluate(action, resource, context);
}

TEST(Policy, ActionsIgnoreCaseAndResourcesDoNot) {
  const std::string s = R"({"Effect":"Allow","Action":"iot:Pub*","Resource":"arn:aws:iot:*:*:topic/a/?/*"})";
  EXPECT_EQ(decide(s, "IOT:publish", "arn:aws:iot:r:1:topic/a/b/c/d"), Decision::kAllow);
  EXPECT_EQ(decide(s, "iot:Publish", "arn:aws:iot:r:1:topic/A/b/c"), Decision::kNoMatch);
  EXPECT_EQ(decide(s, "iot:Publish", "arn:aws:iot:r:1:topic/a/bb/c"), Decision::kNoMatch);
  EXPECT_EQ(decide(s, "iot:Subscribe", "arn:aws:iot:r:1:topic/a/b/c"), Decision::kNoMatch);
}

TEST(Policy, DenyWinsAndNotFormsExclude) {
  const std::string both = R"({"Effect":"Allow","Action":"*","Resource":"*"},
                              {"Effect":"Deny","NotAction":"s3:Get*","NotResource":"arn:aws:s3:::open/*"})";
  EXPECT_EQ(decide(both, "s3:PutObject", "arn:aws:s3:::closed/x"), Decision::kDeny);
  EXPECT_EQ(decide(both, "s3:PutObject", "arn:aws:s3:::open/x"), Decision::kAllow);
  EXPECT_EQ(decide(both, "s3:GetObject", "arn:aws:s3:::closed/x"), Decision::kAllow);
}

TEST(Policy, VariablesAreLiteralAndMissingOnesMatchNothing) {
  const std::string s =
      R"({"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:r:1:client/${iot:ClientId}"})";
  MapContext context;
  EXPECT_EQ(decide(s, "iot:Connect", "arn:aws:iot:r:1:client/", context), Decision::kNoMatch);
  context.set("iot:clientid", "a*");
  EXPECT_EQ(decide(s, "iot:Connect", "arn:aws:iot:r:1:client/a*", context), Decision::kAllow);
  EXPECT_EQ(decide(s, "iot:Connect", "arn:aws:iot:r:1:client/ab", context), Decision::kNoMatch);
  const std::string escaped = R"({"Effect":"Allow","Action":"a:b","Resource":"arn:x${*}${$}${aws:n, 'd'}"})";
  EXPECT_EQ(decide(escaped, "a:b", "arn:x*$d"), Decision::kAllow);
}

struct ConditionCase {
  const char* condition;
  std::vector<std::string> values;  // of key "k"; empty: absent
  bool holds;
};

class ConditionTest : public testing::TestWithParam<ConditionCase> {};

TEST_P(ConditionTest, Holds) {
  MapContext context;
  if (!GetParam().values.empty()) context.set_list("k", GetParam().values);
  const std::string s = std::string(R"({"Effect":"Allow","Action":"a:b","Resource":"*","Condition":)") +
                        GetParam().condition + "}";
  EXPECT_EQ(decide(s, "a:b", "arn:x", context) == Decision::kAllow, GetParam().holds) << GetParam().condition;
}

INSTANTIATE_TEST_SUITE_P(
    Operators, ConditionTest,
    testing::Values(
        ConditionCase{R"({"StringEquals":{"k":["a","b"]}})", {"b"}, true},
        ConditionCase{R"({"StringEquals":{"k":"a"}})", {"A"}, false},
        ConditionCase{R"({"StringEquals":{"k":"a"}})", {}, false},
        ConditionCase{R"({"StringEqualsIfExists":{"k":"a"}})", {}, true},
        ConditionCase{R"({"StringNotEquals":{"k":"a"}})", {}, true},
        ConditionCase{R"({"StringNotEquals":{"k":["a","b"]}})", {"b"}, false},
        ConditionCase{R"({"StringEqualsIgnoreCase":{"k":"aB"}})", {"Ab"}, true},
        ConditionCase{R"({"StringLike":{"k":"a*c"}})", {"abbc"}, true},
        ConditionCase{R"({"StringEquals":{"k":"a*c"}})", {"abbc"}, false},
        ConditionCase{R"({"NumericLessThan":{"k":5}})", {"4.5"}, true},
        ConditionCase{R"({"NumericGreaterThanEquals":{"k":"5"}})", {"x"}, false},
        ConditionCase{R"({"DateLessThan":{"k":"2026-11-24T00:00:00Z"}})", {"2026-11-23T23:59:59Z"}, true},
        ConditionCase{R"({"Bool":{"k":true}})", {"true"}, true},
        ConditionCase{R"({"IpAddress":{"k":"192.0.2.0/25"}})", {"192.0.2.127"}, true},
        ConditionCase{R"({"IpAddress":{"k":"192.0.2.0/25"}})", {"192.0.2.128"}, false},
        ConditionCase{R"({"NotIpAddress":{"k":"2001:db8::/32"}})", {"2001:db9::1"}, true},
        ConditionCase{R"({"ArnLike":{"k":"arn:aws:iot:*:1:rule/*"}})", {"arn:aws:iot:r:1:rule/x:y"}, true},
        ConditionCase{R"({"ArnLike":{"k":"arn:aws:*:rule/x"}})", {"arn:aws:iot:r:1:rule/x"}, false},
        ConditionCase{R"({"Null":{"k":"true"}})", {}, true},
        ConditionCase{R"({"Null":{"k":"false"}})", {"x"}, true},
        ConditionCase{R"({"ForAllValues:StringEquals":{"k":["a","b"]}})", {"a", "b"}, true},
        ConditionCase{R"({"ForAllValues:StringEquals":{"k":["a"]}})", {"a", "b"}, false},
        ConditionCase{R"({"ForAllValues:StringEquals":{"k":["a"]}})", {}, true},
        ConditionCase{R"({"ForAnyValue:StringEquals":{"k":["a"]}})", {"b", "a"}, true},
        ConditionCase{R"({"ForAnyValue:StringEquals":{"k":["a"]}})", {}, false}));

TEST(Policy, Principals) {
  const DocumentRules trust{.principal_required = true, .resource_required = false};
  const auto doc = PolicyDocument::parse(
      R"({"Statement":{"Effect":"Allow","Principal":{"Service":"iot.amazonaws.com","AWS":"123456789012"},"Action":"sts:AssumeRole"}})",
      trust);
  ASSERT_TRUE(doc) << doc.error().message;
  const MapContext none;
  const Principal iot{.service = "iot.amazonaws.com"};
  const Principal firehose{.service = "firehose.amazonaws.com"};
  const Principal user{.arn = "arn:aws:iam::123456789012:user/a", .account = "123456789012"};
  EXPECT_EQ((*doc)->evaluate("sts:AssumeRole", "", none, &iot), Decision::kAllow);
  EXPECT_EQ((*doc)->evaluate("sts:AssumeRole", "", none, &firehose), Decision::kNoMatch);
  EXPECT_EQ((*doc)->evaluate("sts:AssumeRole", "", none, &user), Decision::kAllow);
}

TEST(Policy, WhatCouldFailLaterIsRefused) {
  for (
      const char* bad : {
          "",
          "[]",
          "{}",
          R"({"Statement":[]})",
          R"({"Statement":[1]})",
          R"({"Version":"2020-01-01","Statement":[]})",
          R"({"Statement":{"Effect":"allow","Action":"a:b","Resource":"*"}})",
          R"({"Statement":{"Effect":"Allow","Action":"ab","Resource":"*"}})",
          R"({"Statement":{"Effect":"Allow","Action":"a:b"}})",
          R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"x"}})",
          R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"arn:${x"}})",
          R"({"Statement":{"Effect":"Allow","Action":"a:b","NotAction":"a:c","Resource":"*"}})",
          R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"Like":{"k":"v"}}}})",
          R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"IpAddress":{"k":"v"}}}})",
          R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Principal":"*"}})",
          R"({"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Extra":1}})",
      }) {
    EXPECT_FALSE(PolicyDocument::parse(bad)) << bad;
  }
  EXPECT_EQ(PolicyDocument::parse(std::string(7000, 'x')).error().code, ErrorCode::kLimitExceeded);
}

}  // namespace
}  // namespace fleetward::identity
