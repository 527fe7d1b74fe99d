#include "alerts/stage.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "alerts/delivery.h"
#include "alerts/delivery_metrics.h"
#include "alerts/pending.h"
#include "alerts/sns_deliveries.h"

namespace fleetward::alerts {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
constexpr size_t kLoadPage = 1000;
constexpr Duration kIdleWait{1000};
constexpr Duration kDiskWait{1000};  // after the log refused a write
const char* const kConsumer = "alerts";

log::Partition partition() {
  return {kStream, 0};
}

// What other threads hand to the stage's own.
struct Inbox {
  std::mutex mutex;
  std::vector<Delivery> deliveries;
  std::vector<std::pair<uint64_t, AttemptResult>> results;  // of attempts that the HTTP sender does not make
  HttpSender* http = nullptr;                               // who wakes the stage; null once it is gone

  void wake() {
    const std::lock_guard lock(mutex);
    if (http != nullptr) http->wake();
  }
  void add_result(uint64_t id, AttemptResult result) {
    const std::lock_guard lock(mutex);
    results.emplace_back(id, std::move(result));
    if (http != nullptr) http->wake();
  }
};

AttemptResult result_of(const Status& status) {
  if (status) return {.status = 200, .error = {}};
  return {.error = status.error().message, .is_final = status.error().code != ErrorCode::kUnavailable};
}

}  // namespace

struct Stage::Impl {
  StageOptions options;
  log::Log& log;
  const Tables tables;
  const Clock &clock, &steady;
  Random& random;
  Logger& logger;
  SnsDeliveries sns;
  TargetDeliveries targets;
  DeliveryMetrics metrics;

  std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
  std::unique_ptr<HttpSender> http;
  MqttPublish mqtt;
  std::unique_ptr<SyslogSender> syslog;
  std::atomic<bool> stopping{false};
  std::thread thread;
  log::Log::Subscription log_subscription;

  // Of the stage's thread.
  Pending pending;
  std::map<uint64_t, std::string> in_flight;  // attempt -> key
  uint64_t next_attempt = 1;
  log::Batch unsaved;    // outcomes that are not yet in the log
  Timestamp disk_retry;  // of `steady`
  // What became of one read of the stream, until the log has taken it.
  struct Expansion {
    log::Batch batch;
    std::vector<Delivery> made;
  };
  std::optional<Expansion> expansion;

  Impl(StageOptions o, log::Log& l, const state::Store& store, const Tables& t,
       const identity::Authorizer& authorizer, const Signer& signer, std::unique_ptr<HttpSender> send,
       const MakeSyslogSender& make_syslog, MqttPublish m, const Clock& c, const Clock& st, Random& r,
       Logger& lg, Metrics& mt)
      : options(std::move(o)),
        log(l),
        tables(t),
        clock(c),
        steady(st),
        random(r),
        logger(lg),
        sns(options.account, options.public_url, store, tables, authorizer, signer, random),
        targets(options.account, options.targets, options.hostname),
        metrics(targets.targets(), logger, mt),
        http(std::move(send)),
        mqtt(std::move(m)),
        pending(options.attempts_max) {
    inbox->http = http.get();
    syslog = make_syslog(targets.targets(), [box = inbox](uint64_t id, AttemptResult result) {
      box->add_result(id, std::move(result));
    });
  }

  void run();
  // `now` is of `steady`.
  bool round(Timestamp now);  // true if there is more to read at once
  void drain_inbox();
  bool save(Timestamp now);
  bool expand(Timestamp now);
  bool read_stream(Timestamp now);
  void expand_record(const log::Record& record, std::vector<Delivery>& made,
                     std::map<std::string, size_t>& added);
  bool has_room(const Delivery& delivery, size_t added) const;
  Status load();
  LaneLimits limits_of(const Delivery& delivery) const;
  RetryPolicy policy_of(const Delivery& delivery) const;
  void add(Delivery delivery);
  void remove(const Delivery& delivery);
  void start_due(Timestamp now);
  void start(uint64_t id, Attempt attempt);
  void finish(uint64_t id, const AttemptResult& result);
};

