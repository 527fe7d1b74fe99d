#include "api/iot/detect.h"

#include <gtest/gtest.h>

#include "detect/event.h"
#include "identity/identities.h"
#include "log/memory_log.h"
#include "pipeline/detect_stage.h"
#include "pipeline/report_intake.h"
#include "test/unit/api/service_role.h"

namespace fleetward::api::iot {
namespace {

constexpr int64_t kStart = 1'767'225'600'000;
constexpr const char* kRole = "arn:aws:iam::123456789012:role/export";

// Detect's operations over a store and a log in memory, with the detect stage between.
class DetectApi : public testing::Test {
 protected:
  DetectApi() : authority_(*registry::CertificateAuthority::create(random_, clock_.now())) {
    EXPECT_TRUE(store_.open(":memory:"));
    const identity::Role role = service_role("export", "iot.amazonaws.com");
    EXPECT_TRUE(store_.transact([&](state::Transaction& t) -> Status {
      t.put(identities_.roles, identity::name_key("export"), role);
      for (const char* name : {"fleet", "child"}) {
        registry::ThingGroup group;
        group.name = name;
        if (group.name == "child") group.parent = "fleet";
        t.put(registry_.groups, group.name, group);
      }
      t.put(registry_.group_children, state::key("fleet", "child"), registry::Link{});
      registry::Thing thing;
      thing.name = "pump-1";
      t.put(registry_.things, thing.name, thing);
      return {};
    }));
    options_.taggable = detect_taggable(tables_);
    options_.group_deleted = [this](state::Transaction& change, const std::string& arn) {
      detach_target(change, tables_, arn);
    };
    const Dependencies iot{store_, registry_, account_, authority_, device_authorizer_,
                           clock_, random_,   options_};
    service_ = service(iot, detect_operations({iot, tables_, authorizer_, queries_}));
  }

  // The answer, or "<status> <name>: <message>".
  std::string call(const std::string& name, const std::string& arguments) {
    for (const http::Operation& operation : service_.operations) {
      if (operation.name != name) continue;
      if (!operation.implemented) return "not implemented";
      const auto result = operation.run({caller_, "192.0.2.7", "id", {}, nullptr},
                                        json::parse(arguments).value().as_object());
      if (result) return json::serialize(*result);
      return std::to_string(result.error().status) + " " + result.error().name + ": " +
             result.error().message;
    }
    return "no such operation";
  }
  json::object object(const std::string& name, const std::string& arguments) {
    const auto parsed = json::parse(call(name, arguments));
    EXPECT_TRUE(parsed) << name << ": " << call(name, arguments);
    return parsed ? parsed->get_object() : json::object{};
  }
  // The first `length` characters: enough to see the error's name.
  std::string head(const std::string& name, const std::string& arguments, size_t length) {
    return call(name, arguments).substr(0, length);
  }
  void metric(const std::string& name, const std::string& type) {
    EXPECT_EQ(
        head("CreateCustomMetric",
             R"({"clientRequestToken":"t","metricName":")" + name + R"(","metricType":")" + type + R"("})",
             13),
        R"({"metricName")");
  }
  void report(const std::string& thing, int64_t at_ms, double value) {
    log::Batch batch;
    std::vector<broker::MessagePtr> replies;
    intake_->on_report(thing, detect::ReportFormat::kJson,
                       R"({"hed":{"rid":)" + std::to_string(++report_id_) +
                           R"(,"v":"1.0"},"cmet":{"rssi":[{"number":)" + std::to_string(value) + "}]}}",
                       {kStart + at_ms}, batch, replies);
    ASSERT_TRUE(log_.write(std::move(batch)));
    auto more = stage_->step();
    while (more && *more) more = stage_->step();
    ASSERT_TRUE(more);
  }
  void start_detect() {
    stage_ = std::make_unique<pipeline::DetectStage>(
        pipeline::DetectStageOptions{.partitions = 4, .appends_ticks = false}, log_, store_, tables_,
        registry_, account_, clock_, logger_, metrics_);
    ASSERT_TRUE(stage_->load());
  }

