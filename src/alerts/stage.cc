#include "alerts/stage.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "alerts/delivery.h"
#include "core/encoding.h"

namespace fleetward::alerts {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
constexpr size_t kLoadPage = 1000;
constexpr Duration kIdleWait{1000};
constexpr Duration kDiskWait{1000};  // after the log refused a write
const char* const kConsumer = "alerts";

// Deadlines are of the wall clock, because they outlive the program. One that is further ahead than its pause
// is long was set before that clock was set back: it has passed.
bool passed(Timestamp deadline, Timestamp now, Duration pause) {
  return deadline <= now || deadline - now > pause;
}

log::Partition partition() {
  return {kStream, 0};
}

std::string notification_key(log::Offset offset, const std::string& subscription) {
  char text[32];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(offset));
  return std::string(kDeliveryPrefix) + text + "/" + subscription;
}

// What other threads hand to the stage's own.
struct Inbox {
  std::mutex mutex;
  std::vector<Delivery> deliveries;
  std::vector<std::pair<uint64_t, AttemptResult>> results;  // of MQTT attempts
  HttpSender* sender = nullptr;                             // null once the stage is gone

  void wake() {
    const std::lock_guard lock(mutex);
    if (sender != nullptr) sender->wake();
  }
  void add_result(uint64_t id, const Status& status) {
    const std::lock_guard lock(mutex);
    AttemptResult result{.status = 200, .error = {}};
    if (!status) {
      result = {.error = status.error().message, .is_final = status.error().code != ErrorCode::kUnavailable};
    }
    results.emplace_back(id, std::move(result));
    if (sender != nullptr) sender->wake();
  }
};

}  // namespace

struct Stage::Impl {
  StageOptions options;
  log::Log& log;
  const state::Store& store;
  const Tables tables;
  const identity::Authorizer& authorizer;
  const Signer& signer;
  std::unique_ptr<HttpSender> sender;
  MqttPublish mqtt;
  const Clock& clock;
  Random& random;
  Logger& logger;
  Metrics& metrics;
  prometheus::Counter& delivered;
  prometheus::Counter& retried;
  prometheus::Counter& notifications;
  prometheus::Gauge& pending_gauge;

  std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
  std::atomic<bool> stopping{false};
  std::thread thread;
  log::Log::Subscription log_subscription;

  // Of the stage's thread.
  struct Load {
    size_t pending = 0, in_flight = 0;
  };
  std::map<std::string, Delivery> pending;        // by key
  std::set<std::pair<int64_t, std::string>> due;  // (next, key) of those not in flight
  std::map<std::string, Load> loads;              // by subscription
  std::map<uint64_t, std::string> in_flight;      // attempt -> key
  uint64_t next_attempt = 1;
  log::Batch unsaved;  // outcomes that are not yet in the log
  Timestamp disk_retry;
  // What became of one read of the stream, until the log has taken it.
  struct Expansion {
    log::Batch batch;
    std::vector<Delivery> made;
  };
  std::optional<Expansion> expansion;

  Impl(StageOptions o, log::Log& l, const state::Store& s, const Tables& t, const identity::Authorizer& a,
       const Signer& sign, std::unique_ptr<HttpSender> send, MqttPublish m, const Clock& c, Random& r,
       Logger& lg, Metrics& mt);

  void run();
  bool round(Timestamp now);  // true if there is more to read at once
  Duration next_wait(Timestamp now) const;
  void drain_inbox(Timestamp now);
  bool save(Timestamp now);
  bool expand(Timestamp now);
  bool read_stream(Timestamp now);
  void expand_record(const log::Record& record, log::Batch& batch, std::vector<Delivery>& made,
                     std::map<std::string, size_t>& added);
  Status check_role(const AlertRecord& record) const;
  void add(Delivery delivery);
  void remove(const std::string& key);
  void start_due(Timestamp now);
  bool start_attempt(Delivery& delivery, Timestamp now);
  Notification notification_of(const Delivery& delivery, const Subscription& subscription) const;
  void finish(uint64_t id, const AttemptResult& result, Timestamp now);
  void drop(const std::string& topic, const std::string& subscription, std::string_view reason,
            std::string_view detail);
  bool wanted(const Delivery& delivery, const Subscription& subscription) const;
};

