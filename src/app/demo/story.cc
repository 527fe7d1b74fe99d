#include "app/demo/story.h"

#include <chrono>
#include <thread>

#include <boost/json/stream_parser.hpp>

#include "core/encoding.h"

namespace fleetward::app::demo {
namespace {

constexpr char kIamVersion[] = "2010-05-08";
constexpr char kSnsVersion[] = "2010-03-31";
constexpr auto kStreamWaitMax = std::chrono::seconds(30);

// Success and "is there already" are both fine: the demo may meet its own leavings.
template <typename T>
Status done(const Result<T>& answer) {
  if (answer || answer.error().code == ErrorCode::kAlreadyExists) return {};
  return fail(answer.error());
}

// The texts of every <tag> in the document.
std::vector<std::string> elements(std::string_view xml, const std::string& tag) {
  std::vector<std::string> out;
  const std::string open = "<" + tag + ">";
  for (size_t at = xml.find(open); at != std::string_view::npos; at = xml.find(open, at)) {
    at += open.size();
    out.emplace_back(xml.substr(at, xml.find("</" + tag + ">", at) - at));
  }
  return out;
}

}  // namespace

Story::Story(AwsClient& aws, std::string account, std::string region)
    : aws_(aws), account_(std::move(account)), region_(std::move(region)) {
  names_.bucket = account_ + ".dd.metric.export";
}

std::string Story::arn(const std::string& service, const std::string& resource) const {
  return "arn:aws:" + service + ":" + region_ + ":" + account_ + ":" + resource;
}

Result<std::string> Story::create_role(const std::string& name, const std::string& service,
                                       const json::array& actions, const std::string& resource) {
  const json::object trust{
      {"Version", "2012-10-17"},
      {"Statement",
       json::array{json::object{{"Effect", "Allow"},
                                {"Principal", json::object{{"Service", service + ".amazonaws.com"}}},
                                {"Action", "sts:AssumeRole"}}}}};
  const json::object allow{
      {"Version", "2012-10-17"},
      {"Statement",
       json::array{json::object{{"Effect", "Allow"}, {"Action", actions}, {"Resource", resource}}}}};
  const auto created = aws_.query("iam", "CreateRole", kIamVersion,
                                  {{"RoleName", name}, {"AssumeRolePolicyDocument", json::serialize(trust)}});
  if (auto ok = done(created); !ok) return fail(ok.error());
  const auto granted =
      aws_.query("iam", "PutRolePolicy", kIamVersion,
                 {{"RoleName", name}, {"PolicyName", "allow"}, {"PolicyDocument", json::serialize(allow)}});
  if (!granted) return fail(granted.error());
  return "arn:aws:iam::" + account_ + ":role/" + name;
}

Status Story::create_group() {
  return done(aws_.rest("iot", "POST", "/thing-groups/" + names_.group));
}

Status Story::create_metric() {
  return done(aws_.rest(
      "iot", "POST", "/custom-metric/" + names_.metric,
      {{"displayName", names_.metric_display}, {"metricType", "number"}, {"clientRequestToken", "demo"}}));
}

Status Story::create_bucket() {
  return done(aws_.s3(
      "PUT", "/" + names_.bucket, {},
      "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>" +
          region_ + "</LocationConstraint></CreateBucketConfiguration>"));
}

Status Story::create_stream() {
  const std::string bucket_arn = "arn:aws:s3:::" + names_.bucket;
  const auto role = create_role(
      "dd-metric-export-delivery", "firehose",
      {"s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:ListBucket", "s3:PutObject"}, bucket_arn + "*");
  if (!role) return fail(role.error());
  const auto created = aws_.json11(
      "firehose", "Firehose_20150804.CreateDeliveryStream",
      {{"DeliveryStreamName", names_.stream},
       {"DeliveryStreamType", "DirectPut"},
       {"ExtendedS3DestinationConfiguration",
        json::object{{"RoleARN", *role},
                     {"BucketARN", bucket_arn},
                     {"BufferingHints", json::object{{"SizeInMBs", 1}, {"IntervalInSeconds", 10}}}}}});
  if (auto ok = done(created); !ok) return ok;
  const auto deadline = std::chrono::steady_clock::now() + kStreamWaitMax;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto answer = aws_.json11("firehose", "Firehose_20150804.DescribeDeliveryStream",
                                    {{"DeliveryStreamName", names_.stream}});
    if (!answer) return fail(answer.error());
    const json::object* description = json::find_object(*answer, "DeliveryStreamDescription");
    if (description != nullptr && json::string_or(*description, "DeliveryStreamStatus") == "ACTIVE")
      return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return fail(ErrorCode::kUnavailable, "the delivery stream did not become ACTIVE");
}

Status Story::create_rule() {
  const std::string stream_arn = arn("firehose", "deliverystream/" + names_.stream);
  const auto to_stream = create_role("dd-metric-export-rule", "iot",
                                     {"firehose:PutRecord", "firehose:PutRecordBatch"}, stream_arn);
  if (!to_stream) return fail(to_stream.error());
  const auto to_topic = create_role("dd-metric-export-watch", "iot", {"iot:Publish"},
                                    arn("iot", "topic/" + names_.watch_topic));
  if (!to_topic) return fail(to_topic.error());
  return done(aws_.rest(
      "iot", "POST", "/rules/" + names_.rule,
      {{"sql", "SELECT * FROM 'ddmetric/#'"},
       {"actions", json::array{json::object{{"firehose", json::object{{"deliveryStreamName", names_.stream},
                                                                      {"roleArn", *to_stream}}}},
                               json::object{{"republish", json::object{{"topic", names_.watch_topic},
                                                                       {"qos", 1},
                                                                       {"roleArn", *to_topic}}}}}}}));
}

Status Story::create_alert_topic() {
  const auto topic = aws_.query("sns", "CreateTopic", kSnsVersion, {{"Name", names_.alert_topic}});
  if (!topic) return fail(topic.error());
  return done(aws_.query("sns", "Subscribe", kSnsVersion,
                         {{"TopicArn", arn("sns", names_.alert_topic)},
                          {"Protocol", "mqtt"},
                          {"Endpoint", names_.alert_topic}}));
}

Status Story::create_profile() {
  const auto export_role =
      create_role("dd-metric-export", "iot", {"iot:Publish"}, arn("iot", "topic/" + names_.export_topic));
  if (!export_role) return fail(export_role.error());
  const std::string alert_arn = arn("sns", names_.alert_topic);
  const auto alert_role = create_role("dd-metric-export-alert", "iot", {"sns:Publish"}, alert_arn);
  if (!alert_role) return fail(alert_role.error());
  const auto retain = [](const std::string& metric) {
    return json::object{{"metric", metric}, {"exportMetric", true}};
  };
  const json::object criteria{{"comparisonOperator", "greater-than"},
                              {"value", json::object{{"number", names_.signal_min}}},
                              {"consecutiveDatapointsToAlarm", 1},
                              {"consecutiveDatapointsToClear", 1}};
  const auto created = aws_.rest(
      "iot", "POST", "/security-profiles/" + names_.profile,
      {{"behaviors", json::array{json::object{
                         {"name", names_.behavior}, {"metric", names_.metric}, {"criteria", criteria}}}},
       {"additionalMetricsToRetainV2",
        json::array{retain("aws:message-byte-size"), retain("aws:num-messages-received"),
                    retain(names_.metric)}},
       {"metricsExportConfig", json::object{{"mqttTopic", names_.export_topic}, {"roleArn", *export_role}}},
       {"alertTargets",
        json::object{{"SNS", json::object{{"alertTargetArn", alert_arn}, {"roleArn", *alert_role}}}}}});
  if (auto ok = done(created); !ok) return ok;
  return done(aws_.rest("iot", "PUT", "/security-profiles/" + names_.profile + "/targets", {}, {},
                        {{"securityProfileTargetArn", arn("iot", "thinggroup/" + names_.group)}}));
}

Result<std::vector<Story::Violation>> Story::active_violations(const std::string& thing) {
  const auto answer = aws_.rest("iot", "GET", "/active-violations", {}, {}, {{"thingName", thing}});
  if (!answer) return fail(answer.error());
  std::vector<Violation> out;
  const json::array* list = json::find_array(*answer, "activeViolations");
  if (list == nullptr) return out;
  for (const json::value& element : *list) {
    const json::object& o = element.as_object();
    Violation v{std::string(json::string_or(o, "violationId")), std::string(json::string_or(o, "thingName")),
                "in-alarm", 0};
    if (const json::object* value = json::find_object(o, "lastViolationValue")) {
      if (const json::value* number = json::find(*value, "number")) v.value = number->to_number<double>();
    }
    out.push_back(std::move(v));
  }
  return out;
}

Result<std::map<std::string, std::string>> Story::objects() {
  std::map<std::string, std::string> out;
  std::string token;
  do {
    AwsClient::Parameters query{{"list-type", "2"}};
    if (!token.empty()) query.emplace_back("continuation-token", token);
    const auto page = aws_.s3("GET", "/" + names_.bucket, query);
    if (!page) return fail(page.error());
    for (const std::string& key : elements(*page, "Key")) {
      auto object = aws_.s3("GET", "/" + names_.bucket + "/" + percent_encode(key, true));
      if (!object) return fail(object.error());
      out[key] = std::move(*object);
    }
    const auto next = elements(*page, "NextContinuationToken");
    token = next.empty() ? std::string() : next.front();
  } while (!token.empty());
  return out;
}

Result<std::vector<json::value>> split_records(std::string_view bytes) {
  std::vector<json::value> out;
  boost::json::stream_parser parser;
  while (true) {
    const size_t begin = bytes.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return out;
    bytes.remove_prefix(begin);
    boost::json::error_code ec;
    const size_t consumed = parser.write_some(bytes.data(), bytes.size(), ec);
    if (!ec && !parser.done()) parser.finish(ec);
    if (ec || consumed == 0)
      return fail(ErrorCode::kMalformed, "an object does not hold JSON values: " + ec.message());
    out.push_back(parser.release());
    parser.reset();
    bytes.remove_prefix(consumed);
  }
}

}  // namespace fleetward::app::demo
