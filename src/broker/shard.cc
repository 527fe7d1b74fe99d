#include "broker/shard.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "broker/acceptor.h"
#include "broker/session_store.h"

namespace fleetward::broker {
namespace {

constexpr size_t kReadBufferBytes = 128 * 1024;
constexpr Duration kTick{100};
constexpr int kHandshakesPerWakeUp = 16;   // reads of them; some 0.2 ms each with P-256, 1 ms with RSA
constexpr Duration kAbsentInterval{1000};  // between the deltas of clients that are not connected
// Replies make messages that make replies; more than this many generations wait for the next wake-up.
constexpr int kPassesMax = 4;

mqtt::MatchOptions matching(const Options& options) {
  return options.aws_wildcards ? mqtt::MatchOptions::aws() : mqtt::MatchOptions{};
}

Message plain(const Options& options, int qos, bool retain) {
  Message message;
  message.offspring_max = options.republish_messages_max;
  message.qos = qos;
  message.retain = retain;
  return message;
}

}  // namespace

Shard::Shard(ShardContext& context, uint32_t index)
    : context_(context),
      options_(context.options),
      index_(index),
      logger_(context.dependencies.logger),
      mailbox_(context.options.mailbox_bytes_max, [this] { loop_.wake(); }),
      inbox_(context.options.mailbox_bytes_max, [this] { loop_.wake(); }),
      now_(context.dependencies.clock.now()),
      steady_(context.dependencies.steady.now()),
      read_buffer_(kReadBufferBytes),
      plain_properties_{{plain(options_, 0, false), plain(options_, 0, true)},
                        {plain(options_, 1, false), plain(options_, 1, true)},
                        {plain(options_, 2, false), plain(options_, 2, true)}},
      router_(index, matching(context.options),
              [this](const InterestChange& change) {
                // At once, not at the end of the wake-up: it must be with the others before the SUBACK
                // leaves.
                for (const auto& shard : context_.shards) {
                  if (shard.get() != this) shard->mailbox().post_always(change);
                }
              }),
      observations_(context.options.observed_clients_max),
      gate_(context.dependencies.log, context.options.log_batch_bytes_max, context.options.log_retry_interval,
            stats_, [this](Status result) { mailbox_.post_always(CommitMail{std::move(result)}); }),
      connection_timers_(kTick, 512, steady_),
      session_timers_(Duration{1000}, 512, steady_),
      snapshot_(context.dependencies.store.snapshot()) {
  take_counted_topics();
  next_tick_ = steady_;
  next_observation_ = steady_ + options_.observation_interval;
}

Shard::~Shard() {
  quit();
  join();
}

Status Shard::open() {
  outboxes_.resize(context_.shards.size());
  return loop_.open();
}

void Shard::restore(std::unique_ptr<ClientSession> session) {
  ClientSession& kept = *session;
  queued_bytes_ += kept.queue_bytes;
  sessions_.emplace(kept.client_id, std::move(session));
  for (auto& [filter, subscription] : kept.subscriptions) {
    router_.add(filter, {&kept, &subscription});
    stats_.subscriptions.add();
  }
  stats_.sessions.add();
  set_session_timer(kept);
}

void Shard::start() {
  thread_ = std::thread([this] { run(); });
}

void Shard::begin_stop() {
  stopping_.store(true);
  loop_.wake();
}

void Shard::quit() {
  quit_.store(true);
  loop_.wake();
}

void Shard::join() {
  if (thread_.joinable()) thread_.join();
}

void Shard::run_here(const std::function<void()>& work) {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  mailbox_.post_always(CallMail{[&] {
    work();
    const std::lock_guard lock(mutex);
    done = true;
    changed.notify_one();
  }});
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return done; });
}

void Shard::run() {
  while (!quit_.load(std::memory_order_relaxed)) {
    const bool work = !internal_.empty() || (!work_.empty() && !gate_.full()) || !absorbed_.empty() ||
                      !ending_.empty() || !moving_.empty();
    const Duration wait = !work ? std::clamp(next_tick_ - steady_, Duration{0}, kTick) : Duration{0};
    wake_up(wait);
  }
  // What callers wait for (run_here, PublishMail) is answered even at the end.
  absorb_mail();
  handle_mail();
  take_inbox();
}

void Shard::step(Duration wait) {
  wake_up(wait);
}

void Shard::wake_up(Duration wait) {
  loop_.wait(wait);
  now_ = context_.dependencies.clock.now();
  steady_ = context_.dependencies.steady.now();
  handshakes_left_ = kHandshakesPerWakeUp;
  loop_.dispatch();
  absorb_mail();
  handle_mail();
  take_inbox();
  if (steady_ >= next_tick_) tick();
  if (stopping_.load(std::memory_order_relaxed)) say_goodbye();
  finish_round();
  flush_outboxes();
  flush_dirty();
  graveyard_.clear();
}