  ManualClock clock_{{kStart}};
  SeededRandom random_{1};
  Logger logger_ = Logger::none();
  Metrics metrics_;
  AccountScope account_{AccountId::trusted("123456789012"), "us-east-1"};
  state::Store store_;
  identity::Tables identities_ = identity::Tables::add_to(store_);
  registry::Tables registry_ = registry::Tables::add_to(store_);
  pipeline::DetectTables tables_ = pipeline::DetectTables::add_to(store_);
  registry::CertificateAuthority authority_;
  registry::DeviceAuthorizer device_authorizer_{registry_, account_};
  identity::Authorizer authorizer_{store_, identities_, account_};
  Options options_;
  log::MemoryLog log_;
  pipeline::DetectQueries queries_{log_, 4};
  std::unique_ptr<pipeline::ReportIntake> intake_ =
      pipeline::make_report_intake({.partitions = 4, .limits = {}, .minimum_delay = Duration{0}}, metrics_);
  std::unique_ptr<pipeline::DetectStage> stage_;
  identity::Caller caller_{.kind = identity::Caller::Kind::kRoot, .arn = "arn:aws:iam::123456789012:root"};
  http::Service service_;
  int64_t report_id_ = 0;
};

TEST_F(DetectApi, AGroupThatIsDeletedIsNobodysTarget) {
  const std::string group = "arn:aws:iot:us-east-1:123456789012:thinggroup/child";
  call("CreateSecurityProfile", R"({"securityProfileName":"p"})");
  EXPECT_EQ(call("AttachSecurityProfile",
                 R"({"securityProfileName":"p","securityProfileTargetArn":")" + group + "\"}"),
            "{}");
  EXPECT_EQ(call("DeleteThingGroup", R"({"thingGroupName":"child"})"), "{}");
  EXPECT_EQ(call("ListTargetsForSecurityProfile", R"({"securityProfileName":"p"})"),
            R"({"securityProfileTargets":[]})");
  // A new group of the same name is not the old one.
  call("CreateThingGroup", R"({"thingGroupName":"child"})");
  EXPECT_EQ(call("ListSecurityProfilesForTarget", R"({"securityProfileTargetArn":")" + group + "\"}"),
            R"({"securityProfileTargetMappings":[]})");
}