// ------------------------------------------------------------------ pending deliveries

LaneLimits Stage::Impl::limits_of(const Delivery& delivery) const {
  if (delivery.target.empty()) return {options.attempts_per_subscription_max, true};
  const Target* target = targets.find(delivery.target);
  const bool together = target != nullptr && target->kind == Target::Kind::kSyslog;
  return {together ? options.syslog_batch_max : options.attempts_per_subscription_max, false};
}

RetryPolicy Stage::Impl::policy_of(const Delivery& delivery) const {
  const Target* target = targets.find(delivery.target);
  return target != nullptr ? target->retry() : options.retry;
}

void Stage::Impl::add(Delivery delivery) {
  if (pending.find(delivery.key) != nullptr) return;
  metrics.waits(delivery);
  // A clock that was set back meanwhile holds it no longer than a pause.
  const Duration left = std::clamp(delivery.next - clock.now(), Duration{0}, policy_of(delivery).delay_max);
  const LaneLimits limits = limits_of(delivery);
  pending.add(std::move(delivery), limits, steady.now() + left);
}

void Stage::Impl::remove(const Delivery& delivery) {
  const std::string key = delivery.key;
  pending.remove(key);
  unsaved.erase(key);
}

Status Stage::Impl::load() {
  std::string from(kDeliveryPrefix);
  std::string end(kDeliveryPrefix);
  end.back() = '0';                       // the character after '/'
  std::map<std::string, size_t> orphans;  // by the name of a target that is no longer configured
  for (;;) {
    const auto page = log.scan(from, end, kLoadPage);
    if (!page) return fail(page.error());
    for (const log::KeyValue& entry : *page) {
      auto delivery = decode_delivery(entry.key, entry.value);
      if (!delivery) return fail(delivery.error());
      if (!delivery->target.empty() && targets.find(delivery->target) == nullptr) {
        ++orphans[delivery->target];
        unsaved.erase(delivery->key);
      } else {
        add(std::move(*delivery));
      }
    }
    if (page->size() < kLoadPage) break;
    from = page->back().key + '\0';
  }
  for (const auto& [target, count] : orphans) {
    metrics.dropped({"", "", target, "target_removed", "the target is no longer in the configuration"},
                    count);
  }
  return {};
}

void Stage::Impl::drain_inbox() {
  std::vector<Delivery> deliveries;
  std::vector<std::pair<uint64_t, AttemptResult>> results;
  {
    const std::lock_guard lock(inbox->mutex);
    deliveries.swap(inbox->deliveries);
    results.swap(inbox->results);
  }
  for (Delivery& delivery : deliveries) add(std::move(delivery));
  for (const auto& [id, result] : results) finish(id, result);
}

bool Stage::Impl::save(Timestamp now) {
  if (unsaved.empty()) return true;
  if (now < disk_retry) return false;
  log::Batch batch = unsaved;
  const auto written = log.write(std::move(batch));
  if (!written) {
    disk_retry = now + kDiskWait;
    return false;
  }
  unsaved = log::Batch();
  return true;
}

// ------------------------------------------------------------------ from notifications to deliveries

bool Stage::Impl::has_room(const Delivery& delivery, size_t added) const {
  const Target* target = targets.find(delivery.target);
  const size_t most = target != nullptr ? target->queue_max : options.deliveries_per_subscription_max;
  return pending.of_destination(delivery.destination()) + added < most;
}

