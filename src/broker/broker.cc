#include "broker/broker.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include <unistd.h>

#include "broker/session_store.h"
#include "broker/shard.h"
#include "broker/sockets.h"
#include "core/encoding.h"
#include "mqtt/topic.h"

namespace fleetward::broker {
namespace {

constexpr std::chrono::milliseconds kGoodbyeLinger{200};
constexpr uint32_t kShardsMax = 64;  // interest travels as a bit set

std::shared_ptr<const mqtt::SessionOptions> protocol_options(const Options& options) {
  auto out = std::make_shared<mqtt::SessionOptions>();
  out->packet_bytes_max = options.packet_bytes_max;
  out->receive_maximum = options.receive_max;
  out->inflight_max = options.inflight_max;
  out->unreleased_max = options.unreleased_max;
  out->topic_alias_maximum = options.topic_alias_max;
  out->filters_max = options.filters_per_subscribe_max;
  out->client_id_bytes_max = options.client_id_bytes_max;
  out->maximum_qos = options.qos_max;
  out->subscribe_qos_strict = options.subscribe_qos_strict;
  out->keep_alive_min_s = static_cast<uint16_t>(options.keepalive_min.count() / 1000);
  out->keep_alive_max_s = static_cast<uint16_t>(options.keepalive_max.count() / 1000);
  out->topic_limits = {options.topic_bytes_max, options.topic_slashes_max + 1, true};
  return out;
}

// Guards callbacks that others keep (the store, the metrics) against the end of the broker.
struct Alive {
  std::mutex mutex;
  bool alive = true;
};

}  // namespace

struct Broker::Impl final : InternalPublisher {
  Impl(const Options& options, const Dependencies& dependencies) : context(options, dependencies) {}

  void publish(MessagePtr message, std::function<void(Status)> done) override;
  bool post(MessagePtr& message, std::function<void(Status)>& done);
  Status recover_routed();