TEST_F(DetectApi, CustomMetrics) {
  EXPECT_EQ(
      call("CreateCustomMetric",
           R"({"metricName":"mobilerssi","displayName":"Cellular Network Strength","metricType":"number",
                     "clientRequestToken":"abc"})"),
      R"({"metricName":"mobilerssi","metricArn":"arn:aws:iot:us-east-1:123456789012:custommetric/mobilerssi"})");
  // The same request again, as one without an answer is repeated, and others of that name.
  const auto create = [&](const std::string& rest) {
    return head("CreateCustomMetric", R"({"metricName":)" + rest + "}", 34);
  };
  EXPECT_EQ(create(R"("mobilerssi","displayName":"Cellular Network Strength","metricType":"number",
                      "clientRequestToken":"abc")")
                .substr(0, 13),
            R"({"metricName")");
  EXPECT_EQ(create(R"("mobilerssi","metricType":"number","clientRequestToken":"abc")"),
            "409 ResourceAlreadyExistsException");
  const std::string retried =
      R"("metricName":"again","metricType":"number","tags":[{"Key":"a","Value":"b"}],"displayName":"A")";
  const std::string made = call("CreateCustomMetric", "{" + retried + R"(,"clientRequestToken":"t-1"})");
  EXPECT_EQ(made.substr(0, 13), R"({"metricName")");
  EXPECT_EQ(call("CreateCustomMetric", "{" + retried + R"(,"clientRequestToken":"t-1"})"), made);
  for (const char* other : {R"(,"clientRequestToken":"t-2"})", "}"}) {
    EXPECT_EQ(head("CreateCustomMetric", "{" + retried + other, 34), "409 ResourceAlreadyExistsException")
        << other;
  }
  EXPECT_EQ(
      head("CreateCustomMetric",
           R"({"metricName":"again","metricType":"number","displayName":"B","clientRequestToken":"t-1"})",
           34),
      "409 ResourceAlreadyExistsException");
  call("DeleteCustomMetric", R"({"metricName":"again"})");
  for (const char* refused :
       {R"("aws:x","metricType":"number","clientRequestToken":"a")",
        R"("x","metricType":"text","clientRequestToken":"a")",
        R"("x","metricType":"number","clientRequestToken":"a b")",
        R"("x","metricType":"number","clientRequestToken":"a","displayName":"a\u0007b")"}) {
    EXPECT_EQ(create(refused).substr(0, 27), "400 InvalidRequestException") << refused;
  }
  EXPECT_EQ(
      call("DescribeCustomMetric", R"({"metricName":"mobilerssi"})"),
      R"({"metricName":"mobilerssi","metricArn":"arn:aws:iot:us-east-1:123456789012:custommetric/mobilerssi",)"
      R"("metricType":"number","creationDate":1767225600,"lastModifiedDate":1767225600,)"
      R"("displayName":"Cellular Network Strength"})");
  clock_.advance(Duration{1500});
  EXPECT_NE(call("UpdateCustomMetric", R"({"metricName":"mobilerssi","displayName":"RSSI"})")
                .find(R"("lastModifiedDate":1767225601.5,"displayName":"RSSI")"),
            std::string::npos);
  EXPECT_EQ(call("ListCustomMetrics", "{}"), R"({"metricNames":["mobilerssi"]})");
  EXPECT_EQ(call("TagResource",
                 R"({"resourceArn":"arn:aws:iot:us-east-1:123456789012:custommetric/mobilerssi",
                     "tags":[{"Key":"a","Value":"b"}]})"),
            "{}");
  EXPECT_EQ(call("DeleteCustomMetric", R"({"metricName":"mobilerssi"})"), "{}");
  EXPECT_EQ(call("DeleteCustomMetric", R"({"metricName":"mobilerssi"})"), "{}");
  EXPECT_EQ(head("DescribeCustomMetric", R"({"metricName":"mobilerssi"})", 29),
            "404 ResourceNotFoundException");
}

