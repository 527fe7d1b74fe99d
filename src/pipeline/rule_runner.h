#pragma once

#include <cstdint>
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
#include "pipeline/action_record.h"
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
//   republish  a message in the replies: the broker publishes it, counts its hops, brings it back to rules
//   s3, sns    a record on the log stream "actions", in the batch, for ActionStage
// What fails fires the rule's error action, once for the run with every failure: at once, or by ActionStage
// if the run has s3 or sns actions. Nothing here blocks.
//
// One per thread (caches are not locked): what was looked up is kept until the store's snapshot changes, so
// that `SELECT *` to a stream costs no parsing, no policy evaluation and no search.
class RuleRunner {
 public:
  explicit RuleRunner(const RuleServices& services);
  RuleRunner(const RuleRunner&) = delete;
  RuleRunner& operator=(const RuleRunner&) = delete;

  // Every enabled rule whose FROM matches the event's topic. `account` and `entropy` of the event are filled
  // in here; `chain` is the message's. Answers Verdict::deferred.
  size_t run(rules::Event event, const Chain& chain, log::Batch& batch,
             std::vector<broker::MessagePtr>& replies);
  // Whether there is such a rule, enabled.
  bool has_rule(std::string_view rule);
  // Basic Ingest: that rule only, whatever its FROM. An unknown or disabled rule loses the message, counted.
  size_t run_basic_ingest(std::string_view rule, rules::Event event, const Chain& chain, log::Batch& batch,
                          std::vector<broker::MessagePtr>& replies);
  // For ActionStage: the error action of a finished run after its last failure, or the end of the message,
  // counted. `now` is the time of what is appended.
  void run_error_action(const ActionRecord& run, Timestamp now, log::Batch& batch,
                        std::vector<broker::MessagePtr>& replies);
  // The same question the actions ask: may `role` do `action` on `resource` for this rule? Remembered until
  // the snapshot changes, unless the resource has a policy of its own, which may change at any time.
  Status allowed(std::string_view rule, std::string_view role, std::string_view action,
                 std::string_view resource, const identity::PolicyDocument* resource_policy = nullptr);
  RuleMetrics& metrics() { return metrics_; }

 private:
  static constexpr size_t kGrantsMax =
      4096;  // decisions remembered; templates can make any number of resources

  struct Effects {
    log::Batch& batch;
    std::vector<broker::MessagePtr>& replies;
    Timestamp now;
    std::vector<ActionRecord> deferred;  // for the log, once all that comes of the message is known
    size_t deferred_messages = 0;        // that may come of them
    uint32_t hops = 0;                   // of replies; 0: the broker knows
    size_t offspring_max = 0;
  };
  // What is remembered of one resource under one role.
  struct Grant {
    const delivery::Stream* stream = nullptr;  // firehose only
    Status allowed;
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  void refresh();
  void defer(const rules::Rule& rule, ActionRecord record, Effects& effects);
  // Appends what was deferred; answers Verdict::deferred.
  static size_t finish(const Chain& chain, size_t replies_before, Effects& effects);
  void run_rule(const rules::Rule& rule, const rules::Message& message, Effects& effects);
  // Firehose and republish happen here; s3 and sns join `deferred`. What goes wrong joins `failures`.
  void perform(const rules::Rule& rule, rules::Evaluation& evaluation, bool is_error_action, Effects& effects,
               ActionRecord& deferred);
  Status put_records(const rules::Rule& rule, const std::string& role, rules::FirehoseCall& call,
                     Effects& effects);
  Status republish(const rules::Rule& rule, const std::string& role, rules::RepublishCall& call,
                   Effects& effects);
  void fire_error_action(const rules::Rule& rule, const rules::Message& message,
                         const std::vector<rules::ActionFailure>& failures, Effects& effects);
  const Grant& grant(std::string_view rule, std::string_view role, std::string_view action,
                     std::string_view stream, std::string_view resource);
  identity::MapContext role_context(std::string_view rule) const;
  void drop(std::string_view rule, const std::vector<rules::ActionFailure>& failures, Timestamp now);

  RuleServices services_;
  RuleMetrics metrics_;
  state::SnapshotPtr snapshot_;
  std::unique_ptr<const rules::RuleIndex> index_;
  std::unordered_map<std::string, Grant, TextHash, std::equal_to<>> grants_;
  std::string grant_key_;                    // reused, so that a look-up does not allocate
  std::vector<const rules::Rule*> matched_;  // reused
  uint64_t entropy_base_ = 0, entropy_count_ = 0;
  Timestamp logged_;  // failures are told at most once a second
  uint64_t unlogged_ = 0;
};

}  // namespace fleetward::pipeline