// Interest is applied at once, the rest waits for its turn. Called also in the middle of a wake-up: see
// after_receive().
void Shard::absorb_mail() {
  if (!mailbox_.maybe_has_mail()) return;
  mailbox_.take(incoming_);
  for (Mail& mail : incoming_) {
    if (auto* change = std::get_if<InterestChange>(&mail)) {
      router_.apply(*change);
    } else {
      absorbed_.push_back(std::move(mail));
    }
  }
  incoming_.clear();
}

void Shard::handle_mail() {
  if (absorbed_.empty()) return;
  std::vector<Mail> mails;
  mails.swap(absorbed_);
  stats_.mail_in.add(mails.size());
  for (Mail& mail : mails) {
    std::visit([this](auto& m) { handle(m); }, mail);
  }
  mails.clear();
  if (absorbed_.empty()) absorbed_.swap(mails);  // keeps the memory
}

// Work from other shards waits while this one has more than enough: its box fills, and they stop reading.
void Shard::take_inbox() {
  if (work_.empty() && inbox_.maybe_has_mail()) {
    inbox_.take(work_);
    work_next_ = 0;
    stats_.mail_in.add(work_.size());
  }
  // One message may be kept for many sessions: asked before each, not once.
  while (work_next_ < work_.size() && !gate_.full()) {
    std::visit([this](auto& m) { handle(m); }, work_[work_next_++]);
  }
  if (work_next_ == work_.size()) work_.clear();
}

// A publish that follows a SUBACK in time must find the subscription, also when another shard made it: its
// InterestChange was posted before the SUBACK was sent, so it is in the mailbox by the time the publish has
// arrived here.
void Shard::after_receive(size_t bytes) {
  stats_.bytes_in.add(bytes);
  absorb_mail();
}

void Shard::handle(InterestChange& mail) {
  router_.apply(mail);
}

void Shard::handle(DurableMail& mail) {
  rounds_.arrived(mail.round, mail.count);
}

void Shard::handle(CommitMail& mail) {
  const bool was_troubled = !gate_.trouble().empty();
  const auto waiters = gate_.on_result(mail.result, steady_);
  for (const Waiter& waiter : waiters) {
    if (waiter.shard == index_) {
      rounds_.arrived(waiter.round, waiter.count);
    } else {
      context_.shards[waiter.shard]->mailbox().post_always(DurableMail{waiter.round, waiter.count});
    }
  }
  const bool is_troubled = !gate_.trouble().empty();
  if (is_troubled && !was_troubled) {
    logger_.error("broker_log_unavailable", {{"shard", std::to_string(index_)},
                                             {"reason", gate_.trouble()},
                                             {"effect", "publishers are not acknowledged and not read"}});
  }
  if (!is_troubled && was_troubled) {
    logger_.info("broker_log_recovered", {{"shard", std::to_string(index_)}});
  }
  if (!is_troubled) resume_paused();
}

void Shard::handle(AdoptMail& mail) {
  Connection& connection = *mail.connection;
  connections_.emplace(connection.id(), std::move(mail.connection));
  stats_.connections.add();
  if (auto ok = connection.attach(*this); !ok) {
    connection.kill();
    return;
  }
  connection.timer_at = {};
  set_timer(connection);
  answer_connect(connection);
  if (connection.live()) connection.resume_feed();
}

void Shard::handle(WebSocketMail& mail) {
  WebSocketClient& client = *mail.client;
  auto listener = std::make_shared<ListenerState>();
  listener->listener.kind = Listener::Kind::kWebSocket;
  listener->listener.plain_policy = std::move(client.plain_policy);
  listener->unfinished = context_.websockets_unfinished;
  stats_.accepted.add();
  Connection* connection = add_connection(client.descriptor, std::move(client.peer), std::move(listener));
  if (connection != nullptr && admit_arrival(*connection)) connection->begin_websocket(client);
}

void Shard::handle(PublishMail& mail) {
  if (quit_.load(std::memory_order_relaxed)) {
    if (mail.done) mail.done(fail(ErrorCode::kUnavailable, "shutting down"));
    return;
  }
  if (!gate_.trouble().empty()) {
    stats_.refuse(Refusal::kLogUnavailable);
    if (mail.done) mail.done(fail(ErrorCode::kUnavailable, "the log refuses writes: " + gate_.trouble()));
    return;
  }
  publish_internal(mail.message, {});
  if (mail.done) rounds_.current().then.push_back([done = std::move(mail.done)] { done({}); });
}