  ShardContext context;
  std::shared_ptr<Alive> alive = std::make_shared<Alive>();
  std::atomic<bool> running{false};
  std::mutex listeners_mutex;
  struct Listening {
    Listener listener;
    std::shared_ptr<std::atomic<size_t>> unfinished;
  };
  std::vector<Listening> listeners;
  std::atomic<uint32_t> next_shard{0};  // for who comes by way of HTTP
  std::mutex refused_mutex;
  ShardStats refused;  // by publish(), on many threads
  CutChains cut_chains;
};

void Broker::Impl::publish(MessagePtr message, std::function<void(Status)> done) {
  const auto refuse = [&](ErrorCode code, const char* text) {
    if (done) done(fail(code, text));
  };
  if (!running.load()) return refuse(ErrorCode::kUnavailable, "the broker is not running");
  if (mqtt::check_topic_name(message->topic, context.protocol->topic_limits) != mqtt::TopicFault::kNone) {
    return refuse(ErrorCode::kInvalidArgument, "the topic is not valid");
  }
  if (message->payload.size() > context.options.payload_bytes_max) {
    return refuse(ErrorCode::kLimitExceeded, "the payload is too large");
  }
  if (message->qos < 0 || message->qos > 2) return refuse(ErrorCode::kInvalidArgument, "QoS is 0 to 2");
  // The shard that ran the rules has not seen what went through the log since.
  if (message->hops > context.options.republish_hops_max ||
      (message->hops > 0 && message->offspring_max == 0)) {
    {
      const std::lock_guard lock(refused_mutex);
      refused.refuse(Refusal::kRepublishHops);
      cut_chains.log(context.dependencies.logger, message->topic, context.dependencies.steady.now());
    }
    return refuse(ErrorCode::kLimitExceeded, "rules feed each other: the chain is cut");
  }
  if (!post(message, done)) {
    const std::lock_guard lock(refused_mutex);
    refused.refuse(Refusal::kMailboxFull);
    return refuse(ErrorCode::kUnavailable, "the broker is busy");
  }
}

bool Broker::Impl::post(MessagePtr& message, std::function<void(Status)>& done) {
  const size_t weight = sizeof(Mail) + message->payload.size() + message->topic.size();
  Shard& shard = *context.shards[context.owner_of(message->topic)];
  return shard.inbox().try_post(PublishMail{message, done}, weight);
}

// What was on its way between shards when the program ended joins the queues it was for, whichever shards
// have them now, and is on its way no more: in one write.
Status Broker::Impl::recover_routed() {
  Status written;
  const auto last = session_store::load_routed(context.dependencies.log, [&](session_store::Routed routed) {
    if (!written) return;
    log::Batch batch;
    for (const auto& shard : context.shards) shard->recover(routed, batch);
    for (const SharedTarget& target : routed.shared) {
      std::any_of(context.shards.begin(), context.shards.end(),
                  [&](const auto& shard) { return shard->recover_shared(routed, target, batch); });
    }
    session_store::erase_routed(batch, routed.id);
    if (auto committed = context.dependencies.log.write(std::move(batch)); !committed) {
      written = fail(committed.error());
    }
  });
  if (!last) return fail(last.error());
  context.last_routed = *last;
  return written;
}

Broker::Broker(const Options& options, const Dependencies& dependencies)
    : impl_(std::make_unique<Impl>(options, dependencies)) {
  ShardContext& context = impl_->context;
  context.protocol = protocol_options(options);
  uint32_t count = options.shards;
  if (count == 0) count = std::clamp(std::thread::hardware_concurrency(), 1U, kShardsMax);
  for (uint32_t i = 0; i < count; ++i) context.shards.push_back(std::make_unique<Shard>(context, i));
  dependencies.store.on_change(
      [impl = impl_.get(), alive = impl_->alive](const state::SnapshotPtr& snapshot) {
        const std::lock_guard lock(alive->mutex);
        if (!alive->alive || !impl->running.load()) return;
        for (const auto& shard : impl->context.shards) shard->mailbox().post_always(SnapshotMail{snapshot});
      });
  register_metrics(dependencies.metrics, [impl = impl_.get(), alive = impl_->alive](const auto& visit) {
    const std::lock_guard lock(alive->mutex);
    if (!alive->alive) return;
    for (const auto& shard : impl->context.shards) visit(shard->stats());
    visit(impl->refused);
  });
}

Broker::~Broker() {
  stop(Duration{0});
  const std::lock_guard lock(impl_->alive->mutex);
  impl_->alive->alive = false;
}

Status Broker::check(const Options& options) {
  const auto bad = [](const char* text) { return fail(ErrorCode::kInvalidArgument, text); };
  if (options.shards > kShardsMax) return bad("shards: at most 64");
  if (options.packet_bytes_max < 1024 || options.packet_bytes_max > (1 << 20)) {
    return bad("packet_bytes_max: 1 KiB to 1 MiB");
  }
  if (options.topic_slashes_max > 127) return bad("topic_slashes_max: at most 127");
  if (options.qos_max > 2) return bad("qos_max: at most 2");
  if (options.receive_max == 0 || options.inflight_max == 0 || options.unreleased_max == 0) {
    return bad("receive_max, inflight_max and unreleased_max: at least 1");
  }
  const bool bounded = options.keepalive_max.count() != 0;
  if ((bounded && options.keepalive_max < options.keepalive_min) ||
      options.keepalive_min.count() > 65'535'000 || options.keepalive_max.count() > 65'535'000) {
    return bad("keepalive_max: from keepalive_min to 65535 s, or 0");
  }
  if (options.observation_interval < Duration{1000} || options.observation_interval > Duration{3'600'000}) {
    return bad("observation_interval: 1 s to 1 h");
  }
  if (options.unfinished_max == 0 || options.sources_max == 0) {
    return bad("unfinished_max, sources_max: at least 1");
  }
  if (options.filters_per_subscribe_max == 0 || options.subscriptions_per_connection_max == 0 ||
      options.connections_max == 0) {
    return bad("filters_per_subscribe_max, subscriptions_per_connection_max, connections_max: at least 1");
  }
  return {};
}

Status Broker::start() {
  ShardContext& context = impl_->context;
  for (const auto& shard : context.shards) {
    if (auto ok = shard->open(); !ok) return ok;
  }
  auto retained = session_store::load_retained(context.dependencies.log,
                                               [&](MessagePtr message) { context.retained.set(message); });
  if (!retained) return retained;
  const session_store::LoadTime now{context.dependencies.clock.now(), context.dependencies.steady.now()};
  auto sessions = session_store::load_sessions(context.dependencies.log, now,
                                               [&](std::unique_ptr<ClientSession> session) {
                                                 const uint32_t owner = context.owner_of(session->client_id);
                                                 context.shards[owner]->restore(std::move(session));
                                               });
  if (!sessions) return fail(sessions.error());
  context.last_shared_message = *sessions;
  if (auto ok = impl_->recover_routed(); !ok) return ok;
  for (const auto& shard : context.shards) shard->start();
  impl_->running.store(true);
  // What changed between the shards' first snapshot and now.
  for (const auto& shard : context.shards) {
    shard->mailbox().post_always(SnapshotMail{context.dependencies.store.snapshot()});
  }
  return {};
}

namespace {

bool has_tls(const Listener& listener) {
  return listener.kind == Listener::Kind::kMqtts || listener.kind == Listener::Kind::kAlpn;
}

// What each shard's acceptor of this listener works with.
Result<std::vector<std::shared_ptr<const ListenerState>>> make_states(
    const ShardContext& context, const Listener& listener,
    const std::shared_ptr<std::atomic<size_t>>& unfinished) {
  std::vector<std::shared_ptr<const ListenerState>> states;
  for (const auto& shard : context.shards) {
    auto state = std::make_shared<ListenerState>();
    state->listener = listener;
    state->unfinished = unfinished;
    if (has_tls(listener)) {
      // One context for each shard: no lock between them, and its callback knows where it runs.
      auto tls = TlsContext::create(
          {.files = listener.certificate,
           .certificate_required = true,
           .admit = [s = shard.get()](const PeerCertificate& certificate) { return s->admit(certificate); },
           .alpn = {std::string(kAlpnMqtt)},
           .tickets = context.tickets});
      if (!tls) return fail(tls.error());
      state->tls = std::move(*tls);
    }
    states.push_back(std::move(state));
  }
  return states;
}

Result<BoundSockets> bind(const Listener& listener, size_t shards) {
  if (listener.kind != Listener::Kind::kUnix) return bind_listeners(listener.address, shards);
  // One socket, of the first shard: Unix sockets are not shared out by the kernel, and a CONNECT moves its
  // connection anyway.
  auto descriptor = bind_unix_listener(listener.address, listener.unix_mode);
  if (!descriptor) return fail(descriptor.error());
  return BoundSockets{{*descriptor}, listener.address};
}

}  // namespace

Result<std::string> Broker::listen(const Listener& listener) {
  ShardContext& context = impl_->context;
  if (!impl_->running.load()) return fail(ErrorCode::kUnavailable, "the broker is not running");
  if (!has_tls(listener) && listener.plain_policy.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "a plain MQTT listener needs a policy: the name of an IoT policy, or 'open'");
  }
  auto unfinished = std::make_shared<std::atomic<size_t>>(0);
  auto states = make_states(context, listener, unfinished);
  if (!states) return fail(states.error());
  auto bound = bind(listener, context.shards.size());
  if (!bound) return fail(bound.error());
  const std::lock_guard lock(impl_->listeners_mutex);
  const size_t index = impl_->listeners.size();
  impl_->listeners.push_back({listener, std::move(unfinished)});
  for (size_t i = 0; i < bound->descriptors.size(); ++i) {
    Shard& shard = *context.shards[i];
    shard.run_here([&] { shard.listen(bound->descriptors[i], index, (*states)[i]); });
  }
  return bound->address;
}

