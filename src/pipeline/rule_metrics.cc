#include "pipeline/rule_metrics.h"

namespace fleetward::pipeline {
namespace {

constexpr const char* kMessages = "fleetward_rule_messages_total";
constexpr const char* kMessagesHelp = "Messages as rules see them";
constexpr const char* kActions = "fleetward_rule_actions_total";
constexpr const char* kActionsHelp = "Rule actions by their result";

}  // namespace

RuleMetrics::RuleMetrics(Metrics& metrics)
    : topic_match(metrics.counter(kMessages, kMessagesHelp, {{"result", "topic_match"}})),
      executed(metrics.counter(kMessages, kMessagesHelp, {{"result", "executed"}})),
      rule_not_found(metrics.counter(kMessages, kMessagesHelp, {{"result", "rule_not_found"}})),
      dropped_failure(metrics.counter(kMessages, kMessagesHelp, {{"result", "failed_and_dropped"}})) {
  static constexpr const char* kKinds[] = {"firehose", "republish", "s3", "sns"};
  static constexpr const char* kResults[] = {"success", "failure", "retry", "error_action_success",
                                             "error_action_failure"};
  for (size_t kind = 0; kind < actions_.size(); ++kind) {
    for (size_t result = 0; result < actions_[kind].size(); ++result) {
      actions_[kind][result] =
          &metrics.counter(kActions, kActionsHelp, {{"action", kKinds[kind]}, {"result", kResults[result]}});
    }
  }
}

}  // namespace fleetward::pipeline
