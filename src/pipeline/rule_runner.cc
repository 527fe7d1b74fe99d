#include "pipeline/rule_runner.h"

#include <cstring>

namespace fleetward::pipeline {
namespace {

constexpr std::string_view kService = "iot.amazonaws.com";

RuleActionKind kind_of(const rules::Action& action) {
  return static_cast<RuleActionKind>(action.index());
}

ActionTask task_of(const rules::Action& action, rules::ActionCall& call) {
  ActionTask task;
  task.role_arn = rules::action_role(action);
  if (auto* s3 = std::get_if<rules::S3Call>(&call.call)) {
    task.kind = ActionTask::Kind::kS3;
    task.resource = std::move(s3->bucket);
    task.key = std::move(s3->key);
    task.canned_acl = std::move(s3->canned_acl);
    task.body = std::move(s3->body);
  } else {
    auto& sns = std::get<rules::SnsCall>(call.call);
    task.kind = ActionTask::Kind::kSns;
    task.resource = std::move(sns.target_arn);
    task.json_format = sns.json_format;
    task.body = std::move(sns.body);
  }
  return task;
}

}  // namespace

RuleRunner::RuleRunner(const RuleServices& services) : services_(services), metrics_(services.metrics) {
  const std::string seed = services_.random.bytes(sizeof entropy_base_);
  std::memcpy(&entropy_base_, seed.data(), sizeof entropy_base_);
}

// Looks whether the control state moved on. Decisions depend on roles, streams and rules, so they are dropped
// with any change; the index only with a change of the rules.
void RuleRunner::refresh() {
  state::SnapshotPtr now = services_.store.snapshot();
  if (now == snapshot_) return;
  const auto& rules = now->get(services_.rules.rules);
  if (!index_ || &rules != &snapshot_->get(services_.rules.rules)) {
    index_ = std::make_unique<const rules::RuleIndex>(rules);
  }
  grants_.clear();
  snapshot_ = std::move(now);
}

size_t RuleRunner::run(rules::Event event, const Chain& chain, log::Batch& batch,
                       std::vector<broker::MessagePtr>& replies) {
  refresh();
  if (index_->empty()) return 0;
  matched_.clear();
  index_->match(event.topic, matched_);
  if (matched_.empty()) return 0;
  event.account = services_.account.account.str();
  event.entropy[0] = entropy_base_;
  event.entropy[1] = ++entropy_count_ * 0x9E3779B97F4A7C15ULL ^ static_cast<uint64_t>(event.now.ms);
  const rules::Message message(event);
  Effects effects{.batch = batch, .replies = replies, .now = event.now};
  const size_t replies_before = replies.size();
  for (const rules::Rule* rule : matched_) run_rule(*rule, message, effects);
  return finish(chain, replies_before, effects);
}

bool RuleRunner::has_rule(std::string_view name) {
  refresh();
  return index_->find_enabled(name) != nullptr;
}

size_t RuleRunner::run_basic_ingest(std::string_view name, rules::Event event, const Chain& chain,
                                    log::Batch& batch, std::vector<broker::MessagePtr>& replies) {
  refresh();
  const rules::Rule* rule = index_->find_enabled(name);
  if (rule == nullptr) {
    metrics_.rule_not_found.Increment();
    return 0;
  }
  event.account = services_.account.account.str();
  event.entropy[0] = entropy_base_;
  event.entropy[1] = ++entropy_count_ * 0x9E3779B97F4A7C15ULL ^ static_cast<uint64_t>(event.now.ms);
  const rules::Message message(event);
  Effects effects{.batch = batch, .replies = replies, .now = event.now};
  const size_t replies_before = replies.size();
  run_rule(*rule, message, effects);
  return finish(chain, replies_before, effects);
}

void RuleRunner::defer(const rules::Rule& rule, ActionRecord record, Effects& effects) {
  record.rule = rule.name;
  const bool may_fail_loudly = !record.is_error_action && rule.error_action;
  effects.deferred_messages += record.tasks.size() + (may_fail_loudly ? 1 : 0);
  effects.deferred.push_back(std::move(record));
}

size_t RuleRunner::finish(const Chain& chain, size_t replies_before, Effects& effects) {
  if (effects.deferred.empty()) return 0;
  const size_t messages = effects.replies.size() - replies_before + effects.deferred_messages;
  const Chain made{chain.hops + 1, broker::offspring_share(chain.hops, chain.offspring_max, messages)};
  for (ActionRecord& record : effects.deferred) {
    record.made = made;
    effects.batch.append(actions_partition(), encode_action_record(record), effects.now);
  }
  return effects.deferred_messages;
}

void RuleRunner::run_rule(const rules::Rule& rule, const rules::Message& message, Effects& effects) {
  metrics_.topic_match.Increment();
  rules::Evaluation evaluation = rules::evaluate(rule, message);
  if (!evaluation.matched) return;
  metrics_.executed.Increment();
  ActionRecord deferred;
  perform(rule, evaluation, false, effects, deferred);
  if (!deferred.tasks.empty()) {
    deferred.failures = std::move(evaluation.failures);
    if (rule.error_action) deferred.event = StoredEvent::of(message.event());
    defer(rule, std::move(deferred), effects);
  } else if (!evaluation.failures.empty()) {
    fire_error_action(rule, message, evaluation.failures, effects);
  }
}

void RuleRunner::perform(const rules::Rule& rule, rules::Evaluation& evaluation, bool is_error_action,
                         Effects& effects, ActionRecord& deferred) {
  const auto good = is_error_action ? RuleActionResult::kErrorActionSuccess : RuleActionResult::kSuccess;
  const auto bad = is_error_action ? RuleActionResult::kErrorActionFailure : RuleActionResult::kFailure;
  // What could not even be resolved.
  for (const rules::ActionFailure& failure : evaluation.failures) {
    for (const rules::Action& action : rule.actions) {
      if (rules::action_type(action) != failure.action) continue;
      metrics_.action(kind_of(action), bad);
      break;
    }
  }
  for (rules::ActionCall& call : evaluation.calls) {
    const std::string& role = rules::action_role(*call.action);
    Status done;
    if (auto* firehose = std::get_if<rules::FirehoseCall>(&call.call)) {
      done = put_records(rule, role, *firehose, effects);
    } else if (auto* message = std::get_if<rules::RepublishCall>(&call.call)) {
      done = republish(rule, role, *message, effects);
    } else {
      deferred.tasks.push_back(task_of(*call.action, call));
      continue;
    }
    metrics_.action(kind_of(*call.action), done ? good : bad);
    if (!done) {
      evaluation.failures.push_back({std::string(rules::action_type(*call.action)),
                                     std::string(rules::call_resource(call)), done.error().message});
    }
  }
}

Status RuleRunner::put_records(const rules::Rule& rule, const std::string& role, rules::FirehoseCall& call,
                               Effects& effects) {
  const Grant& known = grant(rule.name, role, call.batch ? "firehose:PutRecordBatch" : "firehose:PutRecord",
                             call.stream_name, {});
  if (!known.allowed) return known.allowed;
  if (known.stream == nullptr) {
    return fail(ErrorCode::kNotFound,
                "the delivery stream " + call.stream_name + " does not exist or is not active");
  }
  for (const std::string& record : call.records) {
    if (record.size() > delivery::kRecordBytesMax) {
      return fail(ErrorCode::kLimitExceeded, "a record is larger than a delivery stream takes");
    }
  }
  for (std::string& record : call.records) {
    delivery::append(effects.batch, *known.stream, std::move(record), effects.now);
  }
  return {};
}

Status RuleRunner::republish(const rules::Rule& rule, const std::string& role, rules::RepublishCall& call,
                             Effects& effects) {
  const std::string resource = services_.account.arn("iot", "topic/" + call.topic);
  refresh();
  if (const Status& ok = grant(rule.name, role, "iot:Publish", {}, resource).allowed; !ok) return ok;
  auto message = std::make_shared<broker::Message>();
  message->topic = call.topic;
  message->payload = std::move(call.payload);
  message->qos = call.qos;
  message->content_type = std::move(call.content_type);
  message->response_topic = std::move(call.response_topic);
  message->correlation_data = std::move(call.correlation_data);
  message->payload_is_utf8 = call.payload_is_utf8;
  message->user_properties = std::move(call.user_properties);
  message->expiry_seconds = call.expiry_seconds;
  message->hops = effects.hops;
  message->offspring_max = effects.offspring_max;
  effects.replies.push_back(std::move(message));
  return {};
}

Status RuleRunner::allowed(std::string_view rule, std::string_view role, std::string_view action,
                           std::string_view resource, const identity::PolicyDocument* resource_policy) {
  if (resource_policy != nullptr) {
    return services_.authorizer.authorize_role(role, kService, action, resource, role_context(rule),
                                               resource_policy);
  }
  refresh();
  return grant(rule, role, action, {}, resource).allowed;
}

// What trust policies may ask about a rule.
identity::MapContext RuleRunner::role_context(std::string_view rule) const {
  identity::MapContext context;
  context.set("aws:SourceArn", services_.account.arn("iot", "rule/" + std::string(rule)));
  context.set("aws:SourceAccount", services_.account.account.str());
  return context;
}

// Either a stream by its name or a resource by its ARN.
const RuleRunner::Grant& RuleRunner::grant(std::string_view rule, std::string_view role,
                                           std::string_view action, std::string_view stream,
                                           std::string_view resource) {
  grant_key_.clear();
  for (const std::string_view part : {rule, role, action, stream, resource}) {
    grant_key_.append(part).push_back('\0');
  }
  if (const auto found = grants_.find(std::string_view(grant_key_)); found != grants_.end())
    return found->second;
  if (grants_.size() >= kGrantsMax) grants_.clear();
  Grant fresh;
  std::string arn(resource);
  if (!stream.empty()) {
    arn = services_.account.arn("firehose", "deliverystream/" + std::string(stream));
    fresh.stream = delivery::find_active(*snapshot_, services_.streams, stream);
  }
  fresh.allowed = services_.authorizer.authorize_role(role, kService, action, arn, role_context(rule));
  return grants_.emplace(grant_key_, std::move(fresh)).first->second;
}

void RuleRunner::fire_error_action(const rules::Rule& rule, const rules::Message& message,
                                   const std::vector<rules::ActionFailure>& failures, Effects& effects) {
  if (!rule.error_action) {
    drop(rule.name, failures, effects.now);
    return;
  }
  rules::Evaluation evaluation = rules::evaluate_error_action(rule, message, failures);
  for (size_t i = 0; i < evaluation.failures.size(); ++i) {
    metrics_.action(kind_of(*rule.error_action), RuleActionResult::kErrorActionFailure);
  }
  std::vector<rules::ActionFailure> unresolved = std::move(evaluation.failures);
  evaluation.failures.clear();
  ActionRecord deferred;
  perform(rule, evaluation, true, effects, deferred);
  if (!deferred.tasks.empty()) {
    deferred.is_error_action = true;
    defer(rule, std::move(deferred), effects);
    return;
  }
  for (auto& failure : evaluation.failures) unresolved.push_back(std::move(failure));
  if (!unresolved.empty()) drop(rule.name, unresolved, effects.now);
}

void RuleRunner::run_error_action(const ActionRecord& run, Timestamp now, log::Batch& batch,
                                  std::vector<broker::MessagePtr>& replies) {
  refresh();
  const rules::Rule* rule = snapshot_->get(services_.rules.rules).find(run.rule);
  if (rule == nullptr) {  // deleted meanwhile
    drop(run.rule, run.failures, now);
    return;
  }
  rules::Event event = run.event.view();
  event.account = services_.account.account.str();
  const rules::Message message(event);
  Effects effects{.batch = batch,
                  .replies = replies,
                  .now = now,
                  .hops = run.made.hops,
                  .offspring_max = run.made.offspring_max};
  fire_error_action(*rule, message, run.failures, effects);
  for (ActionRecord& record : effects.deferred) {  // the error action's own: of the same hop
    record.made = run.made;
    batch.append(actions_partition(), encode_action_record(record), now);
  }
}

void RuleRunner::drop(std::string_view rule, const std::vector<rules::ActionFailure>& failures,
                      Timestamp now) {
  metrics_.dropped_failure.Increment();
  constexpr Duration kQuiet{1000};
  if (logged_.ms != 0 && now - logged_ < kQuiet && now >= logged_) {
    ++unlogged_;
    return;
  }
  logged_ = now;
  const rules::ActionFailure none;
  const rules::ActionFailure& first = failures.empty() ? none : failures.front();
  services_.logger.warn("rule_failed", {{"rule", rule},
                                        {"action", first.action},
                                        {"resource", first.resource},
                                        {"reason", first.message},
                                        {"others_not_logged", std::to_string(unlogged_)}});
  unlogged_ = 0;
}

}  // namespace fleetward::pipeline