Stage::Impl::Impl(StageOptions o, log::Log& l, const state::Store& s, const Tables& t,
                  const identity::Authorizer& a, const Signer& sign, std::unique_ptr<HttpSender> send,
                  MqttPublish m, const Clock& c, Random& r, Logger& lg, Metrics& mt)
    : options(std::move(o)),
      log(l),
      store(s),
      tables(t),
      authorizer(a),
      signer(sign),
      sender(std::move(send)),
      mqtt(std::move(m)),
      clock(c),
      random(r),
      logger(lg),
      metrics(mt),
      delivered(mt.counter("fleetward_alerts_delivered_total", "Notifications that a subscriber has taken.")),
      retried(mt.counter("fleetward_alerts_retried_total", "Attempts that failed and will be made again.")),
      notifications(mt.counter("fleetward_alerts_notifications_total", "Notifications read from the log.")),
      pending_gauge(mt.gauge("fleetward_alerts_pending", "Deliveries not yet done.")) {
  inbox->sender = sender.get();
}

void Stage::Impl::drop(const std::string& topic, const std::string& subscription_id, std::string_view reason,
                       std::string_view detail) {
  metrics
      .counter("fleetward_alerts_dropped_total", "Notifications given up, by reason.",
               {{"reason", std::string(reason)}})
      .Increment();
  logger.warn("alert_dropped",
              {{"topic", topic}, {"subscription", subscription_id}, {"reason", reason}, {"detail", detail}});
}

// ------------------------------------------------------------------ pending deliveries

void Stage::Impl::add(Delivery delivery) {
  if (pending.count(delivery.key) != 0) return;
  ++loads[delivery.subscription].pending;
  due.emplace(delivery.next.ms, delivery.key);
  const std::string key = delivery.key;
  pending.emplace(key, std::move(delivery));
  pending_gauge.Set(static_cast<double>(pending.size()));
}

void Stage::Impl::remove(const std::string& key) {
  const auto found = pending.find(key);
  if (found == pending.end()) return;
  const auto load = loads.find(found->second.subscription);
  if (load != loads.end() && --load->second.pending == 0 && load->second.in_flight == 0) loads.erase(load);
  due.erase({found->second.next.ms, key});
  pending.erase(found);
  unsaved.erase(key);
  pending_gauge.Set(static_cast<double>(pending.size()));
}

void Stage::Impl::drain_inbox(Timestamp now) {
  std::vector<Delivery> deliveries;
  std::vector<std::pair<uint64_t, AttemptResult>> results;
  {
    const std::lock_guard lock(inbox->mutex);
    deliveries.swap(inbox->deliveries);
    results.swap(inbox->results);
  }
  for (Delivery& delivery : deliveries) add(std::move(delivery));
  for (const auto& [id, result] : results) finish(id, result, now);
}