// `added`: how many this step has made so far, by destination.
void Stage::Impl::expand_record(const log::Record& record, std::vector<Delivery>& made,
                                std::map<std::string, size_t>& added) {
  metrics.notification();
  const auto alert = decode_alert(record.value);
  if (!alert) return metrics.dropped({"", "", "", "corrupt", alert.error().message});
  std::vector<Delivery> deliveries;
  std::vector<Dropped> dropped;
  if (!alert->topic_arn.empty()) sns.expand(*alert, record, deliveries, dropped);
  if (alert->violation) {
    if (auto ok = targets.expand(*alert, record, deliveries); !ok) {
      dropped.push_back({"", "", "", "corrupt", ok.error().message});
    }
  }
  for (const Dropped& what : dropped) metrics.dropped(what);
  for (Delivery& delivery : deliveries) {
    size_t& more = added[delivery.destination()];
    if (!has_room(delivery, more)) {
      metrics.dropped({delivery.topic, delivery.subscription, delivery.target, "queue_full",
                       "too many deliveries wait for it"});
      continue;
    }
    ++more;
    made.push_back(std::move(delivery));
  }
}

// One read of the stream, into `expansion`; false if it held nothing.
bool Stage::Impl::read_stream(Timestamp now) {
  const auto records = log.read(partition(), log.committed(kConsumer, partition()), kReadBytes);
  if (!records) {
    logger.error("alerts_read_failed", {{"reason", records.error().message}});
    disk_retry = now + kDiskWait;
    return false;
  }
  if (records->empty()) return false;
  Expansion next;
  std::map<std::string, size_t> added;
  for (const log::Record& record : *records) expand_record(record, next.made, added);
  for (const Delivery& delivery : next.made) next.batch.put(delivery.key, encode_delivery(delivery));
  const log::Offset end = records->back().offset + 1;
  next.batch.commit(kConsumer, partition(), end);
  next.batch.truncate(partition(), end);
  next.batch.make_repeatable();
  expansion = std::move(next);
  return true;
}

// True if the stream held something, and it is pending now.
bool Stage::Impl::expand(Timestamp now) {
  if (pending.of_shared() >= options.deliveries_max || now < disk_retry) return false;
  if (!expansion && !read_stream(now)) return false;
  if (!log.write(expansion->batch)) {
    disk_retry = now + kDiskWait;
    return false;
  }
  for (Delivery& delivery : expansion->made) add(std::move(delivery));
  expansion.reset();
  return true;
}

// ------------------------------------------------------------------ attempts

void Stage::Impl::start(uint64_t id, Attempt attempt) {
  if (auto* post = std::get_if<HttpPost>(&attempt)) return http->start(id, std::move(*post));
  if (auto* post = std::get_if<SyslogPost>(&attempt)) {
    return syslog->start(id, post->target, std::move(post->message));
  }
  mqtt(std::move(std::get<MqttMessage>(attempt)),
       [box = inbox, id](const Status& status) { box->add_result(id, result_of(status)); });
}

void Stage::Impl::start_due(Timestamp now) {
  while (const Delivery* delivery = pending.start_next(now)) {
    auto attempt =
        delivery->target.empty() ? sns.attempt(*delivery) : targets.attempt(*delivery, clock.now());
    if (!attempt) {
      metrics.dropped(*delivery, "gone", "the destination is no longer there");
      remove(*delivery);
      continue;
    }
    const uint64_t id = next_attempt++;
    in_flight.emplace(id, delivery->key);
    start(id, std::move(*attempt));
  }
}

void Stage::Impl::finish(uint64_t id, const AttemptResult& result) {
  const auto found = in_flight.find(id);
  if (found == in_flight.end()) return;
  const std::string key = found->second;
  in_flight.erase(found);
  Delivery& delivery = *pending.find(key);
  ++delivery.attempts;
  const RetryDecision decision =
      decide(result, delivery.attempts, delivery.created, policy_of(delivery), clock.now());
  const std::string detail = result.status != 0 ? "status " + std::to_string(result.status) : result.error;
  switch (decision.next) {
    case RetryDecision::Next::kDone:
      metrics.delivered(delivery);
      remove(delivery);
      break;
    case RetryDecision::Next::kDrop:
      metrics.dropped(delivery, decision.reason, detail);
      remove(delivery);
      break;
    case RetryDecision::Next::kRetry:
      metrics.retried(delivery, detail);
      delivery.next = clock.now() + decision.pause;
      pending.retry(key, steady.now() + decision.pause);
      unsaved.put(key, encode_delivery(delivery));
      break;
  }
}

