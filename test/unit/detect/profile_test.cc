#include "detect/profile.h"

#include <gtest/gtest.h>

namespace fleetward::detect {
namespace {

std::optional<ValueKind> custom_metric(std::string_view name) {
  if (name == "num") return ValueKind::kNumber;
  if (name == "nums") return ValueKind::kNumbers;
  if (name == "names") return ValueKind::kStrings;
  if (name == "ips") return ValueKind::kCidrs;
  return std::nullopt;
}

// An account with a custom metric of each type and the dimension "topics".
const AccountLookup kAccount{custom_metric, [](std::string_view name) { return name == "topics"; }};

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
      {R"({"name":"a","metric":"aws:message-byte-size","metricDimension":{"dimensionName":"topics"}})",
       nullptr},
      {R"({"name":"a","metric":"aws:source-ip-address",
           "metricDimension":{"dimensionName":"topics","operator":"NOT_IN"}})",
       nullptr},
      {R"({"metric":"num"})", "name must be"},
      {R"({"name":"a b","metric":"num"})", "name must be"},
      {R"({"name":"a"})", "metric is required"},
      {R"({"name":"a","metric":"aws:bogus"})", "does not exist"},
      {R"({"name":"a","metric":"unknown"})", "metric names the custom metric unknown, which does not exist"},
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
       "criteria.value.ports.1 must be a whole number from 0 to 65535"},
      {R"({"name":"a","metric":"ips","criteria":{"comparisonOperator":"in-cidr-set",
           "value":{"cidrs":["10.0.0.0/99"]}}})",
       "criteria.value.cidrs.1 is not an address or a CIDR"},
      {R"({"name":"a","metric":"num","criteria":{"comparisonOperator":"less-than","value":{"number":1},
           "consecutiveDatapointsToClear":11}})",
       "from 1 to 10"},
      {R"({"name":"a","metric":"num","metricDimension":{"dimensionName":"topics"}})",
       "metricDimension cannot be used with the metric num"},
      {R"({"name":"a","metric":"aws:num-disconnects","metricDimension":{"dimensionName":"topics"}})",
       "metricDimension cannot be used with the metric aws:num-disconnects"},
      {R"({"name":"a","metric":"aws:num-messages-sent","metricDimension":{"dimensionName":"other"}})",
       "metricDimension.dimensionName names the dimension other, which does not exist"},
      {R"({"name":"a","metric":"aws:num-messages-sent","metricDimension":{}})",
       "metricDimension.dimensionName must be"},
      {R"({"name":"a","metric":"aws:num-messages-sent",
           "metricDimension":{"dimensionName":"topics","operator":"ALL"}})",
       "metricDimension.operator must be IN or NOT_IN"},
      {R"({"name":"a","metric":"aws:num-messages-sent","metricDimension":{"name":"topics"}})",
       "metricDimension has no member 'name'"},
      {R"({"name":"a","metric":"aws:num-messages-sent","metricDimension":"topics"})",
       "metricDimension must be an object"},
      {R"({"name":"a","metric":"aws:num-disconnects","criteria":{"comparisonOperator":"less-than",
           "statisticalThreshold":{"statistic":"p95"}}})",
       "statisticalThreshold.statistic must be one of p0"},
      {R"({"name":"a","metric":"aws:num-disconnects","criteria":{"comparisonOperator":"less-than",
           "value":{"count":1},"statisticalThreshold":{"statistic":"p99"}}})",
       "statisticalThreshold excludes value"},
      {R"({"name":"a","metric":"aws:num-disconnects","criteria":{"statisticalThreshold":{"statistic":"p99"}}})",
       "comparisonOperator is required"},
      {R"({"name":"a","metric":"aws:disconnect-duration","criteria":{"comparisonOperator":"less-than",
           "statisticalThreshold":{"statistic":"p99"}}})",
       "statisticalThreshold cannot be used with the metric aws:disconnect-duration"},
      {R"({"name":"a","metric":"aws:source-ip-address","criteria":{"comparisonOperator":"in-cidr-set",
           "statisticalThreshold":{"statistic":"p99"}}})",
       "statisticalThreshold cannot be used"},
      {R"({"name":"a","metric":"aws:num-disconnects","criteria":{"mlDetectionConfig":{"confidenceLevel":"LOW"}}})",
       "mlDetectionConfig (ML Detect) is not implemented", ErrorCode::kUnimplemented},
  };
  for (const Case& c : cases) {
    const auto behavior = Behavior::parse(*json::parse(c.behavior), kAccount);
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
  EXPECT_FALSE(parse_behaviors(twice, kAccount));
  EXPECT_EQ(validate_behaviors(twice, kAccount),
            std::vector<std::string>{"behaviors.2.name a is used twice"});
  twice[1].as_object()["criteria"] =
      *json::parse(R"({"comparisonOperator":"less-than","value":{"number":"x"}})");
  EXPECT_EQ(parse_behaviors(twice, kAccount).error().message,
            "behaviors.2.criteria.value.number must be a number");
  twice[1] = 7;
  EXPECT_EQ(parse_behaviors(twice, kAccount).error().message, "behaviors.2 must be an object");
  EXPECT_FALSE(parse_behaviors(json::array(101, twice[0]), kAccount));
  json::array ports;
  for (int i = 0; i < 600; ++i) ports.push_back(i);
  json::array two;
  for (const char* name : {"a", "b"}) {
    two.push_back(json::object{{"name", name},
                               {"metric", "aws:listening-tcp-ports"},
                               {"criteria", json::object{{"comparisonOperator", "in-port-set"},
                                                         {"value", json::object{{"ports", ports}}}}}});
  }
  const auto too_many = parse_behaviors(two, kAccount);
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

TEST(SecurityProfile, DimensionsAreOfTheIdentity) {
  const auto parse = [](const std::string& dimension) {
    return Behavior::parse(
        *json::parse(R"({"name":"a","metric":"aws:num-messages-sent")" + dimension +
                     R"(,"criteria":{"comparisonOperator":"less-than","value":{"count":1}}})"),
        kAccount);
  };
  const auto none = parse("");
  const auto in = parse(R"(,"metricDimension":{"dimensionName":"topics"})");
  const auto not_in = parse(R"(,"metricDimension":{"dimensionName":"topics","operator":"NOT_IN"})");
  ASSERT_TRUE(none && in && not_in);
  EXPECT_NE(none->fingerprint, in->fingerprint);
  EXPECT_NE(not_in->fingerprint, in->fingerprint);
  // As it was written; in events with its defaults.
  EXPECT_EQ(json::serialize(in->document),
            R"({"name":"a","metric":"aws:num-messages-sent","metricDimension":{"dimensionName":"topics"},)"
            R"("criteria":{"comparisonOperator":"less-than","value":{"count":1}}})");
  EXPECT_EQ(json::serialize(in->full_document()),
            R"({"name":"a","metric":"aws:num-messages-sent",)"
            R"("metricDimension":{"dimensionName":"topics","operator":"IN"},)"
            R"("criteria":{"comparisonOperator":"less-than","value":{"count":1},)"
            R"("consecutiveDatapointsToAlarm":1,"consecutiveDatapointsToClear":1}})");
  const auto list = json::parse(R"([{"metric":"aws:num-messages-sent"},
    {"metric":"aws:num-messages-sent","metricDimension":{"dimensionName":"topics"}},
    {"metric":"aws:num-messages-sent","metricDimension":{"dimensionName":"topics","operator":"NOT_IN"}}])");
  SecurityProfile profile;
  profile.retain_v2 = parse_retain_v2(list->get_array(), kAccount).value();
  EXPECT_TRUE(profile.uses_dimension("topics"));
  EXPECT_FALSE(profile.uses_dimension("other"));
  const auto again = profile_from_json(to_json(profile));
  ASSERT_TRUE(again);
  EXPECT_EQ(json::serialize(to_json(*again)), json::serialize(to_json(profile)));
  json::array twice = list->get_array();
  twice.push_back(twice[1]);
  EXPECT_EQ(parse_retain_v2(twice, kAccount).error().message,
            "additionalMetricsToRetainV2.4 repeats the metric aws:num-messages-sent");
}

TEST(Series, NamesReadBack) {
  for (const MetricDimension& dimension :
       {MetricDimension{}, MetricDimension{"a:b_c-1", DimensionOperator::kIn},
        MetricDimension{"IN", DimensionOperator::kNotIn}}) {
    const std::string name = series_name("aws:num-messages-sent", dimension);
    const SeriesParts parts = split_series(name);
    EXPECT_EQ(parts.metric, "aws:num-messages-sent");
    EXPECT_EQ(parts.dimension, dimension.name);
    EXPECT_EQ(parts.op, dimension.op);
  }
  EXPECT_EQ(series_name("m", {"d", DimensionOperator::kNotIn}), "m|NOT_IN|d");
  EXPECT_EQ(split_series("m|d").metric, "m|d");
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
