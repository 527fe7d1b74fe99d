#include "broker/commit_gate.h"

namespace fleetward::broker {

CommitGate::CommitGate(log::Log& log, size_t gathering_bytes_max, Duration retry_interval, ShardStats& stats,
                       std::function<void(Status)> report)
    : log_(log),
      gathering_bytes_max_(gathering_bytes_max),
      retry_interval_(retry_interval),
      stats_(stats),
      report_(std::move(report)) {}

void CommitGate::seal() {
  sealed_marks_ += marks_of(gathering_.batch);
  sealed_bytes_ += gathering_.batch.bytes();
  sealed_.push_back(std::move(gathering_));
  gathering_ = Gathered{};
  ++cuts_;
}

void CommitGate::roll() {
  if (gathering_.batch.bytes() >= (whole_ ? kWholeBytes : kBatchBytes)) seal();
}

void CommitGate::keep_whole(bool whole) {
  whole_ = false;
  roll();
  whole_ = whole;
}

void CommitGate::wait(const Waiter& waiter) {
  // Batches are committed in order: the last one that holds anything stands for all before it.
  std::vector<Waiter>& waiters =
      gathering_.batch.empty() && !sealed_.empty() ? sealed_.back().waiters : gathering_.waiters;
  if (!waiters.empty() && waiters.back().shard == waiter.shard && waiters.back().round == waiter.round) {
    waiters.back().count += waiter.count;
  } else {
    waiters.push_back(waiter);
  }
  roll();
}

void CommitGate::submit(Timestamp now) {
  if (in_flight_) {
    if (!awaiting_ && now >= retry_at_) send();
    return;
  }
  if (sealed_.empty()) {
    if (gathering_.batch.empty()) return;
    seal();
  }
  sent_ = std::move(sealed_.front());
  sealed_.pop_front();
  sealed_bytes_ -= sent_.batch.bytes();
  sent_.batch.make_repeatable();
  in_flight_ = true;
  send();
}

void CommitGate::send() {
  awaiting_ = true;
  log_.submit(sent_.batch, [report = report_](const log::Committed& committed) {
    if (committed) {
      report({});
    } else {
      report(fail(committed.error()));
    }
  });
}

std::vector<Waiter> CommitGate::on_result(const Status& result, Timestamp now) {
  awaiting_ = false;
  if (!result) {
    stats_.commit_failures.add();
    trouble_ = result.error().message.empty() ? "the log refuses writes" : result.error().message;
    retry_at_ = now + retry_interval_;
    return {};
  }
  stats_.commits.add();
  trouble_.clear();
  in_flight_ = false;
  std::vector<Waiter> out;
  out.swap(sent_.waiters);
  sent_ = Gathered{};
  return out;
}

}  // namespace fleetward::broker