TEST_F(DetectApi, Dimensions) {
  const auto create = [&](const std::string& name, const std::string& token, const std::string& values) {
    return call("CreateDimension", R"({"name":")" + name + R"(","type":"TOPIC_FILTER","stringValues":[)" +
                                       values + R"(],"clientRequestToken":")" + token + R"("})");
  };
  const std::string made = R"({"name":"d","arn":"arn:aws:iot:us-east-1:123456789012:dimension/d"})";
  const std::string values = R"("fleet/${iot:ClientId}/#","a/+")";
  EXPECT_EQ(create("d", "t", values), made);
  EXPECT_EQ(create("d", "t", values), made) << "the same request again";
  EXPECT_EQ(create("d", "t", R"("a")"), "409 ResourceAlreadyExistsException: The dimension d already exists");
  EXPECT_EQ(create("d", "t2", values), "409 ResourceAlreadyExistsException: The dimension d already exists");
  EXPECT_EQ(create("e", "t", values),
            "400 InvalidRequestException: The clientRequestToken was used for the dimension d");
  for (const char* bad : {R"("a/#/b")", R"("a+")", R"("")", R"("${iot:Connection.Thing.ThingName}")",
                          R"("a/${iot:ClientId")", R"("$share/g/a")", ""}) {
    EXPECT_EQ(create("bad", "bad", bad).substr(0, 27), "400 InvalidRequestException") << bad;
  }
  EXPECT_EQ(head("CreateDimension",
                 R"({"name":"x","type":"TAG","stringValues":["a"],"clientRequestToken":"x"})", 27),
            "400 InvalidRequestException");
  EXPECT_EQ(call("DescribeDimension", R"({"name":"d"})"),
            R"({"name":"d","arn":"arn:aws:iot:us-east-1:123456789012:dimension/d","type":"TOPIC_FILTER",)"
            R"("stringValues":["fleet/${iot:ClientId}/#","a/+"],"creationDate":1767225600,)"
            R"("lastModifiedDate":1767225600})");
  clock_.advance(Duration{1000});
  EXPECT_EQ(call("UpdateDimension", R"({"name":"d","stringValues":["b"]})"),
            R"({"name":"d","arn":"arn:aws:iot:us-east-1:123456789012:dimension/d","type":"TOPIC_FILTER",)"
            R"("stringValues":["b"],"creationDate":1767225600,"lastModifiedDate":1767225601})");
  EXPECT_EQ(head("UpdateDimension", R"({"name":"x","stringValues":["b"]})", 29),
            "404 ResourceNotFoundException");
  EXPECT_EQ(call("TagResource", R"({"resourceArn":"arn:aws:iot:us-east-1:123456789012:dimension/d",)"
                                R"("tags":[{"Key":"k","Value":"v"}]})"),
            "{}");
  for (int i = 1; i < 10; ++i)
    EXPECT_EQ(create("d" + std::to_string(i), "t" + std::to_string(i), values)[0], '{');
  EXPECT_EQ(create("one-more", "t10", values),
            "410 LimitExceededException: An account has at most 10 dimensions");
  EXPECT_EQ(call("ListDimensions", R"({"maxResults":2})").substr(0, 37),
            R"({"dimensionNames":["d","d1"],"nextTok)");
  // In use by a profile: listed by it, and not to be deleted.
  EXPECT_EQ(head("CreateSecurityProfile", R"({"securityProfileName":"p","behaviors":[{"name":"b",
      "metric":"aws:num-messages-sent","metricDimension":{"dimensionName":"d","operator":"NOT_IN"}}]})",
                 22),
            R"({"securityProfileName")");
  EXPECT_EQ(object("ListSecurityProfiles", R"({"dimensionName":"d"})")
                .at("securityProfileIdentifiers")
                .get_array()
                .size(),
            1U);
  EXPECT_EQ(object("ListSecurityProfiles", R"({"dimensionName":"d1"})")
                .at("securityProfileIdentifiers")
                .get_array()
                .size(),
            0U);
  EXPECT_EQ(call("DeleteDimension", R"({"name":"d"})"),
            "400 InvalidRequestException: The dimension d is used by the security profile p");
  EXPECT_EQ(call("DeleteDimension", R"({"name":"d1"})"), "{}");
  EXPECT_EQ(call("DeleteDimension", R"({"name":"d1"})"), "{}");
  EXPECT_EQ(call("DeleteSecurityProfile", R"({"securityProfileName":"p"})"), "{}");
  EXPECT_EQ(call("DeleteDimension", R"({"name":"d"})"), "{}");
  EXPECT_EQ(head("DescribeDimension", R"({"name":"d"})", 29), "404 ResourceNotFoundException");
  EXPECT_EQ(
      call("CreateSecurityProfile", R"({"securityProfileName":"p","additionalMetricsToRetainV2":[
      {"metric":"aws:num-messages-sent","metricDimension":{"dimensionName":"d"}}]})"),
      "400 InvalidRequestException: additionalMetricsToRetainV2.1.metricDimension.dimensionName names the "
      "dimension d, which does not exist");
}

