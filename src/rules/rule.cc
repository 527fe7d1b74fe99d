#include "rules/rule.h"

#include "rules/limits.h"

namespace fleetward::rules {
namespace {

tl::unexpected<RuleRejection> reject(std::string why) {
  return tl::unexpected<RuleRejection>(RuleRejection{false, {ErrorCode::kInvalidArgument, std::move(why)}});
}

tl::expected<Action, RuleRejection> read_action(const json::value& wire, std::string_view where,
                                                const TemplateContext& context) {
  const json::object* members = wire.if_object();
  if (members == nullptr) return reject(std::string(where) + " must be an object");
  auto action = parse_action(*members, context);
  if (!action) action.error().error.message.insert(0, std::string(where) + ": ");
  return action;
}

// Scalars of the payload; nullopt if all is well.
std::optional<std::string> read_scalars(const json::object& payload, Rule& rule) {
  for (const auto& member : payload) {
    const std::string_view name = member.key();
    const json::value& v = member.value();
    if (v.is_null() || name == "actions" || name == "errorAction") continue;
    if (name == "ruleDisabled") {
      if (!v.is_bool()) return "ruleDisabled must be true or false";
      rule.disabled = v.get_bool();
      continue;
    }
    std::string* field = name == "sql"                ? &rule.sql
                         : name == "description"      ? &rule.description
                         : name == "awsIotSqlVersion" ? &rule.sql_version
                                                      : nullptr;
    if (field == nullptr) return "unknown member '" + std::string(name) + "' of the rule";
    if (!v.is_string()) return std::string(name) + " must be a string";
    *field = std::string(v.get_string());
  }
  if (rule.sql.empty()) return "sql is missing or empty";
  if (rule.description.size() > kStatementBytesMax) return "description is too long";
  return std::nullopt;
}

json::object rule_to_json(const Rule& rule) {
  json::object out = payload_of(rule);
  out["ruleName"] = rule.name;
  out["createdAtMs"] = rule.created.ms;
  return out;
}

Result<Rule> rule_from_json(const json::object& document) {
  json::object payload = document;
  const std::string name(json::string_or(payload, "ruleName"));
  const Timestamp created{json::int_or(payload, "createdAtMs", 0)};
  payload.erase("ruleName");
  payload.erase("createdAtMs");
  auto rule = build_rule(name, payload, created);
  if (!rule) return fail(ErrorCode::kCorrupt, "rule " + name + ": " + rule.error().error.message);
  return std::move(*rule);
}

}  // namespace

Status check_rule_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  if (name.empty() || name.size() > 128 || name.find_first_not_of(kAllowed) != std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument, "ruleName must be 1 to 128 characters of [a-zA-Z0-9_]");
  }
  return {};
}

tl::expected<Rule, RuleRejection> build_rule(std::string_view name, const json::object& payload,
                                             Timestamp created) {
  if (auto ok = check_rule_name(name); !ok)
    return tl::unexpected<RuleRejection>(RuleRejection{false, ok.error()});
  Rule rule;
  rule.name = std::string(name);
  rule.created = created;
  if (auto wrong = read_scalars(payload, rule)) return reject(std::move(*wrong));
  const auto version = parse_sql_version(rule.sql_version);
  if (!version) {
    return reject("awsIotSqlVersion '" + rule.sql_version + "' is none of 2015-10-08, 2016-03-23, beta");
  }
  auto plan = Plan::compile(rule.sql, *version);
  if (!plan) return tl::unexpected<RuleRejection>(RuleRejection{true, plan.error()});
  rule.plan = std::move(*plan);

  const TemplateContext context = rule.plan->template_context();
  const json::array* actions = json::find_array(payload, "actions");
  if (actions == nullptr) return reject("actions is missing or no list");
  if (actions->size() > kActionsMax)
    return reject("a rule has at most " + std::to_string(kActionsMax) + " actions");
  for (size_t i = 0; i < actions->size(); ++i) {
    auto action = read_action((*actions)[i], "actions[" + std::to_string(i) + "]", context);
    if (!action) return tl::unexpected<RuleRejection>(action.error());
    rule.actions.push_back(std::move(*action));
  }
  if (const json::value* wire = payload.if_contains("errorAction"); wire != nullptr && !wire->is_null()) {
    auto action = read_action(*wire, "errorAction", context);
    if (!action) return tl::unexpected<RuleRejection>(action.error());
    rule.error_action = std::move(*action);
  }
  return rule;
}

json::object payload_of(const Rule& rule) {
  json::object out;
  out["sql"] = rule.sql;
  if (!rule.description.empty()) out["description"] = rule.description;
  json::array actions;
  for (const Action& action : rule.actions) actions.push_back(to_json(action));
  out["actions"] = std::move(actions);
  out["ruleDisabled"] = rule.disabled;
  out["awsIotSqlVersion"] = rule.sql_version;
  if (rule.error_action) out["errorAction"] = to_json(*rule.error_action);
  return out;
}

Tables Tables::add_to(state::Store& store) {
  return {store.add_table<Rule>({"topic_rules", rule_to_json, rule_from_json})};
}

}  // namespace fleetward::rules