// ------------------------------------------------------------------ the thread

bool Stage::Impl::round(Timestamp now) {
  drain_inbox();
  if (!save(now)) return false;  // outcomes first: what is not noted would be attempted again
  const bool more = expand(now);
  start_due(now);
  save(now);
  return more;
}

void Stage::Impl::run() {
  while (!stopping) {
    const Timestamp now = steady.now();
    const bool more = round(now);
    const auto next = pending.next_due(now);
    const Duration idle = next ? std::min(kIdleWait, *next - now) : kIdleWait;
    const auto ended = http->wait(more ? Duration{0} : idle);
    for (const auto& [id, result] : ended) finish(id, result);
  }
}

Stage::Stage(StageOptions options, log::Log& log, const state::Store& store, const Tables& tables,
             const identity::Authorizer& authorizer, const Signer& signer, std::unique_ptr<HttpSender> http,
             const MakeSyslogSender& syslog, MqttPublish mqtt, const Clock& clock, const Clock& steady,
             Random& random, Logger& logger, Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), log, store, tables, authorizer, signer,
                                   std::move(http), syslog, std::move(mqtt), clock, steady, random, logger,
                                   metrics)) {}

Stage::~Stage() {
  stop();
  impl_->syslog.reset();  // its threads tell their ends to the inbox
  const std::lock_guard lock(impl_->inbox->mutex);
  impl_->inbox->http = nullptr;
}

Status Stage::load() {
  return impl_->load();
}

void Stage::run_once() {
  impl_->round(impl_->steady.now());
  for (const auto& [id, result] : impl_->http->wait(Duration{0})) impl_->finish(id, result);
  impl_->drain_inbox();
  impl_->save(impl_->steady.now());
}

Status Stage::start() {
  if (auto ok = load(); !ok) return ok;
  impl_->log_subscription =
      impl_->log.subscribe(kStream, [box = impl_->inbox](const log::Partition&) { box->wake(); });
  impl_->thread = std::thread([this] { impl_->run(); });
  return {};
}

void Stage::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->stopping = true;
  impl_->inbox->wake();
  impl_->thread.join();
  impl_->log_subscription.reset();
  impl_->save(impl_->steady.now());
}

// ------------------------------------------------------------------ from the API

Result<std::vector<std::string>> Stage::publish(std::vector<AlertRecord> records) {
  const auto range = impl_->log.range(partition());
  if (range.end - impl_->log.committed(kConsumer, partition()) + records.size() >
      impl_->options.backlog_max) {
    return fail(ErrorCode::kThrottled, "too many notifications wait to be delivered");
  }
  std::vector<std::string> ids;
  log::Batch batch;
  const Timestamp now = impl_->clock.now();
  for (AlertRecord& record : records) {
    if (record.message_id.empty()) record.message_id = impl_->random.uuid();
    ids.push_back(record.message_id);
    batch.append(partition(), encode_alert(record), now);
  }
  if (auto written = impl_->log.write(std::move(batch)); !written) return fail(written.error());
  return ids;
}

Status Stage::confirm(const Subscription& subscription) {
  Delivery delivery = impl_->sns.confirmation(subscription, impl_->clock.now());
  log::Batch batch;
  batch.put(delivery.key, encode_delivery(delivery));
  if (auto written = impl_->log.write(std::move(batch)); !written) return fail(written.error());
  {
    const std::lock_guard lock(impl_->inbox->mutex);
    impl_->inbox->deliveries.push_back(std::move(delivery));
  }
  impl_->inbox->wake();
  return {};
}

}  // namespace fleetward::alerts