TEST_F(DetectApi, TheProfileOfTheStory) {
  metric("mobilerssi", "number");
  const std::string profile = R"("securityProfileName":"Monitor_RSSI")";
  const std::string body =
      R"("additionalMetricsToRetainV2":[{"metric":"aws:message-byte-size","exportMetric":true},
      {"metric":"mobilerssi","exportMetric":true}],
      "metricsExportConfig":{"mqttTopic":"$aws/rules/dd_export_firehose/ddmetric/cellular","roleArn":")" +
      std::string(kRole) + R"("})";
  EXPECT_EQ(call("CreateSecurityProfile", "{" + profile + "," + body + "}"),
            R"({"securityProfileName":"Monitor_RSSI","securityProfileArn":)"
            R"("arn:aws:iot:us-east-1:123456789012:securityprofile/Monitor_RSSI"})");
  EXPECT_EQ(head("CreateSecurityProfile", "{" + profile + "}", 34), "409 ResourceAlreadyExistsException");
  EXPECT_EQ(
      call("DescribeSecurityProfile", "{" + profile + "}"),
      R"({"securityProfileName":"Monitor_RSSI","behaviors":[],"additionalMetricsToRetainV2":)"
      R"([{"metric":"aws:message-byte-size","exportMetric":true},{"metric":"mobilerssi","exportMetric":true}],)"
      R"("metricsExportConfig":{"mqttTopic":"$aws/rules/dd_export_firehose/ddmetric/cellular","roleArn":)"
      R"("arn:aws:iam::123456789012:role/export"},"version":1,"creationDate":1767225600,)"
      R"("lastModifiedDate":1767225600,"securityProfileArn":)"
      R"("arn:aws:iot:us-east-1:123456789012:securityprofile/Monitor_RSSI"})");
  // A metric in use stays.
  EXPECT_EQ(head("DeleteCustomMetric", R"({"metricName":"mobilerssi"})", 27), "400 InvalidRequestException");
  EXPECT_EQ(call("ListSecurityProfiles", R"({"metricName":"mobilerssi"})"),
            R"({"securityProfileIdentifiers":[{"name":"Monitor_RSSI","arn":)"
            R"("arn:aws:iot:us-east-1:123456789012:securityprofile/Monitor_RSSI"}]})");
  EXPECT_EQ(call("ListSecurityProfiles", R"({"metricName":"aws:num-disconnects"})"),
            R"({"securityProfileIdentifiers":[]})");

  const std::string wrong_version =
      "{" + profile + R"(,"expectedVersion":7,"deleteMetricsExportConfig":true})";
  EXPECT_EQ(head("UpdateSecurityProfile", wrong_version, 28), "409 VersionConflictException");
  const auto updated =
      object("UpdateSecurityProfile", "{" + profile +
                                          R"(,"expectedVersion":1,"deleteMetricsExportConfig":true,
      "behaviors":[{"name":"strong","metric":"mobilerssi","criteria":{"comparisonOperator":"greater-than",
      "value":{"number":-100}}}]})");
  EXPECT_EQ(json::int_or(updated, "version", 0), 2);
  EXPECT_FALSE(updated.contains("metricsExportConfig"));
  EXPECT_TRUE(updated.contains("additionalMetricsToRetainV2"));
  EXPECT_EQ(head("UpdateSecurityProfile", "{" + profile + R"(,"deleteBehaviors":true,"behaviors":[]})", 27),
            "400 InvalidRequestException");
  EXPECT_EQ(call("DeleteSecurityProfile", "{" + profile + "}"), "{}");
  EXPECT_EQ(call("DeleteSecurityProfile", "{" + profile + "}"), "{}");
  EXPECT_EQ(head("UpdateSecurityProfile", "{" + profile + "}", 29), "404 ResourceNotFoundException");
}

