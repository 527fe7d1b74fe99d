#include "detect/profile.h"

#include <gtest/gtest.h>

namespace fleetward::detect {
namespace {

std::optional<ValueKind> custom(std::string_view name) {
  if (name == "num") return ValueKind::kNumber;
  if (name == "nums") return ValueKind::kNumbers;
  if (name == "names") return ValueKind::kStrings;
  if (name == "ips") return ValueKind::kCidrs;
  return std::nullopt;
}

struct Case {
  const char* behavior;
  const char* reason;  // part of it; nullptr: accepted
  ErrorCode code = ErrorCode::kInvalidArgument;
};

TEST(Behavior, Constraints) {
  const Case cases[] = {
      {R"({"name":"a","metric":"aws:num-messages-sent"})", nullptr},
      {R"({"name":"a","metric":"aws:num-messages-sent","criteria":{"comparisonOperator":"less-than",
           "value":{"count":5},"durationSeconds":300,"consecutiveDatapointsToAlarm":10}})",
       nullptr},
      {R"({"name":"a","metric":"num","criteria":{"comparisonOperator":"less-than","value":{"number":-1.5}}})",
       nullptr},
      {R"({"metric":"num"})", "name of a behavior"},
      {R"({"name":"a b","metric":"num"})", "name of a behavior"},
      {R"({"name":"a"})", "metric is required"},
      {R"({"name":"a","metric":"aws:bogus"})", "does not exist"},
      {R"({"name":"a","metric":"unknown"})", "custom metric unknown does not exist"},
      {R"({"name":"a","metric":"num","criteria":{}})", "comparisonOperator is required"},
      {R"({"name":"a","metric":"num","criteria":{"comparisonOperator":"equals"}})",
       "'equals' does not exist"},
      {R"({"name":"a","metric":"num","criteria":{"comparisonOperator":"in-set","value":{"numbers":[1]}}})",
       "cannot be used with the metric num"},
      {R"({"name":"a","metric":"aws:disconnect-duration","criteria":{"comparisonOperator":"greater-than",
           "value":{"count":5}}})",
       "cannot be used"},
      {R"({"name":"a","metric":"num","criteria":{"comparisonOperator":"less-than"}})", "value is required"},
      {R"({"name":"a","metric":"num","criteria":{"comparisonOperator":"less-than","value":{"count":1}}})",
       "exactly the member 'number'"},
      {R"({"name":"a","metric":"aws:num-disconnects","criteria":{"comparisonOperator":"less-than",
           "value":{"count":1.5}}})",
       "whole number"},
      {R"({"name":"a","metric":"aws:num-disconnects","criteria":{"comparisonOperator":"less-than",
           "value":{"count":-1}}})",
       "whole number"},
      {R"({"name":"a","metric":"aws:num-disconnects","criteria":{"comparisonOperator":"less-than",
           "value":{"count":1},"durationSeconds":301}})",
       "durationSeconds must be"},
      {R"({"name":"a","metric":"aws:listening-tcp-ports","criteria":{"comparisonOperator":"in-port-set",
           "value":{"ports":[1]},"durationSeconds":300}})",
       "durationSeconds cannot"},
      {R"({"name":"a","metric":"aws:listening-tcp-ports","criteria":{"comparisonOperator":"in-port-set",
           "value":{"ports":[65536]}}})",
       "0 to 65535"},
      {R"({"name":"a","metric":"ips","criteria":{"comparisonOperator":"in-cidr-set",
           "value":{"cidrs":["10.0.0.0/99"]}}})",
       "is not a CIDR"},
      {R"({"name":"a","metric":"num","criteria":{"comparisonOperator":"less-than","value":{"number":1},
           "consecutiveDatapointsToClear":11}})",
       "from 1 to 10"},
      {R"({"name":"a","metric":"num","metricDimension":{"dimensionName":"d"}})", "not implemented",
       ErrorCode::kUnimplemented},
      {R"({"name":"a","metric":"aws:num-disconnects","criteria":{"comparisonOperator":"less-than",
           "statisticalThreshold":{"statistic":"p99"},"durationSeconds":300}})",
       "statisticalThreshold (statistical criteria) is not implemented", ErrorCode::kUnimplemented},
      {R"({"name":"a","metric":"aws:num-disconnects","criteria":{"mlDetectionConfig":{"confidenceLevel":"LOW"}}})",
       "mlDetectionConfig (ML Detect) is not implemented", ErrorCode::kUnimplemented},
  };
  for (const Case& c : cases) {
    const auto behavior = Behavior::parse(*json::parse(c.behavior), custom);
    if (c.reason == nullptr) {
      EXPECT_TRUE(behavior) << c.behavior << " " << behavior.error().message;
      continue;
    }
    ASSERT_FALSE(behavior) << c.behavior;
    EXPECT_EQ(behavior.error().code, c.code) << c.behavior;
    EXPECT_NE(behavior.error().message.find(c.reason), std::string::npos) << behavior.error().message;
  }
}