void Shard::handle(SnapshotMail& mail) {
  if (mail.snapshot->version() <= snapshot_->version()) return;
  const registry::DeviceAuthorizer& authorizer = context_.dependencies.authorizer;
  if (!authorizer.same_certificates(*mail.snapshot, *snapshot_) ||
      !authorizer.same_keys(*mail.snapshot, *snapshot_)) {
    sweep_due_ = true;
  }
  snapshot_ = std::move(mail.snapshot);
  take_counted_topics();
}

void Shard::observe(Timestamp now, bool only_absent) {
  auto deltas = observations_.collect(now, only_absent);
  if (!deltas.empty()) context_.dependencies.observations.on_observations(std::move(deltas));
}

// What was counted belongs to the topics it was counted for.
void Shard::take_counted_topics() {
  if (!context_.dependencies.counted_topics) return;
  CountedTopicsPtr counted = context_.dependencies.counted_topics(snapshot_);
  if (counted == counted_) return;
  observe(now_, false);
  counted_ = std::move(counted);
  observations_.set_counted(counted_);
  ++counted_version_;
}

void Shard::handle(CallMail& mail) {
  mail.run();
}

void Shard::post_later(uint32_t shard, Mail mail, size_t weight) {
  Outbox& outbox = outboxes_[shard];
  outbox.mail.push_back(std::move(mail));
  outbox.weight += weight;
}

void Shard::flush_outboxes() {
  bool blocked = false;
  for (size_t i = 0; i < outboxes_.size(); ++i) {
    Outbox& outbox = outboxes_[i];
    if (outbox.mail.empty()) continue;
    if (context_.shards[i]->inbox().post(outbox.mail, outbox.weight, [this] { loop_.wake(); })) {
      outbox.weight = 0;
    } else {
      blocked = true;
      stats_.mail_refused.add();
    }
  }
  const bool unblocked = outbox_blocked_ && !blocked;
  outbox_blocked_ = blocked;
  if (unblocked) resume_paused();
}

bool Shard::must_pause(const Connection& connection) const {
  if (!connection.live()) return false;  // who connects is not who floods
  if (outbox_blocked_ || gate_.full()) return true;
  return !gate_.trouble().empty() && const_cast<Connection&>(connection).protocol().unacknowledged() > 0;
}

void Shard::pause(Connection& connection) {
  if (connection.paused) return;
  connection.paused = true;
  connection.set_reading(false);
  paused_.push_back(connection.id());
  stats_.reads_paused.add();
}

void Shard::resume_paused() {
  std::vector<uint64_t> paused;
  paused.swap(paused_);
  for (const uint64_t id : paused) {
    const auto it = connections_.find(id);
    if (it == connections_.end()) continue;
    it->second->paused = false;
    it->second->set_reading(!it->second->throttled);
  }
}

// The average is held to, not each packet: one read may bring many, which are paid for afterwards.
void Shard::count_packets(Connection& connection) {
  const auto rate = static_cast<double>(options_.packets_per_second_max);
  if (rate == 0) return;
  const Duration passed = steady_ - connection.packets_counted;
  connection.packets_counted = steady_;
  connection.packets_left =
      std::min(rate, connection.packets_left + static_cast<double>(passed.count()) * rate / 1000);
  if (connection.packets_left >= 0 || connection.throttled) return;
  refuse(connection, Refusal::kPacketRate, "more packets than packets_per_second_max: not read for a while");
  connection.throttled = true;
  connection.set_reading(false);
  throttled_.push_back(connection.id());
}

void Shard::resume_throttled() {
  std::vector<uint64_t> throttled;
  throttled.swap(throttled_);
  for (const uint64_t id : throttled) {
    const auto it = connections_.find(id);
    if (it == connections_.end() || !it->second->live()) continue;
    Connection& connection = *it->second;
    const Duration passed = steady_ - connection.packets_counted;
    const double earned = static_cast<double>(passed.count()) * options_.packets_per_second_max / 1000;
    if (connection.packets_left + earned < 0) {
      throttled_.push_back(id);
      continue;
    }
    connection.throttled = false;
    connection.set_reading(!connection.paused);
  }
}

void Shard::wait_for_commit() {
  Rounds::Round& round = rounds_.current();
  if (round_waits_here_ && round_cuts_ == gate_.cuts()) return;
  round_waits_here_ = true;
  round_cuts_ = gate_.cuts();
  ++round.waits;
  gate_.wait({index_, round.id});
}