TEST_F(DetectApi, UnknownMembersAreRefusedWithTheirPath) {
  const struct {
    const char* members;
    const char* path;
  } cases[] = {
      {R"("colour":1)", "colour"},
      {R"("behaviors":[{"name":"a"},{"name":"b","metrics":"x"}])", "behaviors[1].metrics"},
      {R"("behaviors":[{"metricDimension":{"dimensionName":"d","operator":"IN","case":1}}])",
       "behaviors[0].metricDimension.case"},
      {R"("behaviors":[{"criteria":{"consecutiveDatapointToAlarm":3}}])",
       "behaviors[0].criteria.consecutiveDatapointToAlarm"},
      {R"("behaviors":[{"criteria":{"value":{"count":1,"unit":"B"}}}])", "behaviors[0].criteria.value.unit"},
      {R"("behaviors":[{"criteria":{"statisticalThreshold":{"statistic":"p90","window":1}}}])",
       "behaviors[0].criteria.statisticalThreshold.window"},
      {R"("behaviors":[{"criteria":{"mlDetectionConfig":{"confidenceLevel":"LOW","model":1}}}])",
       "behaviors[0].criteria.mlDetectionConfig.model"},
      {R"("additionalMetricsToRetainV2":[{"metric":"m","days":3}])", "additionalMetricsToRetainV2[0].days"},
      {R"("alertTargets":{"SNS":{"alertTargetArn":"a","roleArn":"r","filter":1}})",
       "alertTargets.SNS.filter"},
      {R"("metricsExportConfig":{"mqttTopic":"t","roleArn":"r","qos":1})", "metricsExportConfig.qos"},
  };
  for (const auto& c : cases) {
    const std::string refusal =
        "400 InvalidRequestException: Unknown or unsupported member: " + std::string(c.path);
    const std::string arguments = R"({"securityProfileName":"p",)" + std::string(c.members) + "}";
    EXPECT_EQ(call("CreateSecurityProfile", arguments), refusal);
    EXPECT_EQ(call("UpdateSecurityProfile", arguments), refusal);
    if (std::string_view(c.members).starts_with(R"("behaviors")")) {
      EXPECT_EQ(call("ValidateSecurityProfileBehaviors", "{" + std::string(c.members) + "}"), refusal);
    }
  }
}

TEST_F(DetectApi, RefusalsNameWhatIsMissing) {
  const auto create = [&](const std::string& more) {
    return call("CreateSecurityProfile", R"({"securityProfileName":"p",)" + more + "}");
  };
  EXPECT_NE(
      create(R"("behaviors":[{"name":"b","metric":"aws:num-disconnects","criteria":{
                   "mlDetectionConfig":{"confidenceLevel":"LOW"}}}])")
          .find("400 InvalidRequestException: behaviors.1.criteria.mlDetectionConfig (ML Detect) is not"),
      std::string::npos);
  EXPECT_NE(create(R"("behaviors":[{"name":"b","metric":"unknown"}])").find("does not exist"),
            std::string::npos);
  EXPECT_EQ(
      create(R"("metricsExportConfig":{"mqttTopic":"t","roleArn":"arn:aws:iam::123456789012:role/none"})")
          .substr(0, 3),
      "400");
  EXPECT_EQ(call("GetBehaviorModelTrainingSummaries", "{}"), R"({"summaries":[]})");
  EXPECT_EQ(head("GetBehaviorModelTrainingSummaries", R"({"securityProfileName":"nobody"})", 29),
            "404 ResourceNotFoundException");
  EXPECT_EQ(head("GetBehaviorModelTrainingSummaries", R"({"maxResults":11})", 27),
            "400 InvalidRequestException");
  EXPECT_EQ(call("StartDetectMitigationActionsTask", "{}"), "not implemented");
  EXPECT_EQ(call("ValidateSecurityProfileBehaviors",
                 R"({"behaviors":[{"name":"b","metric":"aws:num-disconnects"}]})"),
            R"({"valid":true,"validationErrors":[]})");
  EXPECT_EQ(call("ValidateSecurityProfileBehaviors", R"({"behaviors":[{"name":"b"}]})"),
            R"({"valid":false,"validationErrors":[{"errorMessage":"behaviors.1.metric is required"}]})");
}

