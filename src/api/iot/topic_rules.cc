#include "api/iot/topic_rules.h"

#include <string>
#include <string_view>
#include <utility>

#include "api/input.h"
#include "core/encoding.h"
#include "rules/index.h"
#include "rules/limits.h"

namespace fleetward::api::iot {
namespace {

using http::ApiResult;
using Dependencies = TopicRuleDependencies;

constexpr StringRule kRuleName{.min = 1, .max = 128, .chars = &kRuleNameChars};
constexpr size_t kDocumentBytesMax = 256 * 1024;
constexpr size_t kPageDefault = 100, kPageMax = 10'000;

// What rules/ reads, and judges afterwards; so it does with actions other than these four.
constexpr Shape kFirehoseShape[] = {{"roleArn"}, {"deliveryStreamName"}, {"separator"}, {"batchMode"}};
constexpr Shape kPairShape[] = {{"key"}, {"value"}};
constexpr Shape kHeadersShape[] = {{"payloadFormatIndicator"}, {"contentType"},
                                   {"responseTopic"},          {"correlationData"},
                                   {"messageExpiry"},          {"userProperties", kPairShape}};
constexpr Shape kRepublishShape[] = {{"roleArn"}, {"topic"}, {"qos"}, {"headers", kHeadersShape}};
constexpr Shape kS3Shape[] = {{"roleArn"}, {"bucketName"}, {"key"}, {"cannedAcl"}};
constexpr Shape kSnsShape[] = {{"targetArn"}, {"roleArn"}, {"messageFormat"}};
constexpr Shape kActionShape[] = {{"firehose", kFirehoseShape},
                                  {"republish", kRepublishShape},
                                  {"s3", kS3Shape},
                                  {"sns", kSnsShape},
                                  {"*"}};
constexpr Shape kPayloadShape[] = {{"sql"},          {"description"},      {"actions", kActionShape},
                                   {"ruleDisabled"}, {"awsIotSqlVersion"}, {"errorAction", kActionShape}};

std::string rule_arn(const Dependencies& d, std::string_view name) {
  return d.account.arn("iot", "rule/" + std::string(name));
}

// A missing rule is answered like a forbidden one, as the service does.
tl::unexpected<http::ApiError> no_access(std::string_view name) {
  return http::api_fail(401, "UnauthorizedException",
                        "Access to topic rule '" + std::string(name) + "' was denied: it does not exist");
}

std::string read_name(Input& in) {
  return in.string("ruleName", kRuleName);
}

// "k1=v1&k2=v2", percent-encoded: the header x-amz-tagging.
ApiResult<registry::Tags> parse_tags(std::string_view text) {
  registry::Tags out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = pair.find('=');
    const auto key = percent_decode(pair.substr(0, equals), true);
    const auto value =
        percent_decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!key || !value || key->empty()) {
      return refuse(kIotStyle, "the header x-amz-tagging is not of the form key1=value1&key2=value2");
    }
    if (!out.emplace(*key, *value).second)
      return refuse(kIotStyle, "the tag key '" + *key + "' is given twice");
  }
  return out;
}

// The rule that the body describes; every role of it may be passed by the caller.
ApiResult<rules::Rule> read_rule(const Dependencies& d, const http::Call& call, const std::string& name,
                                 const json::object& arguments) {
  json::object payload = arguments;
  payload.erase("ruleName");
  payload.erase("tags");
  if (json::serialize(payload).size() > kDocumentBytesMax) {
    return refuse(kIotStyle, "the rule is larger than 256 KB");
  }
  auto rule = rules::build_rule(name, payload, d.clock.now());
  if (!rule) {
    const rules::RuleRejection& why = rule.error();
    if (why.sql) return http::api_fail(400, "SqlParseException", why.error.message);
    return refuse(kIotStyle, why.error.message);
  }
  const auto check_role = [&](const rules::Action& action) {
    return d.authorizer.authorize_pass_role(call.caller, rules::action_role(action), "iot.amazonaws.com");
  };
  for (const rules::Action& action : rule->actions) {
    if (auto ok = check_role(action); !ok) return refuse(kIotStyle, ok.error());
  }
  if (rule->error_action) {
    if (auto ok = check_role(*rule->error_action); !ok) return refuse(kIotStyle, ok.error());
  }
  return std::move(*rule);
}

ApiResult<json::object> create(const Dependencies& d, const http::Call& call, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = read_name(in);
  const std::string tagging = in.string_or("tags", "");
  in.known(kPayloadShape);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto tags = parse_tags(tagging);
  if (!tags) return tl::unexpected(tags.error());
  auto rule = read_rule(d, call, name, arguments);
  if (!rule) return tl::unexpected(rule.error());
  const std::string arn = rule_arn(d, name);
  const Status done = d.store.transact([&](state::Transaction& change) -> Status {
    const auto& existing = change.get(d.rules.rules);
    if (existing.find(name) != nullptr) {
      return fail(ErrorCode::kAlreadyExists, "Topic rule '" + name + "' already exists");
    }
    if (existing.size() >= rules::kRulesMax) {
      return fail(ErrorCode::kLimitExceeded,
                  "an account has at most " + std::to_string(rules::kRulesMax) + " rules");
    }
    change.put(d.rules.rules, name, std::move(*rule));
    return registry::add_tags(change, d.tags, arn, *tags);
  });
  if (!done && done.error().code == ErrorCode::kAlreadyExists) {
    return http::api_fail(409, "ResourceAlreadyExistsException", done.error().message,
                          {{"resourceId", name}, {"resourceArn", arn}});
  }
  if (!done) return refuse(kIotStyle, done.error());
  return json::object{};
}

