#include "pipeline/action_stage.h"

#include <algorithm>
#include <optional>

#include "pipeline/action_queue.h"
#include "pipeline/action_record.h"
#include "pipeline/stage_thread.h"

namespace fleetward::pipeline {
namespace {

constexpr Duration kReadRetry{1000};
constexpr Duration kWriteRetry{500};

}  // namespace

struct ActionStage::Impl {
  Impl(ActionStageOptions given, log::Log& the_log, const RuleServices& the_services,
       ActionTargets& the_targets, broker::InternalPublisher& the_publisher, const Clock& the_clock,
       const Clock& the_steady)
      : options(given),
        log(the_log),
        services(the_services),
        targets(the_targets),
        publisher(the_publisher),
        clock(the_clock),
        steady(the_steady),
        runner(the_services),
        corrupt(the_services.metrics.counter("fleetward_action_records_corrupt_total",
                                             "Records of the stream 'actions' that could not be read")),
        pending(the_services.metrics.gauge("fleetward_action_records_waiting",
                                           "Records of the stream 'actions' not yet finished")) {}

  void loop();
  void read(ActionQueue& queue);
  void attempt_due(ActionQueue& queue);
  Status perform(const ActionRecord& record, const ActionTask& task);
  // Error actions of what has ended, and the offset; false while the log refuses.
  bool commit(ActionQueue& queue);
  void prepare_commit(ActionQueue& queue);
  void wait(const ActionQueue& queue);

  const ActionStageOptions options;
  log::Log& log;
  RuleServices services;
  ActionTargets& targets;
  broker::InternalPublisher& publisher;
  const Clock& clock;
  const Clock& steady;
  RuleRunner runner;
  prometheus::Counter& corrupt;
  prometheus::Gauge& pending;
  const log::Partition partition = actions_partition();

  // A write, until the log has taken it, and what follows it.
  std::optional<log::Batch> batch;
  std::vector<broker::MessagePtr> replies;
  log::Offset committed = 0;            // with that write
  std::optional<Timestamp> read_again;  // the last read failed

  StageThread thread;
};

ActionStage::ActionStage(ActionStageOptions options, log::Log& log, const RuleServices& services,
                         ActionTargets& targets, broker::InternalPublisher& publisher, const Clock& clock,
                         const Clock& steady)
    : impl_(std::make_unique<Impl>(options, log, services, targets, publisher, clock, steady)) {}

ActionStage::~ActionStage() {
  stop();
}

void ActionStage::start() {
  impl_->thread.start(impl_->log, impl_->partition.stream, [impl = impl_.get()] { impl->loop(); });
}

void ActionStage::stop() {
  impl_->thread.stop();
}

void ActionStage::Impl::loop() {
  committed = log.committed(std::string(kActionsConsumer), partition);
  ActionQueue queue(options, committed);
  while (!thread.stopping()) {
    read(queue);
    attempt_due(queue);
    if (commit(queue)) wait(queue);
  }
}

void ActionStage::Impl::read(ActionQueue& queue) {
  constexpr size_t kReadBytes = 1 << 20;
  read_again.reset();
  while (queue.has_room()) {
    const auto records = log.read(partition, queue.next(), kReadBytes);
    if (!records) {
      services.logger.error("actions_read_failed", {{"reason", records.error().message}});
      read_again = steady.now() + kReadRetry;
      return;
    }
    if (records->empty()) return;
    for (const log::Record& record : *records) {
      if (!queue.has_room()) return;
      auto decoded = decode_action_record(record.value);
      if (decoded) {
        queue.add(record.offset, std::move(*decoded), steady.now());
        continue;
      }
      corrupt.Increment();
      services.logger.error("action_record_corrupt",
                            {{"offset", std::to_string(record.offset)}, {"reason", decoded.error().message}});
      queue.skip(record.offset);
    }
  }
}

void ActionStage::Impl::attempt_due(ActionQueue& queue) {
  // Commits come between rounds, so that what is done is not done again after a crash.
  constexpr int kAttemptsPerRound = 32;
  for (int i = 0; i < kAttemptsPerRound && !thread.stopping(); ++i) {
    const auto attempt = queue.due(steady.now());
    if (!attempt) return;
    const ActionRecord& record = queue.record(attempt->offset);
    const ActionTask& task = record.tasks[attempt->task];
    const bool is_error = record.is_error_action;
    const auto kind = task.kind == ActionTask::Kind::kS3 ? RuleActionKind::kS3 : RuleActionKind::kSns;
    const Status result = perform(record, task);
    switch (queue.finish(*attempt, result, steady.now())) {
      case ActionQueue::Outcome::kDone:
        runner.metrics().action(
            kind, is_error ? RuleActionResult::kErrorActionSuccess : RuleActionResult::kSuccess);
        break;
      case ActionQueue::Outcome::kRetry:
        runner.metrics().action(kind, RuleActionResult::kRetry);
        break;
      case ActionQueue::Outcome::kFailed:
        runner.metrics().action(
            kind, is_error ? RuleActionResult::kErrorActionFailure : RuleActionResult::kFailure);
        break;
    }
  }
}

Status ActionStage::Impl::perform(const ActionRecord& record, const ActionTask& task) {
  if (task.kind == ActionTask::Kind::kS3) {
    const std::string object = "arn:aws:s3:::" + task.resource + "/" + task.key;
    const auto policy = targets.bucket_policy(task.resource);
    if (!policy) return fail(policy.error());
    const Status ok = runner.allowed(record.rule, task.role_arn, "s3:PutObject", object, policy->get());
    if (!ok) return ok;
    return targets.put_object(task.resource, task.key, task.body, task.canned_acl);
  }
  const Status ok = runner.allowed(record.rule, task.role_arn, "sns:Publish", task.resource);
  if (!ok) return ok;
  return targets.publish_sns(task.resource, task.body, task.json_format, record.made);
}

void ActionStage::Impl::prepare_commit(ActionQueue& queue) {
  log::Batch next;
  for (const ActionRecord& record : queue.take_finished()) {
    if (record.failures.empty()) continue;
    if (record.is_error_action) {
      runner.metrics().dropped_failure.Increment();
      const rules::ActionFailure& last = record.failures.back();
      services.logger.warn("rule_error_action_failed",
                           {{"rule", record.rule}, {"resource", last.resource}, {"reason", last.message}});
      continue;
    }
    runner.run_error_action(record, clock.now(), next, replies);
  }
  pending.Set(static_cast<double>(queue.next() - queue.committed()));
  if (queue.committed() == committed && next.empty()) return;
  committed = queue.committed();
  next.commit(std::string(kActionsConsumer), partition, committed);
  next.truncate(partition, committed);
  next.make_repeatable();
  batch = std::move(next);
}

bool ActionStage::Impl::commit(ActionQueue& queue) {
  if (!batch) prepare_commit(queue);
  if (batch && !log.write(*batch)) {
    // The disk is full, say: nothing is lost, the same batch is tried again.
    thread.pause(kWriteRetry);
    return false;
  }
  batch.reset();
  for (auto& message : replies) publisher.publish(std::move(message), {});
  replies.clear();
  return true;
}

void ActionStage::Impl::wait(const ActionQueue& queue) {
  auto due = queue.next_due();
  if (read_again) due = std::min(due.value_or(*read_again), *read_again);
  const Timestamp now = steady.now();
  if (due && *due <= now) return;
  // With a full window only time helps; else a new record wakes us.
  thread.wait(due ? std::optional(*due - now) : std::nullopt);
}

}  // namespace fleetward::pipeline