bool Stage::Impl::save(Timestamp now) {
  if (unsaved.empty()) return true;
  if (!passed(disk_retry, now, kDiskWait)) return false;
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

Status Stage::Impl::check_role(const AlertRecord& record) const {
  if (record.role_arn.empty()) return {};
  identity::MapContext context;
  context.set("aws:SourceAccount", options.account.account.str());
  if (!record.source_arn.empty()) context.set("aws:SourceArn", record.source_arn);
  return authorizer.authorize_role(record.role_arn, record.service, "sns:Publish", record.topic_arn, context);
}

void Stage::Impl::expand_record(const log::Record& record, log::Batch& batch, std::vector<Delivery>& made,
                                std::map<std::string, size_t>& added) {
  notifications.Increment();
  auto alert = decode_alert(record.value);
  if (!alert) return drop("", "", "corrupt", alert.error().message);
  const auto topic = parse_topic_arn(options.account, alert->topic_arn);
  const auto snapshot = store.snapshot();
  if (!topic || snapshot->get(tables.topics).find(*topic) == nullptr) {
    return drop(alert->topic_arn, "", "no_topic", "the topic does not exist");
  }
  if (auto ok = check_role(*alert); !ok) return drop(*topic, "", "role_refused", ok.error().message);

  json::object attributes;
  if (!alert->attributes.empty()) {
    if (auto parsed = json::parse(alert->attributes); parsed && parsed->is_object()) {
      attributes = std::move(parsed->get_object());
    }
  }
  const json::object attribute_values = attributes_object(attributes);
  const std::string message_id = alert->message_id.empty() ? random.uuid() : alert->message_id;
  const size_t first = made.size();
  size_t mqtt_messages = 0;
  snapshot->get(tables.subscriptions).visit_prefix(state::key(*topic, ""), [&](const auto& entry) {
    const Subscription& subscription = *entry.value;
    if (subscription.state != Subscription::State::kConfirmed) return true;
    std::string text =
        alert->structured ? structured_message(alert->message, subscription.protocol) : alert->message;
    if (subscription.filter) {
      if (subscription.filter_on_body) {
        const auto body = json::parse(text);
        if (!body || !body->is_object() || !subscription.filter->matches(body->get_object())) return true;
      } else if (!subscription.filter->matches(attribute_values)) {
        return true;
      }
    }
    size_t& more = added[subscription.id];
    const auto load = loads.find(subscription.id);
    const size_t before = load == loads.end() ? 0 : load->second.pending;
    if (before + more >= options.deliveries_per_subscription_max) {
      drop(*topic, subscription.id, "queue_full", "too many deliveries wait for this subscription");
      return true;
    }
    ++more;
    Delivery delivery{.key = notification_key(record.offset, subscription.id),
                      .topic = *topic,
                      .subscription = subscription.id,
                      .message_id = message_id,
                      .subject = alert->subject,
                      .message = std::move(text),
                      .attributes = alert->attributes,
                      .token = {},
                      .created = record.appended,
                      .next = record.appended};
    if (subscription.protocol == "mqtt") ++mqtt_messages;
    made.push_back(std::move(delivery));
    return true;
  });
  // The first hop is what the operator wrote and always passes; the broker refuses later ones that have no
  // share.
  size_t share = alert->offspring_max / std::max<size_t>(mqtt_messages, 1);
  if (alert->hops == 1) share = std::max<size_t>(share, 1);
  for (size_t i = first; i < made.size(); ++i) {
    made[i].hops = alert->hops;
    made[i].offspring_max = share;
    batch.put(made[i].key, encode_delivery(made[i]));
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
  for (const log::Record& record : *records) expand_record(record, next.batch, next.made, added);
  const log::Offset end = records->back().offset + 1;
  next.batch.commit(kConsumer, partition(), end);
  next.batch.truncate(partition(), end);
  next.batch.make_repeatable();
  expansion = std::move(next);
  return true;
}

// True if the stream held something, and it is pending now.
bool Stage::Impl::expand(Timestamp now) {
  if (pending.size() >= options.deliveries_max || !passed(disk_retry, now, kDiskWait)) return false;
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

bool Stage::Impl::wanted(const Delivery& delivery, const Subscription& s) const {
  switch (delivery.kind) {
    case NotificationKind::kNotification:
      return s.state == Subscription::State::kConfirmed;
    case NotificationKind::kSubscriptionConfirmation:
      return s.state == Subscription::State::kPending && s.token == delivery.token;
    case NotificationKind::kUnsubscribeConfirmation:
      return s.state == Subscription::State::kDeleted && s.token == delivery.token;
  }
  return false;
}

Notification Stage::Impl::notification_of(const Delivery& delivery, const Subscription& s) const {
  Notification out;
  out.kind = delivery.kind;
  out.message_id = delivery.message_id;
  out.topic_arn = topic_arn(options.account, delivery.topic);
  out.subject = delivery.subject;
  out.message = delivery.message;
  out.time = delivery.created;
  out.token = delivery.token;
  const std::string base = options.public_url ? options.public_url() : "";
  const std::string arn = subscription_arn(options.account, s);
  if (delivery.kind == NotificationKind::kNotification) {
    out.unsubscribe_url = base + "/?Action=Unsubscribe&SubscriptionArn=" + arn;
  } else {
    out.subscribe_url =
        base + "/?Action=ConfirmSubscription&TopicArn=" + out.topic_arn + "&Token=" + delivery.token;
  }
  if (!delivery.attributes.empty()) {
    if (const auto parsed = json::parse(delivery.attributes); parsed && parsed->is_object()) {
      out.attributes = delivered_attributes(parsed->get_object());
    }
  }
  return out;
}

// False: nobody wants it any more.
bool Stage::Impl::start_attempt(Delivery& delivery, Timestamp) {
  const auto snapshot = store.snapshot();
  const Topic* topic = snapshot->get(tables.topics).find(delivery.topic);
  const Subscription* s =
      snapshot->get(tables.subscriptions).find(state::key(delivery.topic, delivery.subscription));
  if (topic == nullptr || s == nullptr || !wanted(delivery, *s)) return false;

  const Notification n = notification_of(delivery, *s);
  const bool raw = s->raw_delivery && delivery.kind == NotificationKind::kNotification;
  std::string body = n.message;
  if (!raw) {
    const auto version = topic->attributes.find("SignatureVersion");
    const std::string v = version == topic->attributes.end() ? "1" : version->second;
    const std::string base = options.public_url ? options.public_url() : "";
    body = notification_json(n, v, signer.sign(string_to_sign(n), v), base + signer.certificate_path());
  }
  const uint64_t id = next_attempt++;
  in_flight.emplace(id, delivery.key);
  ++loads[delivery.subscription].in_flight;
  due.erase({delivery.next.ms, delivery.key});
  if (s->protocol == "mqtt") {
    if (!mqtt) {
      inbox->add_result(id, fail(ErrorCode::kUnavailable, "no broker"));
    } else {
      mqtt({s->endpoint, std::move(body), delivery.hops, delivery.offspring_max},
           [box = inbox, id](const Status& status) { box->add_result(id, status); });
    }
    return true;
  }
  HttpPost post{s->endpoint, {}, std::move(body)};
  post.headers = {"Content-Type: text/plain; charset=UTF-8",
                  "User-Agent: Amazon Simple Notification Service Agent",
                  "x-amz-sns-message-type: " + std::string(kind_name(delivery.kind)),
                  "x-amz-sns-message-id: " + delivery.message_id, "x-amz-sns-topic-arn: " + n.topic_arn};
  if (delivery.kind != NotificationKind::kSubscriptionConfirmation) {
    post.headers.push_back("x-amz-sns-subscription-arn: " + subscription_arn(options.account, *s));
  }
  if (raw) post.headers.push_back("x-amz-sns-rawdelivery: true");
  sender->start(id, std::move(post));
  return true;
}

void Stage::Impl::start_due(Timestamp now) {
  std::vector<std::string> ready;
  std::map<std::string, size_t> chosen;
  for (auto it = due.begin(); in_flight.size() + ready.size() < options.attempts_max; ++it) {
    if (it != due.end() && !passed({it->first}, now, options.retry.delay)) {
      it = due.lower_bound({(now + options.retry.delay).ms + 1, std::string()});
    }
    if (it == due.end()) break;
    const std::string& key = it->second;
    const Delivery& delivery = pending.at(key);
    // A slow endpoint holds its own few attempts, not everybody's.
    const auto load = loads.find(delivery.subscription);
    size_t& more = chosen[delivery.subscription];
    if ((load == loads.end() ? 0 : load->second.in_flight) + more >= options.attempts_per_subscription_max)
      continue;
    ++more;
    ready.push_back(key);
  }
  for (const std::string& key : ready) {
    Delivery& delivery = pending.at(key);
    if (start_attempt(delivery, now)) continue;
    drop(delivery.topic, delivery.subscription, "gone", "the subscription is no longer there");
    remove(key);
  }
}

void Stage::Impl::finish(uint64_t id, const AttemptResult& result, Timestamp now) {
  const auto found = in_flight.find(id);
  if (found == in_flight.end()) return;
  const std::string key = found->second;
  in_flight.erase(found);
  Delivery& delivery = pending.at(key);
  --loads[delivery.subscription].in_flight;
  ++delivery.attempts;
  const RetryDecision decision = decide(result, delivery.attempts, options.retry, now);
  const std::string detail = result.status != 0 ? "status " + std::to_string(result.status) : result.error;
  switch (decision.next) {
    case RetryDecision::Next::kDone:
      delivered.Increment();
      remove(key);
      break;
    case RetryDecision::Next::kDrop:
      drop(delivery.topic, delivery.subscription, decision.reason, detail);
      remove(key);
      break;
    case RetryDecision::Next::kRetry:
      retried.Increment();
      logger.info("alert_attempt_failed",
                  {{"topic", delivery.topic}, {"subscription", delivery.subscription}, {"reason", detail}});
      delivery.next = decision.when;
      due.emplace(delivery.next.ms, key);
      unsaved.put(key, encode_delivery(delivery));
      break;
  }
}

// ------------------------------------------------------------------ the thread

bool Stage::Impl::round(Timestamp now) {
  drain_inbox(now);
  if (!save(now)) return false;  // outcomes first: what is not noted would be attempted again
  const bool more = expand(now);
  start_due(now);
  save(now);
  return more;
}

Duration Stage::Impl::next_wait(Timestamp now) const {
  for (const auto& [when, key] : due) {
    if (when <= now.ms) continue;  // waits for an attempt to end
    return std::min(kIdleWait, Duration{when - now.ms});
  }
  return kIdleWait;
}

void Stage::Impl::run() {
  while (!stopping) {
    const Timestamp now = clock.now();
    const bool more = round(now);
    const auto ended = sender->wait(more ? Duration{0} : next_wait(now));
    const Timestamp after = clock.now();
    for (const auto& [id, result] : ended) finish(id, result, after);
  }
}

Stage::Stage(StageOptions options, log::Log& log, const state::Store& store, const Tables& tables,
             const identity::Authorizer& authorizer, const Signer& signer, std::unique_ptr<HttpSender> sender,
             MqttPublish mqtt, const Clock& clock, Random& random, Logger& logger, Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), log, store, tables, authorizer, signer,
                                   std::move(sender), std::move(mqtt), clock, random, logger, metrics)) {}

Stage::~Stage() {
  stop();
  const std::lock_guard lock(impl_->inbox->mutex);
  impl_->inbox->sender = nullptr;
}

Status Stage::load() {
  std::string from(kDeliveryPrefix);
  std::string end(kDeliveryPrefix);
  end.back() = '0';  // the character after '/'
  for (;;) {
    const auto page = impl_->log.scan(from, end, kLoadPage);
    if (!page) return fail(page.error());
    for (const log::KeyValue& entry : *page) {
      auto delivery = decode_delivery(entry.key, entry.value);
      if (!delivery) return fail(delivery.error());
      impl_->add(std::move(*delivery));
    }
    if (page->size() < kLoadPage) return {};
    from = page->back().key + '\0';
  }
}

void Stage::run_once() {
  impl_->round(impl_->clock.now());
  for (const auto& [id, result] : impl_->sender->wait(Duration{0}))
    impl_->finish(id, result, impl_->clock.now());
  impl_->drain_inbox(impl_->clock.now());
  impl_->save(impl_->clock.now());
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
  impl_->save(impl_->clock.now());
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
  const bool pending = subscription.state == Subscription::State::kPending;
  const Timestamp now = impl_->clock.now();
  const std::string arn = topic_arn(impl_->options.account, subscription.topic);
  Delivery delivery;
  delivery.message_id = impl_->random.uuid();
  delivery.key = std::string(kDeliveryPrefix) + "c/" + delivery.message_id;
  delivery.kind =
      pending ? NotificationKind::kSubscriptionConfirmation : NotificationKind::kUnsubscribeConfirmation;
  delivery.topic = subscription.topic;
  delivery.subscription = subscription.id;
  delivery.token = subscription.token;
  delivery.message =
      pending ? "You have chosen to subscribe to the topic " + arn +
                    ".\nTo confirm the subscription, visit the SubscribeURL included in this message."
              : "You have chosen to deactivate subscription " +
                    subscription_arn(impl_->options.account, subscription) +
                    ".\nTo cancel this operation and restore the subscription, visit the SubscribeURL "
                    "included in "
                    "this message.";
  delivery.created = now;
  delivery.next = now;
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
