#include "rules/action.h"

#include <algorithm>
#include <array>
#include <span>

#include "core/encoding.h"
#include "core/ids.h"
#include "rules/index.h"
#include "rules/limits.h"

namespace fleetward::rules {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

constexpr std::array<std::string_view, 19> kMissingActions = {"cloudwatchAlarm",
                                                              "cloudwatchLogs",
                                                              "cloudwatchMetric",
                                                              "dynamoDB",
                                                              "dynamoDBv2",
                                                              "elasticsearch",
                                                              "http",
                                                              "iotAnalytics",
                                                              "iotEvents",
                                                              "iotSiteWise",
                                                              "kafka",
                                                              "kinesis",
                                                              "lambda",
                                                              "location",
                                                              "openSearch",
                                                              "salesforce",
                                                              "sqs",
                                                              "stepFunctions",
                                                              "timestream"};

constexpr std::array<std::string_view, 8> kCannedAcls = {"private",
                                                         "public-read",
                                                         "public-read-write",
                                                         "aws-exec-read",
                                                         "authenticated-read",
                                                         "bucket-owner-read",
                                                         "bucket-owner-full-control",
                                                         "log-delivery-write"};

// Reads the members of one action and remembers the first thing wrong.
class Reader {
 public:
  Reader(const json::object& members, std::string path, const TemplateContext& context)
      : members_(members), path_(std::move(path)), context_(context) {}

