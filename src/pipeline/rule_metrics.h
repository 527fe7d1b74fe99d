#pragma once

#include <array>
#include <cstddef>

#include "core/metrics.h"

namespace fleetward::pipeline {

enum class RuleActionKind { kFirehose, kRepublish, kS3, kSns };
enum class RuleActionResult { kSuccess, kFailure, kRetry, kErrorActionSuccess, kErrorActionFailure };

// fleetward_rule_actions_total{action, result} and fleetward_rule_messages_total{result}: bounded labels,
// never a rule's name. Names follow the service's own metrics (Success, Failure, ErrorActionSuccess,
// ErrorActionFailure; TopicMatch, RulesExecuted, RuleNotFound). Instances share the counters.
class RuleMetrics {
 public:
  explicit RuleMetrics(Metrics& metrics);

  void action(RuleActionKind kind, RuleActionResult result, double count = 1) {
    actions_[static_cast<size_t>(kind)][static_cast<size_t>(result)]->Increment(count);
  }
  prometheus::Counter& topic_match;      // a rule's FROM matched (or it was named by Basic Ingest)
  prometheus::Counter& executed;         // and its WHERE let the message pass
  prometheus::Counter& rule_not_found;   // Basic Ingest to no enabled rule: the message is lost
  prometheus::Counter& dropped_failure;  // failed and no error action, or that failed too

 private:
  std::array<std::array<prometheus::Counter*, 5>, 4> actions_;
};

}  // namespace fleetward::pipeline