TEST_F(DetectApi, Targets) {
  const std::string group = "arn:aws:iot:us-east-1:123456789012:thinggroup/";
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(head("CreateSecurityProfile", R"({"securityProfileName":"p)" + std::to_string(i) + R"("})", 2),
              "{\"");
  }
  const auto attach = [&](const std::string& profile, const std::string& target) {
    return head(
        "AttachSecurityProfile",
        R"({"securityProfileName":")" + profile + R"(","securityProfileTargetArn":")" + target + R"("})", 29);
  };
  EXPECT_EQ(attach("p0", group + "fleet"), "{}");
  EXPECT_EQ(attach("p0", group + "fleet"), "{}");
  EXPECT_EQ(attach("p1", group + "child"), "{}");
  EXPECT_EQ(attach("p0", group + "nobody"), "404 ResourceNotFoundException");
  EXPECT_EQ(attach("px", group + "fleet"), "404 ResourceNotFoundException");
  EXPECT_EQ(attach("p0", "arn:aws:iot:us-east-1:123456789012:thing/x"), "400 InvalidRequestException: ");
  const std::string all = "arn:aws:iot:us-east-1:123456789012:all/things";
  for (int i = 0; i < 5; ++i) EXPECT_EQ(attach("p" + std::to_string(i), all), "{}");
  EXPECT_EQ(attach("p5", all), "410 LimitExceededException: A");
  EXPECT_EQ(call("ListTargetsForSecurityProfile", R"({"securityProfileName":"p0"})"),
            R"({"securityProfileTargets":[{"arn":")" + all + R"("},{"arn":")" + group + R"(fleet"}]})");
  const auto count = [&](const std::string& arguments) {
    return object("ListSecurityProfilesForTarget", arguments)
        .at("securityProfileTargetMappings")
        .get_array()
        .size();
  };
  EXPECT_EQ(count(R"({"securityProfileTargetArn":")" + group + R"(fleet"})"), 1U);
  EXPECT_EQ(count(R"({"recursive":true,"securityProfileTargetArn":")" + group + R"(fleet"})"), 2U);
  const auto first = object("ListSecurityProfilesForTarget",
                            R"({"maxResults":3,"securityProfileTargetArn":")" + all + R"("})");
  EXPECT_EQ(count(R"({"maxResults":3,"nextToken":")" + std::string(json::string_or(first, "nextToken")) +
                  R"(","securityProfileTargetArn":")" + all + R"("})"),
            2U);
  EXPECT_EQ(call("DetachSecurityProfile",
                 R"({"securityProfileName":"p0","securityProfileTargetArn":")" + group + R"(fleet"})"),
            "{}");
  EXPECT_EQ(count(R"({"securityProfileTargetArn":")" + group + R"(fleet"})"), 0U);
}