  Template required_template(std::string_view name) { return compile(name, required_text(name)); }
  std::optional<Template> optional_template(std::string_view name) {
    auto text = optional_text(name);
    if (!text) return std::nullopt;
    return compile(name, std::move(*text));
  }
  std::string required_text(std::string_view name) {
    auto text = optional_text(name);
    if (!text)
      fail_member(name, "is missing");
    else if (text->empty())
      fail_member(name, "must not be empty");
    return text.value_or(std::string());
  }
  std::optional<std::string> optional_text(std::string_view name) {
    const json::value* v = take(name);
    if (v == nullptr) return std::nullopt;
    if (!v->is_string()) {
      fail_member(name, "must be a string");
      return std::nullopt;
    }
    return std::string(v->get_string());
  }
  std::string one_of(std::string_view name, std::span<const std::string_view> allowed) {
    auto text = optional_text(name);
    if (!text) return {};
    if (std::find(allowed.begin(), allowed.end(), *text) == allowed.end()) {
      fail_member(name, "has a value that is not among the allowed ones: '" + *text + "'");
    }
    return std::move(*text);
  }
  bool boolean(std::string_view name) {
    const json::value* v = take(name);
    if (v == nullptr) return false;
    if (!v->is_bool()) fail_member(name, "must be true or false");
    return v->is_bool() && v->get_bool();
  }
  int64_t integer(std::string_view name, int64_t min, int64_t max) {
    const json::value* v = take(name);
    if (v == nullptr) return min;
    if (!v->is_int64() || v->get_int64() < min || v->get_int64() > max) {
      fail_member(name, "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max));
      return min;
    }
    return v->get_int64();
  }
  std::string role() {
    std::string arn = required_text("roleArn");
    if (!error_) {
      const auto parts = parse_arn(arn);
      if (!parts || parts->service != "iam" || !parts->resource.starts_with("role/")) {
        fail_member("roleArn", "is not the ARN of an IAM role");
      }
    }
    return arn;
  }
  const json::value* take(std::string_view name) {
    seen_.push_back(name);
    const json::value* v = members_.if_contains(name);
    return v == nullptr || v->is_null() ? nullptr : v;
  }
  void fail_member(std::string_view name, std::string_view why, ErrorCode code = ErrorCode::kInvalidArgument,
                   bool sql = false) {
    if (error_) return;
    error_ = RuleRejection{sql, {code, path_ + "." + std::string(name) + " " + std::string(why)}};
  }
  // The first error; an unknown member is one.
  std::optional<RuleRejection> finish() {
    for (const auto& member : members_) {
      if (std::find(seen_.begin(), seen_.end(), std::string_view(member.key())) == seen_.end()) {
        fail_member(member.key(), "is not a member of this action");
      }
    }
    return error_;
  }
  const std::string& path() const { return path_; }
  const TemplateContext& context() const { return context_; }
  void adopt(std::optional<RuleRejection> error) {
    if (!error_) error_ = std::move(error);
  }

 private:
  Template compile(std::string_view name, std::string text) {
    if (error_) return {};
    auto compiled = Template::compile(std::move(text), context_);
    if (!compiled) {
      fail_member(name, "holds a substitution template that is refused: " + compiled.error().message,
                  compiled.error().code, true);
      return {};
    }
    return std::move(*compiled);
  }

  const json::object& members_;
  std::string path_;
  const TemplateContext& context_;
  std::vector<std::string_view> seen_;
  std::optional<RuleRejection> error_;
};

FirehoseAction read_firehose(Reader& in) {
  static constexpr std::string_view kSeparators[] = {"\n", "\t", "\r\n", ","};
  FirehoseAction out;
  out.stream_name = in.required_template("deliveryStreamName");
  out.separator = in.one_of("separator", kSeparators);
  out.batch_mode = in.boolean("batchMode");
  out.role_arn = in.role();
  return out;
}

RepublishAction::Headers read_headers(Reader& outer, const json::object& members) {
  Reader in(members, outer.path() + ".headers", outer.context());
  RepublishAction::Headers out;
  out.payload_format_indicator = in.optional_template("payloadFormatIndicator");
  out.content_type = in.optional_template("contentType");
  out.response_topic = in.optional_template("responseTopic");
  out.correlation_data = in.optional_template("correlationData");
  out.message_expiry = in.optional_template("messageExpiry");
  if (const json::value* list = in.take("userProperties")) {
    const json::array* pairs = list->if_array();
    if (pairs == nullptr || pairs->empty() || pairs->size() > 100) {
      in.fail_member("userProperties", "must be a list of 1 to 100 pairs");
      pairs = nullptr;
    }
    for (size_t i = 0; pairs != nullptr && i < pairs->size(); ++i) {
      const std::string path = in.path() + ".userProperties[" + std::to_string(i) + "]";
      const json::object* pair = (*pairs)[i].if_object();
      if (pair == nullptr) {
        in.fail_member("userProperties", "must hold objects with key and value");
        break;
      }
      Reader one(*pair, path, outer.context());
      RepublishAction::UserProperty property;
      property.key = one.required_template("key");
      property.value = one.required_template("value");
      in.adopt(one.finish());
      out.user_properties.push_back(std::move(property));
    }
  }
  outer.adopt(in.finish());
  return out;
}

RepublishAction read_republish(Reader& in) {
  RepublishAction out;
  out.topic = in.required_template("topic");
  out.qos = static_cast<int>(in.integer("qos", 0, 1));
  if (const json::value* headers = in.take("headers")) {
    if (const json::object* members = headers->if_object()) {
      out.headers = read_headers(in, *members);
    } else {
      in.fail_member("headers", "must be an object");
    }
  }
  out.role_arn = in.role();
  if (out.topic.is_constant() && !out.topic.text().empty()) {
    if (auto ok = check_republish_topic(republish_topic(out.topic.text())); !ok) {
      in.fail_member("topic", ok.error().message);
    }
  }
  return out;
}

S3Action read_s3(Reader& in) {
  S3Action out;
  out.bucket_name = in.required_template("bucketName");
  out.key = in.required_template("key");
  out.canned_acl = in.one_of("cannedAcl", kCannedAcls);
  if (!out.canned_acl.empty() && out.canned_acl != "private" &&
      !out.canned_acl.starts_with("bucket-owner-")) {
    in.fail_member("cannedAcl",
                   "'" + out.canned_acl + "' is not available in this release: objects are their owner's",
                   ErrorCode::kUnimplemented);
  }
  out.role_arn = in.role();
  return out;
}

SnsAction read_sns(Reader& in) {
  static constexpr std::string_view kFormats[] = {"RAW", "JSON"};
  SnsAction out;
  out.target_arn = in.required_template("targetArn");
  out.json_format = in.one_of("messageFormat", kFormats) == "JSON";
  out.role_arn = in.role();
  if (out.target_arn.is_constant() && !out.target_arn.text().empty()) {
    const auto arn = parse_arn(out.target_arn.text());
    if (!arn || arn->service != "sns") in.fail_member("targetArn", "is not the ARN of an SNS topic");
  }
  return out;
}

json::object headers_json(const RepublishAction::Headers& headers) {
  json::object out;
  const auto put = [&](std::string_view name, const std::optional<Template>& value) {
    if (value) out.emplace(name, value->text());
  };
  put("payloadFormatIndicator", headers.payload_format_indicator);
  put("contentType", headers.content_type);
  put("responseTopic", headers.response_topic);
  put("correlationData", headers.correlation_data);
  put("messageExpiry", headers.message_expiry);
  if (!headers.user_properties.empty()) {
    json::array pairs;
    for (const auto& property : headers.user_properties) {
      pairs.push_back(json::object{{"key", property.key.text()}, {"value", property.value.text()}});
    }
    out.emplace("userProperties", std::move(pairs));
  }
  return out;
}

}  // namespace

std::string_view republish_topic(std::string_view text) {
  // A literal '$' in front is written twice, because "${" opens a template.
  if (text.starts_with("$$")) text.remove_prefix(1);
  return text;
}

Status check_republish_topic(std::string_view topic) {
  const auto refuse = [](std::string why) { return fail(ErrorCode::kInvalidArgument, std::move(why)); };
  if (topic.empty()) return refuse("is an empty topic");
  if (topic.find_first_of("+#") != std::string_view::npos) return refuse("is a topic with a wildcard");
  if (topic.find('\0') != std::string_view::npos) return refuse("is a topic with a null character");
  std::string_view counted = topic;
  if (topic.starts_with("$")) {
    const auto basic = parse_basic_ingest(topic);
    const bool report = topic.starts_with("$aws/things/") && topic.find("/defender/metrics/") != topic.npos;
    if (!basic && !report) return refuse("is a reserved topic that rules cannot publish to");
    if (basic) counted = basic->rest;
  }
  if (counted.size() > 256) return refuse("is a topic of more than 256 bytes");
  if (std::count(counted.begin(), counted.end(), '/') > 7) return refuse("is a topic of more than 8 levels");
  return {};
}

std::string_view action_key(const Action& action) {
  static constexpr std::string_view kKeys[] = {"firehose", "republish", "s3", "sns"};
  return kKeys[action.index()];
}

std::string_view action_type(const Action& action) {
  static constexpr std::string_view kTypes[] = {"FirehoseAction", "RepublishAction", "S3Action", "SnsAction"};
  return kTypes[action.index()];
}

const std::string& action_role(const Action& action) {
  return std::visit([](const auto& a) -> const std::string& { return a.role_arn; }, action);
}

const std::string& action_resource(const Action& action) {
  return std::visit(
      Overloaded{[](const FirehoseAction& a) -> const std::string& { return a.stream_name.text(); },
                 [](const RepublishAction& a) -> const std::string& { return a.topic.text(); },
                 [](const S3Action& a) -> const std::string& { return a.bucket_name.text(); },
                 [](const SnsAction& a) -> const std::string& { return a.target_arn.text(); }},
      action);
}

tl::expected<Action, RuleRejection> parse_action(const json::object& wire, const TemplateContext& context) {
  const auto refuse = [](ErrorCode code, std::string why) {
    return tl::unexpected<RuleRejection>(RuleRejection{false, {code, std::move(why)}});
  };
  const auto first =
      std::find_if(wire.begin(), wire.end(), [](const auto& member) { return !member.value().is_null(); });
  const auto count =
      std::count_if(wire.begin(), wire.end(), [](const auto& member) { return !member.value().is_null(); });
  if (count != 1) {
    return refuse(ErrorCode::kInvalidArgument, "an action holds exactly one of firehose, republish, s3, sns");
  }
  const std::string key(first->key());
  if (std::find(kMissingActions.begin(), kMissingActions.end(), key) != kMissingActions.end()) {
    return refuse(
        ErrorCode::kUnimplemented,
        "the action '" + key + "' is not available in this release (there are firehose, republish, s3, sns)");
  }
  const json::object* members = first->value().if_object();
  if (members == nullptr) {
    return refuse(ErrorCode::kInvalidArgument, "the action '" + key + "' must be an object");
  }
  Reader in(*members, key, context);
  Action out;
  if (key == "firehose") {
    out = read_firehose(in);
  } else if (key == "republish") {
    out = read_republish(in);
  } else if (key == "s3") {
    out = read_s3(in);
  } else if (key == "sns") {
    out = read_sns(in);
  } else {
    return refuse(ErrorCode::kInvalidArgument, "unknown action '" + key + "'");
  }
  if (auto error = in.finish()) return tl::unexpected<RuleRejection>(std::move(*error));
  return out;
}

json::object to_json(const Action& action) {
  json::object members;
  std::visit(Overloaded{[&](const FirehoseAction& a) {
                          members["roleArn"] = a.role_arn;
                          members["deliveryStreamName"] = a.stream_name.text();
                          if (!a.separator.empty()) members["separator"] = a.separator;
                          members["batchMode"] = a.batch_mode;
                        },
                        [&](const RepublishAction& a) {
                          members["roleArn"] = a.role_arn;
                          members["topic"] = a.topic.text();
                          members["qos"] = a.qos;
                          if (a.headers) members["headers"] = headers_json(*a.headers);
                        },
                        [&](const S3Action& a) {
                          members["roleArn"] = a.role_arn;
                          members["bucketName"] = a.bucket_name.text();
                          members["key"] = a.key.text();
                          if (!a.canned_acl.empty()) members["cannedAcl"] = a.canned_acl;
                        },
                        [&](const SnsAction& a) {
                          members["targetArn"] = a.target_arn.text();
                          members["roleArn"] = a.role_arn;
                          members["messageFormat"] = a.json_format ? "JSON" : "RAW";
                        }},
             action);
  json::object out;
  out.emplace(action_key(action), std::move(members));
  return out;
}

}  // namespace fleetward::rules
