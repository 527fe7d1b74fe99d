#include "broker/commit_gate.h"

namespace fleetward::broker {

CommitGate::CommitGate(log::Log& log, size_t gathering_bytes_max, Duration retry_interval, ShardStats& stats,
                       std::function<void(Status)> report)
    : log_(log),
      gathering_bytes_max_(gathering_bytes_max),
      retry_interval_(retry_interval),
      stats_(stats),
      report_(std::move(report)) {}

void CommitGate::submit(Timestamp now) {
  if (in_flight_) {
    if (!awaiting_ && now >= retry_at_) send();
    return;
  }
  if (gathering_.empty()) return;
  sent_ = std::move(gathering_);
  gathering_ = log::Batch{};
  sent_waiters_.swap(waiters_);
  waiters_.clear();
  in_flight_ = true;
  send();
}

void CommitGate::send() {
  awaiting_ = true;
  log_.submit(sent_, [report = report_](const log::Committed& committed) {
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
  sent_ = log::Batch{};
  std::vector<Waiter> out;
  out.swap(sent_waiters_);
  return out;
}

}  // namespace fleetward::broker
