#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "rules/action.h"
#include "rules/plan.h"
#include "state/store.h"

namespace fleetward::rules {

// A topic rule with its statement and templates compiled. Immutable once in a snapshot.
struct Rule {
  std::string name;
  std::string sql;
  std::string sql_version = "2015-10-08";  // AWS's default when absent
  std::string description;
  bool disabled = false;
  Timestamp created;
  std::vector<Action> actions;
  std::optional<Action> error_action;

  std::shared_ptr<const Plan> plan;
};

// 1..128 of [a-zA-Z0-9_].
Status check_rule_name(std::string_view name);

// Builds a rule of a TopicRulePayload (sql, description, actions, ruleDisabled, awsIotSqlVersion,
// errorAction).
tl::expected<Rule, RuleRejection> build_rule(std::string_view name, const json::object& payload,
                                             Timestamp created);
// The wire's TopicRule without `ruleName` and `createdAt`: what build_rule reads.
json::object payload_of(const Rule& rule);

struct Tables {
  state::Table<Rule> rules;  // by name
  static Tables add_to(state::Store& store);
};

}  // namespace fleetward::rules