TEST_F(DetectApi, ViolationsAndValues) {
  metric("rssi", "number");
  EXPECT_EQ(head("CreateSecurityProfile",
                 R"({"securityProfileName":"base","behaviors":[{"name":"strong","metric":"rssi",
      "criteria":{"comparisonOperator":"greater-than","value":{"number":-100}}}]})",
                 2),
            "{\"");
  EXPECT_EQ(call("AttachSecurityProfile", R"({"securityProfileName":"base","securityProfileTargetArn":
      "arn:aws:iot:us-east-1:123456789012:all/things"})"),
            "{}");
  start_detect();
  report("pump-1", 1000, -50);
  report("pump-1", 2000, -101);
  report("pump-1", 3000, -102);
  for (int i = 0; i < 5; ++i) report("stranger-" + std::to_string(i), 4000 + i, -103);
  report("stranger-0", 5000, -10);

  auto active =
      object("ListActiveViolations", R"({"thingName":"pump-1"})").at("activeViolations").get_array();
  ASSERT_EQ(active.size(), 1U);
  json::object violation = active[0].get_object();
  const std::string id(json::string_or(violation, "violationId"));
  violation.stable_erase("violationId");
  EXPECT_EQ(
      json::serialize(violation),
      R"({"thingName":"pump-1","securityProfileName":"base","behavior":{"name":"strong","metric":"rssi",)"
      R"("criteria":{"comparisonOperator":"greater-than","value":{"number":-100},)"
      R"("consecutiveDatapointsToAlarm":1,"consecutiveDatapointsToClear":1}},)"
      R"("violationStartTime":1767225602,"verificationState":"UNKNOWN","lastViolationValue":{"number":-102},)"
      R"("lastViolationTime":1767225603})");
  // Newest first; what opens between two pages moves nothing.
  std::string open, token;
  for (int page = 0; page == 0 || !token.empty(); ++page) {
    auto answer =
        object("ListActiveViolations",
               R"({"maxResults":2)" + (token.empty() ? "" : R"(,"nextToken":")" + token + "\"") + "}");
    for (const json::value& one : answer.at("activeViolations").get_array()) {
      open += std::string(json::string_or(one.get_object(), "thingName")) + " ";
    }
    token = json::string_or(answer, "nextToken");
    report("late-" + std::to_string(page), 9000, -103);
  }
  EXPECT_EQ(open, "stranger-4 stranger-3 stranger-2 stranger-1 pump-1 ");
  for (int page = 0; page < 3; ++page) report("late-" + std::to_string(page), 9500, -1);
  for (const auto& [type, count] : {std::pair("STATISTICAL", 0U), {"MACHINE_LEARNING", 0U}, {"STATIC", 5U}}) {
    EXPECT_EQ(object("ListActiveViolations", R"({"behaviorCriteriaType":")" + std::string(type) + "\"}")
                  .at("activeViolations")
                  .get_array()
                  .size(),
              count);
  }
  EXPECT_EQ(object("ListActiveViolations", R"({"listSuppressedAlerts":true})")
                .at("activeViolations")
                .get_array()
                .size(),
            0U);
  EXPECT_EQ(head("ListActiveViolations", R"({"thingName":"nobody"})", 3), "404");
  EXPECT_EQ(head("ListActiveViolations", R"({"securityProfileName":"nobody"})", 3), "404");

  EXPECT_EQ(call("PutVerificationStateOnViolation",
                 R"({"violationId":")" + id +
                     R"(","verificationState":"FALSE_POSITIVE","verificationStateDescription":"antenna"})"),
            "{}");
  EXPECT_EQ(
      head("PutVerificationStateOnViolation", R"({"violationId":"0","verificationState":"UNKNOWN"})", 3),
      "400");
  EXPECT_EQ(object("ListActiveViolations", R"({"verificationState":"FALSE_POSITIVE"})")
                .at("activeViolations")
                .get_array()
                .size(),
            1U);

  // Events, newest first, in pages over all partitions.
  std::string types;
  double last = 1e18;
  do {
    auto page = object("ListViolationEvents",
                       R"({"startTime":"2026-01-01T00:00:00Z","endTime":"1767225606","maxResults":2)" +
                           (token.empty() ? "" : R"(,"nextToken":")" + token + "\"") + "}");
    for (const json::value& event : page.at("violationEvents").get_array()) {
      types += json::string_or(event.get_object(), "violationEventType") == "in-alarm" ? "A" : "C";
      const double time = event.at("violationEventTime").to_number<double>();
      EXPECT_LE(time, last);
      last = time;
    }
    token = json::string_or(page, "nextToken");
  } while (!token.empty());
  EXPECT_EQ(types, "CAAAAAA");
  EXPECT_EQ(head("ListViolationEvents", R"({"startTime":"yesterday","endTime":"1767312000"})", 3), "400");

  const auto values = [&](const std::string& more) {
    return object("ListMetricValues",
                  R"({"thingName":"pump-1","metricName":"rssi","startTime":"2026-01-01T00:00:00Z",
        "endTime":"2026-01-01T01:00:00Z")" +
                      more + "}");
  };
  EXPECT_EQ(
      json::serialize(values("").at("metricDatumList")),
      R"([{"timestamp":1767225601,"value":{"number":-50}},{"timestamp":1767225602,"value":{"number":-101}},)"
      R"({"timestamp":1767225603,"value":{"number":-102}}])");
  const auto page = values(R"(,"maxResults":2)");
  EXPECT_EQ(page.at("metricDatumList").get_array().size(), 2U);
  EXPECT_EQ(values(R"(,"nextToken":")" + std::string(json::string_or(page, "nextToken")) + "\"")
                .at("metricDatumList")
                .get_array()
                .size(),
            1U);
  EXPECT_EQ(head("ListMetricValues",
                 R"({"thingName":"pump-1","metricName":"nothing","startTime":"1","endTime":"2"})", 3),
            "404");
}

}  // namespace
}  // namespace fleetward::api::iot
