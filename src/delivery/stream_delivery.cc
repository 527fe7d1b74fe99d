#include "delivery/stream_delivery.h"

#include <algorithm>
#include <chrono>
#include <exception>

namespace fleetward::delivery {
namespace {

constexpr size_t kReadBytes = size_t{4} << 20;  // of records at once
constexpr Duration kLogRetry{1000};             // after the log refused

}  // namespace

std::string consumer_of(const std::string& stream_id) {
  return "delivery/" + stream_id;
}

std::string pending_key_of(const std::string& stream_id) {
  return "delivery/" + stream_id + "/pending";
}

void add_removal(log::Batch& batch, const std::string& stream_id) {
  batch.erase(pending_key_of(stream_id));
  batch.drop({"records/" + stream_id, 0});
}

StreamDelivery::StreamDelivery(const DeliveryContext& context, std::string stream_id)
    : context_(context), id_(std::move(stream_id)), records_{"records/" + id_, 0} {}

Timestamp StreamDelivery::step(const Stream& stream, uint64_t control_version, const Instant& now) {
  if (!loaded_) {
    if (auto loaded = load(); !loaded) return log_failed(loaded.error(), now);
  }
  retry_early(stream, control_version, now);
  if (pending_) return attempt(stream, now);

  if (auto scanned = scan(stream); !scanned) return log_failed(scanned.error(), now);
  last_error_.clear();
  measure();
  if (buffer_.empty()) return kNever;
  const Timestamp due = due_at(stream, now);
  if (!buffer_.full(stream.destination) && now.steady < due) return due;
  if (auto written = write_pending(plan_object(stream, buffer_, context_.random)); !written) {
    return log_failed(written.error(), now);
  }
  return attempt(stream, now);
}

// The end of the interval since the first record of the buffer. Its arrival is known in wall time; one that
// lies ahead came before that clock was set back.
Timestamp StreamDelivery::due_at(const Stream& stream, const Instant& now) {
  if (!waiting_since_) waiting_since_ = now.steady - std::max(now.wall - buffer_.oldest(), Duration{0});
  return *waiting_since_ + Duration(int64_t{stream.destination.buffer_seconds} * 1000);
}

Status StreamDelivery::load() {
  const log::Offset committed = context_.log.committed(consumer_of(id_), records_);
  auto text = context_.log.get(pending_key_of(id_));
  if (!text) return fail(text.error());
  pending_.reset();
  if (*text) {
    auto pending = Pending::from_text(**text);
    if (!pending) return fail(pending.error());
    if (pending->end > committed) pending_ = std::move(*pending);
  }
  buffer_ = Buffer(pending_ ? pending_->end : committed);
  waiting_since_.reset();
  attempts_ = 0;
  next_attempt_ = {};
  loaded_ = true;
  return {};
}

// Counts records that arrived since the last look, until the buffer is full.
Status StreamDelivery::scan(const Stream& stream) {
  while (!buffer_.full(stream.destination)) {
    auto records = context_.log.read(records_, buffer_.end(), kReadBytes);
    if (!records) return fail(records.error());
    if (records->empty()) return {};
    for (const auto& record : *records) {
      if (!buffer_.add(record, stream.destination)) break;
    }
  }
  return {};
}

Status StreamDelivery::write_pending(Pending pending) {
  log::Batch batch;
  batch.put(pending_key_of(id_), pending.to_text());
  if (auto written = context_.log.write(std::move(batch)); !written) return fail(written.error());
  buffer_ = Buffer(pending.end);
  waiting_since_.reset();
  pending_ = std::move(pending);
  attempts_ = 0;
  next_attempt_ = {};
  return {};
}

// A pause need not be waited for if something was changed that may be the cure.
void StreamDelivery::retry_early(const Stream& stream, uint64_t control_version, const Instant& now) {
  if (pending_ && attempts_ > 0 && control_version != seen_control_version_ &&
      (refused_ || pending_->stream_version != stream.version)) {
    next_attempt_ = std::min(next_attempt_, std::max(now.steady, last_attempt_ + context_.options.retry_min));
  }
  seen_control_version_ = control_version;
}

Timestamp StreamDelivery::attempt(const Stream& stream, const Instant& now) {
  if (now.steady < next_attempt_) {
    measure();
    return next_attempt_;
  }
  if (attempts_ > 0 && pending_->stream_version != stream.version) {
    const uint32_t attempts = attempts_;
    if (auto written = write_pending(replan_object(stream, *pending_, context_.random)); !written) {
      return log_failed(written.error(), now);
    }
    attempts_ = attempts;
  }
  ++attempts_;
  last_attempt_ = now.steady;
  if (auto uploaded = upload(stream); !uploaded) return failed(stream, uploaded.error(), now);
  if (!last_error_.empty()) {
    context_.logger.info("delivery_resumed",
                         {{"stream", stream.name}, {"attempts", std::to_string(attempts_)}});
    last_error_.clear();
  }
  const uint64_t count = pending_->end - pending_->begin;
  if (auto concluded = conclude(); !concluded) return log_failed(concluded.error(), now);
  context_.probe.objects.Increment();
  context_.probe.records.Increment(static_cast<double>(count));
  return now.steady;
}

Status StreamDelivery::upload(const Stream& stream) {
  refused_ = false;
  if (auto allowed = context_.may_put(stream, pending_->role_arn, pending_->bucket, pending_->key);
      !allowed) {
    refused_ = true;
    context_.probe.failed_role.Increment();
    return allowed;
  }
  auto body = build();
  if (!body) return fail(body.error());
  const auto started = std::chrono::steady_clock::now();
  const Status put = context_.sink.put({.bucket = pending_->bucket,
                                        .key = pending_->key,
                                        .content_type = "application/octet-stream",
                                        .content_encoding = {},
                                        .bytes = *body});
  if (!put) {
    refused_ = put.error().code != ErrorCode::kUnavailable;
    context_.probe.failed_store.Increment();
    return put;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  context_.probe.upload_seconds.Observe(took.count());
  context_.probe.object_bytes.Increment(static_cast<double>(body->size()));
  return {};
}

Result<std::string> StreamDelivery::build() const {
  try {
    ObjectBuilder builder(*pending_);
    log::Offset next = pending_->begin;
    while (next < pending_->end) {
      auto records = context_.log.read(records_, next, kReadBytes);
      if (!records) return fail(records.error());
      for (const auto& record : *records) {
        if (record.offset != next || next == pending_->end) break;
        builder.add(record.value);
        ++next;
      }
      if (records->empty() || (next < pending_->end && records->back().offset >= next)) {
        return fail(ErrorCode::kCorrupt,
                    "the log does not hold record " + std::to_string(next) + " of an object under way");
      }
    }
    return builder.finish();
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kUnavailable,
                "no memory for an object of " + std::to_string(pending_->bytes) + " bytes");
  }
}

// The object is stored, or its records are given up.
Status StreamDelivery::conclude() {
  log::Batch batch;
  batch.commit(consumer_of(id_), records_, pending_->end);
  batch.erase(pending_key_of(id_));
  batch.truncate(records_, pending_->end);
  if (auto written = context_.log.write(std::move(batch)); !written) return fail(written.error());
  pending_.reset();
  attempts_ = 0;
  next_attempt_ = {};
  measure();
  return {};
}

Timestamp StreamDelivery::failed(const Stream& stream, const Error& error, const Instant& now) {
  last_error_ = error.message;
  context_.logger.warn("delivery_failed", {{"stream", stream.name},
                                           {"bucket", pending_->bucket},
                                           {"attempt", std::to_string(attempts_)},
                                           {"reason", error.message}});
  if (now.wall - pending_->newest > context_.options.retention) {
    const uint64_t count = pending_->end - pending_->begin;
    context_.logger.error("delivery_dropped", {{"stream", stream.name},
                                               {"records", std::to_string(count)},
                                               {"bytes", std::to_string(pending_->bytes)},
                                               {"reason", "retention is over: " + error.message}});
    if (auto concluded = conclude(); !concluded) return log_failed(concluded.error(), now);
    context_.probe.dropped_retention.Increment(static_cast<double>(count));
    return now.steady;
  }
  next_attempt_ = now.steady + retry_pause(attempts_, context_.options.retry_min, context_.options.retry_max,
                                           context_.random);
  measure();
  return next_attempt_;
}

// The log does not answer, or may or may not have taken a write: begin again from what it holds.
Timestamp StreamDelivery::log_failed(const Error& error, const Instant& now) {
  loaded_ = false;
  last_error_ = error.message;
  context_.probe.failed_log.Increment();
  measure();
  return now.steady + kLogRetry;
}

void StreamDelivery::measure() {
  backlog_ = {};
  const log::Log::Range range = context_.log.range(records_);
  const log::Offset begin = pending_ ? pending_->begin : buffer_.begin();
  if (begin >= range.end) return;
  backlog_.state = last_error_.empty() ? Backlog::State::kBuffering : Backlog::State::kFailing;
  const uint64_t seen_bytes = buffer_.bytes() + (pending_ ? pending_->bytes : 0);
  const uint64_t seen = std::max<uint64_t>(1, buffer_.end() - begin);
  const uint64_t unseen = range.end - std::min(range.end, buffer_.end());
  backlog_.bytes = seen_bytes + unseen * (seen_bytes / seen);
  backlog_.oldest = pending_ ? pending_->oldest : buffer_.oldest();
}

}  // namespace fleetward::delivery