// Changes an existing rule in a transaction. kNotFound: there is none.
ApiResult<json::object> change_rule(const Dependencies& d, const std::string& name,
                                    const std::function<rules::Rule(const rules::Rule&)>& make) {
  const Status done = d.store.transact([&](state::Transaction& change) -> Status {
    const rules::Rule* existing = change.get(d.rules.rules).find(name);
    if (existing == nullptr) return fail(ErrorCode::kNotFound, name);
    change.put(d.rules.rules, name, make(*existing));
    return {};
  });
  if (!done && done.error().code == ErrorCode::kNotFound) return no_access(name);
  if (!done) return refuse(kIotStyle, done.error());
  return json::object{};
}

ApiResult<json::object> replace(const Dependencies& d, const http::Call& call,
                                const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = read_name(in);
  in.known(kPayloadShape);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto rule = read_rule(d, call, name, arguments);
  if (!rule) return tl::unexpected(rule.error());
  return change_rule(d, name, [&](const rules::Rule& before) {
    rules::Rule after = *rule;
    after.created = before.created;
    return after;
  });
}

ApiResult<json::object> get(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = read_name(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const rules::Rule* rule = snapshot->get(d.rules.rules).find(name);
  if (rule == nullptr) return no_access(name);
  json::object shown = rules::payload_of(*rule);
  shown["ruleName"] = rule->name;
  shown["createdAt"] = rule->created.seconds();
  return json::object{{"ruleArn", rule_arn(d, name)}, {"rule", std::move(shown)}};
}

ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const auto topic = in.string_opt("topic", {.min = 1, .max = 1024});
  const auto disabled = in.boolean_opt("ruleDisabled");
  const Page page = in.page("ListTopicRules", "nextToken", "maxResults", kPageDefault, kPageMax);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  json::array items;
  const std::string next = list_page(snapshot->get(d.rules.rules), "", page, [&](const auto& entry) {
    const rules::Rule& rule = *entry.value;
    const std::string& pattern = rule.plan->topic_filter();
    if (disabled && *disabled != rule.disabled) return false;
    if (topic && pattern != *topic && (pattern.empty() || !rules::topic_matches(pattern, *topic)))
      return false;
    items.push_back(json::object{{"ruleArn", rule_arn(d, rule.name)},
                                 {"ruleName", rule.name},
                                 {"topicPattern", pattern},
                                 {"createdAt", rule.created.seconds()},
                                 {"ruleDisabled", rule.disabled}});
    return true;
  });
  json::object out{{"rules", std::move(items)}};
  if (!next.empty()) out["nextToken"] = next;
  return out;
}

ApiResult<json::object> remove(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = read_name(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  // Deleting what is not there succeeds.
  const Status done = d.store.transact([&](state::Transaction& change) -> Status {
    change.erase(d.rules.rules, name);
    registry::erase_tags(change, d.tags, rule_arn(d, name));
    return {};
  });
  if (!done) return refuse(kIotStyle, done.error());
  return json::object{};
}

template <bool Disabled>
ApiResult<json::object> switch_rule(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = read_name(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return change_rule(d, name, [](const rules::Rule& before) {
    rules::Rule after = before;
    after.disabled = Disabled;
    return after;
  });
}

using Run = ApiResult<json::object> (*)(const Dependencies&, const http::Call&, const json::object&);

http::Operation operation(const Dependencies& d, const char* name, const char* method, const char* uri,
                          Run run) {
  http::Operation out;
  out.name = name;
  out.method = method;
  out.uri = uri;
  out.resource = [account = d.account](const json::object& arguments) {
    const std::string_view rule = json::string_or(arguments, "ruleName");
    return rule.empty() ? std::string("*") : account.arn("iot", "rule/" + std::string(rule));
  };
  out.run = [d, run](const http::Call& call, const json::object& arguments) {
    return run(d, call, arguments);
  };
  return out;
}

}  // namespace

std::vector<http::Operation> topic_rule_operations(const TopicRuleDependencies& d) {
  using From = http::Binding::From;
  using Type = http::Binding::Type;
  std::vector<http::Operation> out;
  out.push_back(operation(d, "CreateTopicRule", "POST", "/rules/{ruleName}", create));
  out.back().bindings = {{From::kHeader, "x-amz-tagging", "tags", Type::kString}};
  out.push_back(operation(d, "ReplaceTopicRule", "PATCH", "/rules/{ruleName}", replace));
  out.push_back(operation(d, "GetTopicRule", "GET", "/rules/{ruleName}", get));
  out.push_back(operation(d, "DeleteTopicRule", "DELETE", "/rules/{ruleName}", remove));
  out.push_back(operation(d, "EnableTopicRule", "POST", "/rules/{ruleName}/enable", switch_rule<false>));
  out.push_back(operation(d, "DisableTopicRule", "POST", "/rules/{ruleName}/disable", switch_rule<true>));
  out.push_back(operation(d, "ListTopicRules", "GET", "/rules", list));
  out.back().bindings = {{From::kQuery, "topic", "topic", Type::kString},
                         {From::kQuery, "maxResults", "maxResults", Type::kInteger},
                         {From::kQuery, "nextToken", "nextToken", Type::kString},
                         {From::kQuery, "ruleDisabled", "ruleDisabled", Type::kBoolean}};
  return out;
}

}  // namespace fleetward::api::iot