void Shard::finish_round() {
  for (int pass = 0; pass < kPassesMax; ++pass) {
    std::vector<std::pair<MessagePtr, std::string>> internal;
    internal.swap(internal_);
    for (const auto& [message, client_id] : internal) publish_internal(message, client_id);
    end_pending();
    move_pending();
    rounds_.close();
    round_waits_here_ = false;
    gate_.submit(steady_);
    complete_rounds();
    if (internal_.empty() && ending_.empty() && moving_.empty() && !rounds_.is_open()) break;
  }
  if (rounds_.is_open()) {
    rounds_.close();
    round_waits_here_ = false;
    gate_.submit(steady_);
    loop_.wake();
  }
}

void Shard::complete_rounds() {
  Rounds::Round round;
  while (rounds_.pop(round)) {
    stats_.rounds.add();
    complete(round);
  }
}

void Shard::complete(Rounds::Round& round) {
  for (const auto& item : round.acknowledgements) {
    const auto it = connections_.find(item.connection);
    if (it == connections_.end() || !it->second->live()) continue;
    Connection& connection = *it->second;
    connection.protocol().acknowledge_through(connection.out(), item.through);
    mark_dirty(connection);
    connection.resume_feed();
  }
  for (const auto& item : round.sends) {
    const auto it = connections_.find(item.connection);
    if (it != connections_.end() && it->second->live()) send_kept(*it->second, item.sequence);
  }
  for (const auto& then : round.then) then();
  for (MessagePtr& reply : round.replies) internal_.emplace_back(std::move(reply), std::string());
}

void Shard::mark_dirty(Connection& connection) {
  if (connection.dirty) return;
  connection.dirty = true;
  dirty_.push_back(&connection);
}

void Shard::flush_dirty() {
  // A flush may end a connection, whose last words are the next wake-up's.
  std::vector<Connection*> dirty;
  dirty.swap(dirty_);
  for (Connection* connection : dirty) {
    connection->dirty = false;
    connection->flush();
  }
  if (!ending_.empty()) loop_.wake();
  if (dirty_.empty()) {
    dirty.clear();
    dirty_.swap(dirty);
  }
}

void Shard::end(Connection& connection, EndReason reason) {
  if (connection.ending || connection.stage() == Connection::Stage::kDead) return;
  connection.ending = true;
  connection.ending_reason = reason;
  ending_.push_back(&connection);
}

void Shard::end_pending() {
  while (!ending_.empty()) {
    std::vector<Connection*> ending;
    ending.swap(ending_);
    for (Connection* connection : ending) finish_end(*connection, connection->ending_reason);
  }
}

void Shard::bury(Connection& connection) {
  // Dies at the end of the wake-up: it may be somewhere on the stack, or in a list.
  const auto it = connections_.find(connection.id());
  if (it == connections_.end()) return;
  graveyard_.push_back(std::move(it->second));
  connections_.erase(it);
  std::erase(dirty_, &connection);
  std::erase(ending_, &connection);
  std::erase(moving_, &connection);
  stats_.connections.subtract();
  context_.connections.fetch_sub(1, std::memory_order_relaxed);
}

void Shard::tick() {
  next_tick_ = steady_ + kTick;
  connection_timers_.advance(steady_, [this](uint64_t id, Timestamp deadline) {
    Timestamp next;
    check_connection(id, deadline, next);
    return next;
  });
  session_timers_.advance(steady_, [this](const std::string& client_id, Timestamp deadline) {
    check_session(client_id, deadline);
    return Timestamp{};  // it adds its next timer itself
  });
  resume_throttled();
  if (accept_failed_) {
    accept_failed_ = false;
    for (const auto& [index, acceptor] : listeners_) acceptor->resume();
  }
  if (sweep_due_) {
    sweep_due_ = false;
    sweep_principals();
  }
  const bool all = steady_ >= next_observation_;
  if (!all && steady_ < next_absent_) return;
  next_absent_ = steady_ + kAbsentInterval;
  if (all) next_observation_ = steady_ + options_.observation_interval;
  observe(now_, !all);
}

void Shard::say_goodbye() {
  if (!goodbye_said_) {
    goodbye_said_ = true;
    close_listeners();
    for (auto& [id, connection] : connections_) {
      if (connection->live()) {
        connection->protocol().disconnect(connection->out(), mqtt::ReasonCode::kServerShuttingDown);
      }
      end(*connection, EndReason::kServerInitiated);
    }
    loop_.wake();
    return;
  }
  const bool sent = std::all_of(connections_.begin(), connections_.end(), [](const auto& entry) {
    return entry.second->stage() == Connection::Stage::kClosing && entry.second->outbound_bytes() == 0;
  });
  const bool quiet = sent && rounds_.empty() && gate_.idle() && absorbed_.empty() && internal_.empty() &&
                     !mailbox_.maybe_has_mail() && work_.empty() && !inbox_.maybe_has_mail();
  if (quiet && !drained_.load()) observe(now_, false);
  drained_.store(quiet);
}

}  // namespace fleetward::broker