TEST(SecurityProfile, LimitsOfAProfile) {
  json::array twice = {*json::parse(R"({"name":"a","metric":"num"})"),
                       *json::parse(R"({"name":"a","metric":"num"})")};
  EXPECT_FALSE(parse_behaviors(twice, custom));
  EXPECT_EQ(validate_behaviors(twice, custom).size(), 1U);
  json::array ports;
  for (int i = 0; i < 600; ++i) ports.push_back(i);
  json::array two;
  for (const char* name : {"a", "b"}) {
    two.push_back(json::object{{"name", name},
                               {"metric", "aws:listening-tcp-ports"},
                               {"criteria", json::object{{"comparisonOperator", "in-port-set"},
                                                         {"value", json::object{{"ports", ports}}}}}});
  }
  const auto too_many = parse_behaviors(two, custom);
  ASSERT_FALSE(too_many);
  EXPECT_NE(too_many.error().message.find("1000"), std::string::npos);
}

TEST(SecurityProfile, StoredFormReadsBack) {
  const auto document = json::parse(R"({"securityProfileName":"base","securityProfileDescription":"d",
    "behaviors":[{"name":"a","metric":"names","criteria":{"comparisonOperator":"in-set","value":{"strings":["x"]},
      "consecutiveDatapointsToAlarm":1,"consecutiveDatapointsToClear":1},"suppressAlerts":true}],
    "alertTargets":{"SNS":{"alertTargetArn":"arn:aws:sns:eu-west-1:123456789012:t","roleArn":"arn:aws:iam::123456789012:role/r"}},
    "additionalMetricsToRetain":["num"],"additionalMetricsToRetainV2":[{"metric":"num","exportMetric":true}],
    "metricsExportConfig":{"mqttTopic":"$aws/rules/r/t","roleArn":"arn:aws:iam::123456789012:role/r"},
    "version":3,"creationDate":1,"lastModifiedDate":2})");
  ASSERT_TRUE(document);
  const auto profile = profile_from_json(document->get_object());
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(json::serialize(to_json(*profile)), json::serialize(*document));
  EXPECT_EQ(profile->behaviors[0]->kind, ValueKind::kStrings);
  EXPECT_TRUE(profile->uses_metric("names"));
  EXPECT_FALSE(profile->uses_metric("other"));
}

TEST(SecurityProfile, ExportTopics) {
  const std::string role = "arn:aws:iam::123456789012:role/r";
  for (const char* good : {"$aws/rules/rule", "$aws/rules/rule/a/b", "fleet/metrics"}) {
    EXPECT_TRUE(parse_export_config(json::object{{"mqttTopic", good}, {"roleArn", role}})) << good;
  }
  for (const char* bad : {"", "a/+/b", "a/#", "$aws/things/x", "$aws/rules/", "$SYS/x"}) {
    EXPECT_FALSE(parse_export_config(json::object{{"mqttTopic", bad}, {"roleArn", role}})) << bad;
  }
  EXPECT_FALSE(parse_export_config(json::object{{"mqttTopic", "t"}, {"roleArn", "short"}}));
}

}  // namespace
}  // namespace fleetward::detect
