#include "pipeline/action_queue.h"

#include <algorithm>

namespace fleetward::pipeline {
namespace {

bool is_transient(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kThrottled ||
         error.code == ErrorCode::kInternal;
}

size_t bytes_of(const ActionRecord& record) {
  size_t total = record.event.payload.size() + 256;
  for (const ActionTask& task : record.tasks) total += task.body.size();
  return total;
}

}  // namespace

void ActionQueue::add(log::Offset offset, ActionRecord record, Timestamp now) {
  Pending pending;
  pending.bytes = bytes_of(record);
  pending.tasks.assign(record.tasks.size(), TaskState{false, 0, now});
  pending.open = record.tasks.size();
  pending.record = std::move(record);
  bytes_ += pending.bytes;
  pending_.emplace(offset, std::move(pending));
  next_ = offset + 1;
  settle();
}

void ActionQueue::skip(log::Offset offset) {
  next_ = offset + 1;
  settle();
}

void ActionQueue::settle() {
  committed_ = pending_.empty() ? next_ : pending_.begin()->first;
}

bool ActionQueue::has_room() const {
  return pending_.size() < options_.window_records_max && bytes_ < options_.window_bytes_max;
}

std::optional<ActionQueue::Attempt> ActionQueue::due(Timestamp now) const {
  std::optional<Attempt> best;
  Timestamp best_due;
  for (const auto& [offset, pending] : pending_) {
    for (size_t i = 0; i < pending.tasks.size(); ++i) {
      const TaskState& task = pending.tasks[i];
      if (task.ended || task.due > now || (best && task.due >= best_due)) continue;
      best = Attempt{offset, i};
      best_due = task.due;
    }
  }
  return best;
}

std::optional<Timestamp> ActionQueue::next_due() const {
  std::optional<Timestamp> soonest;
  for (const auto& [offset, pending] : pending_) {
    for (const TaskState& task : pending.tasks) {
      if (!task.ended && (!soonest || task.due < *soonest)) soonest = task.due;
    }
  }
  return soonest;
}

Duration ActionQueue::pause_after(uint32_t attempts) const {
  Duration pause = options_.retry_min;
  for (uint32_t i = 1; i < attempts && pause < options_.retry_max; ++i) pause *= 2;
  return std::min(pause, options_.retry_max);
}

ActionQueue::Outcome ActionQueue::finish(const Attempt& attempt, const Status& result, Timestamp now) {
  Pending& pending = pending_.at(attempt.offset);
  TaskState& state = pending.tasks[attempt.task];
  ++state.attempts;
  if (!result && is_transient(result.error()) && state.attempts < options_.attempts_max) {
    state.due = now + pause_after(state.attempts);
    return Outcome::kRetry;
  }
  state.ended = true;
  --pending.open;
  if (result) return Outcome::kDone;
  const ActionTask& task = pending.record.tasks[attempt.task];
  pending.record.failures.push_back(
      {task.kind == ActionTask::Kind::kS3 ? "S3Action" : "SnsAction", task.resource, result.error().message});
  return Outcome::kFailed;
}

std::vector<ActionRecord> ActionQueue::take_finished() {
  std::vector<ActionRecord> out;
  for (auto it = pending_.begin(); it != pending_.end();) {
    if (it->second.open > 0) {
      ++it;
      continue;
    }
    bytes_ -= it->second.bytes;
    out.push_back(std::move(it->second.record));
    it = pending_.erase(it);
  }
  settle();
  return out;
}

}  // namespace fleetward::pipeline
