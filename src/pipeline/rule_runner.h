#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/hooks.h"
#include "core/ids.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/random.h"
#include "delivery/stream.h"
#include "identity/authorizer.h"
#include "log/log.h"
#include "pipeline/rule_metrics.h"
#include "rules/evaluate.h"
#include "rules/index.h"
#include "state/store.h"

namespace fleetward::pipeline {

// What rules need to act. The references outlive every runner.
struct RuleServices {
  const state::Store& store;
  rules::Tables rules;
  delivery::Tables streams;
  const identity::Authorizer& authorizer;
  AccountScope account;
  Random& random;
  Logger& logger;
  Metrics& metrics;
};

// Runs rules over a message and adds what they do to the caller's batch and replies:
//   firehose   a record on the delivery stream, in the batch
//   republish  a message in the replies
//   s3, sns    a record on the log stream "actions", in the batch, for ActionStage
// Failures fire the rule's error action the same way. Nothing here blocks.
//
// One per thread (caches are not locked): what it looked up is kept until the store's snapshot changes, so
// that `SELECT *` to a stream costs no parsing, no policy evaluation and no search.
class RuleRunner {
 public:
  explicit RuleRunner(const RuleServices& services);
  RuleRunner(const RuleRunner&) = delete;
  RuleRunner& operator=(const RuleRunner&) = delete;

  // Every enabled rule whose FROM matches the event's topic. `event.account` and `event.entropy` are filled
  // in here.
  void run(rules::Event event, log::Batch& batch, std::vector<broker::MessagePtr>& replies);
  // Basic Ingest: that rule only, whatever its FROM. An unknown or disabled rule loses the message, counted.
  void run_basic_ingest(std::string_view rule, rules::Event event, log::Batch& batch,
                        std::vector<broker::MessagePtr>& replies);
  // For ActionStage: the rule's error action after its last failure; `event.entropy` as it was in the run.
  void run_error_action(std::string_view rule, const rules::Event& event,
                        const std::vector<rules::ActionFailure>& failures, log::Batch& batch,
                        std::vector<broker::MessagePtr>& replies);

 private:
  struct Effects {
    log::Batch& batch;
    std::vector<broker::MessagePtr>& replies;
    Timestamp now;
  };
  // What is remembered of one resource under one role.
  struct Grant {
    const delivery::Stream* stream = nullptr;  // firehose only; null: not there or not active
    Status allowed;
  };

  void refresh();
  void complete(rules::Event& event);
  void run_rule(const rules::Rule& rule, const rules::Message& message, Effects& effects);
  // True if done; else why not, in `reason`.
  bool perform(const rules::Rule& rule, rules::ActionCall& call, Effects& effects, std::string& reason);
  bool put_records(const rules::Rule& rule, const std::string& role, rules::FirehoseCall& call,
                   Effects& effects, std::string& reason);
  bool republish(const rules::Rule& rule, const std::string& role, rules::RepublishCall& call,
                 Effects& effects, std::string& reason);
  void fail_rule(const rules::Rule& rule, const rules::Message& message,
                 const std::vector<rules::ActionFailure>& failures, Effects& effects);
  const Grant& grant(const rules::Rule& rule, std::string_view role, std::string_view action,
                     std::string_view resource);

  RuleServices services_;
  RuleMetrics& counters();

  std::unique_ptr<RuleMetrics> metrics_;
  state::SnapshotPtr snapshot_;
  std::shared_ptr<const rules::RuleIndex> index_;
  std::unordered_map<std::string, Grant> grants_;  // at most kGrantsMax, then dropped
  std::string grant_key_;                          // reused, so that a look-up does not allocate
  std::vector<const rules::Rule*> matched_;        // reused
  uint64_t entropy_base_ = 0, entropy_count_ = 0;
};

}  // namespace fleetward::pipeline