void Broker::adopt(WebSocketClient client) {
  auto owned = std::make_unique<WebSocketClient>(std::move(client));
  if (!impl_->running.load()) {
    ::close(owned->descriptor);
    return;
  }
  const auto& shards = impl_->context.shards;
  const uint32_t index = impl_->next_shard.fetch_add(1, std::memory_order_relaxed);
  shards[index % shards.size()]->mailbox().post_always(WebSocketMail{std::move(owned)});
}

Status Broker::reload_certificates() {
  ShardContext& context = impl_->context;
  if (!impl_->running.load()) return fail(ErrorCode::kUnavailable, "the broker is not running");
  const std::lock_guard lock(impl_->listeners_mutex);
  std::vector<std::vector<std::shared_ptr<const ListenerState>>> states;  // by listener, then shard
  for (const auto& [listener, unfinished] : impl_->listeners) {
    auto made = make_states(context, listener, unfinished);
    if (!made) return fail(made.error());
    states.push_back(std::move(*made));
  }
  for (size_t i = 0; i < context.shards.size(); ++i) {
    Shard& shard = *context.shards[i];
    shard.run_here([&] {
      for (size_t index = 0; index < states.size(); ++index) shard.renew_listener(index, states[index][i]);
    });
  }
  return {};
}

void Broker::stop(Duration grace) {
  if (!impl_->running.exchange(false)) return;
  const auto& shards = impl_->context.shards;
  for (const auto& shard : shards) shard->begin_stop();
  const auto deadline = std::chrono::steady_clock::now() + grace;
  const auto all_drained = [&] {
    return std::all_of(shards.begin(), shards.end(), [](const auto& shard) { return shard->drained(); });
  };
  while (!all_drained() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  // Clients that close by themselves now do not see a reset.
  const auto linger = std::min(deadline, std::chrono::steady_clock::now() + kGoodbyeLinger);
  while (connection_count() > 0 && std::chrono::steady_clock::now() < linger) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  for (const auto& shard : shards) shard->quit();
  for (const auto& shard : shards) shard->join();
  for (const auto& [listener, unfinished] : impl_->listeners) {
    if (listener.kind == Listener::Kind::kUnix) ::unlink(listener.address.c_str());
  }
}

InternalPublisher& Broker::publisher() {
  return *impl_;
}

bool Broker::disconnect(const std::string& client_id, bool clean_session, bool prevent_will) {
  if (!impl_->running.load()) return false;
  Shard& shard = *impl_->context.shards[impl_->context.owner_of(client_id)];
  bool was_connected = false;
  shard.run_here([&] { was_connected = shard.disconnect_client(client_id, clean_session, prevent_will); });
  return was_connected;
}

std::optional<ConnectionInfo> Broker::connection(const std::string& client_id) {
  if (!impl_->running.load()) return std::nullopt;
  Shard& shard = *impl_->context.shards[impl_->context.owner_of(client_id)];
  std::optional<ConnectionInfo> out;
  shard.run_here([&] { out = shard.describe(client_id); });
  return out;
}

std::vector<RetainedMessage> Broker::list_retained(const std::string& begin, size_t count_max) const {
  std::vector<RetainedMessage> out;
  for (MessagePtr& message : impl_->context.retained.list(begin, count_max)) {
    const Timestamp modified = message->published;
    out.push_back({std::move(message), modified});
  }
  return out;
}

std::optional<RetainedMessage> Broker::get_retained(const std::string& topic) const {
  MessagePtr message = impl_->context.retained.get(topic);
  if (!message) return std::nullopt;
  const Timestamp modified = message->published;
  return RetainedMessage{std::move(message), modified};
}

size_t Broker::connection_count() const {
  return impl_->context.connections.load(std::memory_order_relaxed);
}

std::string Broker::trouble() const {
  return impl_->context.dependencies.log.trouble();
}

}  // namespace fleetward::broker
