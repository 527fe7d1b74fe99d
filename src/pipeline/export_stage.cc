#include "pipeline/export_stage.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "export/export_record.h"
#include "rules/index.h"

namespace fleetward::pipeline {
namespace {

constexpr const char* kConsumer = "export";

log::Partition exports_of(uint32_t index) {
  return {"exports", index};
}

// Batches close a little after the interval's boundary, so that the values of a detect tick at that boundary
// go out with it and not an interval later.
Timestamp next_close(Timestamp now, Duration interval) {
  const int64_t phase = std::min<int64_t>(interval.count() / 10, 5000);
  return {((now.ms - phase) / interval.count() + 1) * interval.count() + phase};
}

}  // namespace

struct ExportStage::Counters {
  explicit Counters(Metrics& metrics)
      : published(messages(metrics, "published")),
        refused(messages(metrics, "refused")),
        no_rule(messages(metrics, "no_rule")),
        unavailable(messages(metrics, "unavailable")),
        datapoints(metrics.counter("fleetward_export_datapoints_total", "Exported datapoints, published.")),
        oversize(metrics.counter("fleetward_export_oversize_total",
                                 "Datapoints left out because one alone is larger than a message.")),
        corrupt(metrics.counter("fleetward_export_corrupt_records_total",
                                "Records of the exports stream that do not parse.")) {}
  static prometheus::Counter& messages(Metrics& metrics, const char* result) {
    return metrics.counter(
        "fleetward_export_messages_total",
        "Export messages: published; dropped because the role or topic refused them, because "
        "there is no such rule, enabled, or because the broker was away.",
        {{"result", result}});
  }
  prometheus::Counter &published, &refused, &no_rule, &unavailable, &datapoints, &oversize, &corrupt;
};

struct ExportStage::Outgoing {
  exporting::Payload payload;
  enum class State { kWaiting, kPublished, kDropped } state = State::kWaiting;
  uint32_t attempts = 0;
  bool no_rule = false;  // why the latest attempt was refused
};

// What of one partition's stream is in the batch.
struct ExportStage::Position {
  uint32_t partition = 0;
  log::Offset first = 0, next = 0;
};

ExportStage::ExportStage(ExportStageOptions options, log::Log& log, const RuleServices& services,
                         broker::InternalPublisher& publisher, const Clock& clock)
    : options_(options),
      log_(log),
      services_(services),
      publisher_(publisher),
      clock_(clock),
      runner_(services),
      counters_(std::make_unique<Counters>(services.metrics)),
      batcher_(options.batch) {
  for (uint32_t i = 0; i < options_.partitions; ++i) {
    const log::Offset committed = log_.committed(kConsumer, exports_of(i));
    positions_.push_back({i, committed, committed});
  }
}

ExportStage::~ExportStage() {
  stop();
}

void ExportStage::start() {
  thread_.start(log_, "exports", [this] { run(); });
}

void ExportStage::stop() {
  thread_.stop();
}

bool ExportStage::wait_for_work(bool failed) {
  if (failed) return thread_.pause(options_.retry_interval);
  // What is due is looked at this often; new records wake it, but wait for their interval anyhow.
  return thread_.wait(std::clamp(options_.interval / 20, Duration{20}, Duration{1000}));
}

void ExportStage::run() {
  bool failed = false;
  while (wait_for_work(failed)) {
    auto stepped = step();
    while (stepped && *stepped) stepped = step();
    if (!stepped && !failed) services_.logger.error("export.stalled", {{"reason", stepped.error().message}});
    if (stepped && failed) services_.logger.info("export.resumed");
    failed = !stepped;
  }
}

Result<bool> ExportStage::step() {
  bool more = false;
  if (!closed_) {
    for (Position& position : positions_) {
      const auto read = read_points(position);
      if (!read) return fail(read.error());
      more = more || *read;
    }
    // Never later than the next boundary from now, so that a wall clock set back does not hold the batch.
    if (close_at_.ms != 0) close_at_ = std::min(close_at_, next_close(clock_.now(), options_.interval));
    const bool due = close_at_.ms != 0 && clock_.now() >= close_at_;
    if (due || batcher_.bytes() >= options_.batch_bytes_max) close_batch();
  }
  if (closed_ && publish_batch()) {
    if (auto ok = commit_batch(); !ok) return fail(ok.error());
  }
  return more;
}

Result<bool> ExportStage::read_points(Position& position) {
  if (batcher_.bytes() >= options_.batch_bytes_max) return false;
  auto records = log_.read(exports_of(position.partition), position.next, options_.read_bytes_max);
  if (!records) return fail(records.error());
  for (const log::Record& record : *records) {
    auto ok =
        exporting::read_record(record.value, [&](const exporting::Point& point) { batcher_.add(point); });
    if (!ok) {
      counters_->corrupt.Increment();
      services_.logger.error("export.corrupt_record", {{"partition", std::to_string(position.partition)},
                                                       {"offset", std::to_string(record.offset)},
                                                       {"reason", ok.error().message}});
    }
    position.next = record.offset + 1;
  }
  if (!records->empty() && close_at_.ms == 0) close_at_ = next_close(clock_.now(), options_.interval);
  return !records->empty();
}

void ExportStage::close_batch() {
  std::string seed;
  for (const Position& p : positions_) {
    seed += std::to_string(p.partition) + "/" + std::to_string(p.first) + "-" + std::to_string(p.next) + " ";
  }
  size_t oversize = 0;
  for (exporting::Payload& payload : batcher_.finish(seed, oversize))
    outgoing_.push_back({std::move(payload)});
  if (oversize > 0) {
    counters_->oversize.Increment(static_cast<double>(oversize));
    services_.logger.warn("export.oversize", {{"datapoints", std::to_string(oversize)}});
  }
  closed_ = true;
  close_at_ = try_at_ = {};
}

bool ExportStage::publish_batch() {
  try_at_ = std::min(try_at_, clock_.now() + options_.retry_interval);
  if (clock_.now() < try_at_) return false;
  bool all = true;
  for (Outgoing& outgoing : outgoing_) {
    if (outgoing.state != Outgoing::State::kWaiting) continue;
    if (auto ok = publish_payload(outgoing); !ok) refuse(outgoing, ok.error());
    all = all && outgoing.state != Outgoing::State::kWaiting;
  }
  if (!all) try_at_ = clock_.now() + options_.retry_interval;
  return all;
}

Status ExportStage::publish_payload(Outgoing& outgoing) {
  const exporting::Payload& payload = outgoing.payload;
  outgoing.no_rule = false;
  identity::MapContext context;
  context.set("aws:SourceAccount", services_.account.account.str());
  context.set("aws:SourceArn", services_.account.arn("iot", "securityprofile/" + payload.profile));
  auto allowed =
      services_.authorizer.authorize_role(payload.role_arn, "iot.amazonaws.com", "iot:Publish",
                                          services_.account.arn("iot", "topic/" + payload.topic), context);
  if (!allowed) return allowed;
  const auto basic = rules::parse_basic_ingest(payload.topic);
  outgoing.no_rule = basic && !runner_.has_rule(basic->rule);
  if (outgoing.no_rule) {
    return fail(ErrorCode::kNotFound, "there is no rule " + std::string(basic->rule) + ", or it is disabled");
  }
  if (!basic) {
    if (auto ok = hand_to_subscribers(payload); !ok) return ok;
  }
  outgoing.state = Outgoing::State::kPublished;
  refused_.erase({payload.role_arn, payload.topic});
  return {};
}

Status ExportStage::hand_to_subscribers(const exporting::Payload& payload) {
  auto message = std::make_shared<broker::Message>();
  message->topic = payload.topic;
  message->payload = payload.body;
  message->qos = 1;
  message->subscribers_only = true;
  struct Answer {
    std::mutex mutex;
    std::condition_variable given;
    bool done = false;
    Status status;
  };
  const auto answer = std::make_shared<Answer>();
  publisher_.publish(std::move(message), [answer](Status status) {
    const std::lock_guard lock(answer->mutex);
    answer->status = std::move(status);
    answer->done = true;
    answer->given.notify_one();
  });
  std::unique_lock lock(answer->mutex);
  if (!answer->given.wait_for(lock, options_.publish_timeout, [&] { return answer->done; })) {
    return fail(ErrorCode::kUnavailable, "the broker did not answer in time");
  }
  return answer->status;
}

void ExportStage::refuse(Outgoing& outgoing, const Error& why) {
  const exporting::Payload& payload = outgoing.payload;
  // The broker refuses for as long as the log does: nothing is wrong with the payload.
  if (why.code == ErrorCode::kUnavailable && !log_.trouble().empty()) return;
  const bool known = refused_.contains({payload.role_arn, payload.topic});
  if (++outgoing.attempts < options_.attempts_max && !known) return;
  outgoing.state = Outgoing::State::kDropped;
  const bool refused = why.code != ErrorCode::kUnavailable;
  if (refused && refused_.size() < kRefusedMax) refused_.emplace(payload.role_arn, payload.topic);
  (outgoing.no_rule ? counters_->no_rule : refused ? counters_->refused : counters_->unavailable).Increment();
  services_.logger.error("export.dropped", {{"topic", payload.topic},
                                            {"role", payload.role_arn},
                                            {"profile", payload.profile},
                                            {"metric", payload.series},
                                            {"datapoints", std::to_string(payload.elements)},
                                            {"attempts", std::to_string(outgoing.attempts)},
                                            {"reason", why.message}});
}

void ExportStage::run_rules(const exporting::Payload& payload) {
  rules::Event event;
  event.topic = payload.topic;
  event.payload = payload.body;
  event.now = clock_.now();
  const auto basic = rules::parse_basic_ingest(payload.topic);
  const Chain chain{0, broker::kRepublishMessagesMax};
  if (!basic) {
    runner_.run(event, chain, *commit_, replies_);
    return;
  }
  event.topic = basic->rest;
  runner_.run_basic_ingest(basic->rule, event, chain, *commit_, replies_);
}

void ExportStage::prepare_commit() {
  if (commit_) return;
  commit_.emplace();
  for (const Outgoing& outgoing : outgoing_) {
    if (outgoing.state == Outgoing::State::kPublished) run_rules(outgoing.payload);
  }
  for (const Position& p : positions_) {
    if (p.next == p.first) continue;
    commit_->commit(kConsumer, exports_of(p.partition), p.next);
    commit_->truncate(exports_of(p.partition), p.next);
  }
  commit_->make_repeatable();
}

Status ExportStage::commit_batch() {
  prepare_commit();
  if (auto done = log_.write(*commit_); !done) return fail(done.error());
  commit_.reset();
  for (broker::MessagePtr& reply : replies_) publisher_.publish(std::move(reply), {});
  replies_.clear();
  for (const Outgoing& outgoing : outgoing_) {
    if (outgoing.state != Outgoing::State::kPublished) continue;
    counters_->published.Increment();
    counters_->datapoints.Increment(static_cast<double>(outgoing.payload.elements));
    services_.logger.debug("export.published", {{"batch", outgoing.payload.batch_id},
                                                {"topic", outgoing.payload.topic},
                                                {"metric", outgoing.payload.series},
                                                {"datapoints", std::to_string(outgoing.payload.elements)}});
  }
  outgoing_.clear();
  closed_ = false;
  for (Position& p : positions_) p.first = p.next;
  return {};
}

}  // namespace fleetward::pipeline
