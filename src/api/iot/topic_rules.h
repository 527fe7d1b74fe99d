#pragma once

#include <vector>

#include "core/ids.h"
#include "core/time.h"
#include "http/operation.h"
#include "identity/authorizer.h"
#include "registry/tags.h"
#include "rules/rule.h"
#include "state/store.h"

namespace fleetward::api::iot {

// References outlive the operations.
struct TopicRuleDependencies {
  state::Store& store;
  rules::Tables rules;
  registry::TagTable tags;
  const identity::Authorizer& authorizer;
  AccountScope account;
  const Clock& clock;
};

// CreateTopicRule, ReplaceTopicRule, GetTopicRule, ListTopicRules, DeleteTopicRule, EnableTopicRule,
// DisableTopicRule. Topic rule destinations are refused, as every documented operation that is not here.
std::vector<http::Operation> topic_rule_operations(const TopicRuleDependencies& dependencies);

}  // namespace fleetward::api::iot
