// From accept to CONNACK; what a connection may do.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <unistd.h>

#include "broker/acceptor.h"
#include "broker/lifecycle.h"
#include "broker/message_codec.h"
#include "broker/session_store.h"
#include "broker/shard.h"
#include "broker/sockets.h"
#include "broker/topics.h"

namespace fleetward::broker {
namespace {

constexpr int kAcceptsPerWakeUp = 64;

MessagePtr will_message(const mqtt::Will& will, Timestamp now) {
  auto message = std::make_shared<Message>();
  mqtt::Publish publish;
  publish.topic = will.topic;
  publish.payload = will.payload;
  publish.qos = will.qos;
  publish.retain = will.retain;
  publish.properties = will.properties;
  from_publish(publish, now, *message);
  return message;
}

}  // namespace

void Shard::listen(int descriptor, size_t index, std::shared_ptr<const ListenerState> listener) {
  auto acceptor = std::make_unique<Acceptor>(*this, descriptor, std::move(listener));
  if (auto ok = acceptor->attach(); !ok) {
    logger_.error("broker_listen_failed", {{"reason", ok.error().message}});
    return;
  }
  listeners_[index] = std::move(acceptor);
}

void Shard::renew_listener(size_t index, std::shared_ptr<const ListenerState> listener) {
  const auto found = listeners_.find(index);
  if (found != listeners_.end()) found->second->set_state(std::move(listener));
}

void Shard::close_listeners() {
  listeners_.clear();
}

void Shard::accept_from(Acceptor& acceptor) {
  for (int i = 0; i < kAcceptsPerWakeUp; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int descriptor = ::accept4(acceptor.descriptor(), reinterpret_cast<sockaddr*>(&address), &size,
                                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        // Most likely out of descriptors: the next tick tries again.
        if (!accept_failed_) logger_.error("broker_accept_failed", {{"reason", std::strerror(errno)}});
        accept_failed_ = true;
        acceptor.pause();
      }
      return;
    }
    stats_.accepted.add();
    const Listener& listener = acceptor.state()->listener;
    SocketAddress peer = describe_address(address);
    if (listener.proxies && !listener.proxies->contains(peer.ip)) {
      stats_.refuse(Refusal::kProxySource);
      if (arrival_is_logged()) {
        logger_.warn("mqtt_refused", {{"reason", to_string(Refusal::kProxySource)}, {"peer", peer.ip}});
      }
      ::close(descriptor);
      continue;
    }
    Connection* connection = add_connection(descriptor, std::move(peer), acceptor.state());
    // Behind a proxy its address is not known yet, and on the shared port not yet whether it is MQTT's.
    if (connection != nullptr && connection->stage() == Connection::Stage::kHandshake) {
      admit_arrival(*connection);
    }
  }
}

// Not each of a flood.
bool Shard::arrival_is_logged() {
  if (steady_ < next_arrival_logged_) return false;
  next_arrival_logged_ = steady_ + Duration{1000};
  return true;
}

bool Shard::admit_arrival(Connection& connection) {
  const auto verdict = context_.limiter.ask(connection.peer_ip(), steady_);
  if (verdict == ConnectLimiter::Verdict::kAdmitted) return true;
  const bool of_source = verdict == ConnectLimiter::Verdict::kTooManyOfSource;
  const Refusal refusal = of_source ? Refusal::kConnectRateOfSource : Refusal::kConnectRate;
  if (arrival_is_logged()) {
    refuse(connection, refusal, "more connections than [broker] allows in a second");
  } else {
    stats_.refuse(refusal);
  }
  connection.kill();
  return false;
}

Connection* Shard::add_connection(int descriptor, SocketAddress peer,
                                  std::shared_ptr<const ListenerState> listener) {
  if (context_.connections.fetch_add(1, std::memory_order_relaxed) >= options_.connections_max) {
    context_.connections.fetch_sub(1, std::memory_order_relaxed);
    stats_.refuse(Refusal::kConnectionsMax);
    ::close(descriptor);
    return nullptr;
  }
  if (listener->unfinished->load(std::memory_order_relaxed) >= options_.unfinished_max) {
    context_.connections.fetch_sub(1, std::memory_order_relaxed);
    stats_.refuse(Refusal::kUnfinishedMax);
    ::close(descriptor);
    return nullptr;
  }
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const uint64_t id = uint64_t{index_} << kIdShardShift | ++last_connection_;
  auto connection =
      std::make_unique<Connection>(id, descriptor, std::move(peer), std::move(listener), context_.protocol,
                                   options_.authorization_cache_max, steady_ + options_.connect_timeout);
  Connection& kept = *connection;
  connections_.emplace(id, std::move(connection));
  stats_.connections.add();
  if (auto ok = kept.attach(*this); !ok) {
    kept.kill();
    return nullptr;
  }
  set_timer(kept);
  return &kept;
}

// {0}: none.
Timestamp Shard::deadline_of(const Connection& connection) {
  if (!connection.live()) return connection.deadline;
  const Timestamp keep_alive = const_cast<Connection&>(connection).protocol().keep_alive_deadline();
  const Timestamp end = connection.ends_at;
  return end.ms != 0 && sooner(end, keep_alive) ? end : keep_alive;
}

void Shard::set_timer(Connection& connection) {
  const Timestamp at = deadline_of(connection);
  if (at.ms == 0 || !sooner(at, connection.timer_at)) return;
  connection.timer_at = at;
  connection_timers_.add(connection.id(), at);
}

void Shard::check_connection(uint64_t id, Timestamp deadline, Timestamp& next) {
  const auto it = connections_.find(id);
  if (it == connections_.end() || it->second->timer_at != deadline) return;
  Connection& connection = *it->second;
  const Timestamp at = deadline_of(connection);
  const bool expired = connection.live() && connection.ends_at.ms != 0 && connection.ends_at <= steady_;
  // A connection that is not being read cannot be blamed for its silence.
  const bool excused =
      connection.live() && !expired &&
      (connection.paused || connection.throttled || connection.protocol().unacknowledged() > 0);
  if (at > steady_ || excused) {
    next = at > steady_ ? at : steady_ + Duration{1000};
    connection.timer_at = next;
    return;
  }
  connection.timer_at = {};
  if (!connection.live()) {
    if (connection.stage() != Connection::Stage::kClosing) {
      refuse(connection, Refusal::kConnectTimeout, "no CONNECT in time");
    }
    connection.kill();
  } else if (expired) {
    refuse(connection, Refusal::kCredentials, "the WebSocket's time is over");
    connection.protocol().disconnect(connection.out(), mqtt::ReasonCode::kMaximumConnectTime);
    end(connection, EndReason::kWebSocketExpired);
  } else if (at.ms != 0) {
    stats_.keepalive_timeouts.add();
    connection.protocol().disconnect(connection.out(), mqtt::ReasonCode::kKeepAliveTimeout);
    end(connection, EndReason::kKeepAliveTimeout);
  }
}

void Shard::refuse(Connection& connection, Refusal refusal, std::string_view detail) {
  stats_.refuse(refusal);
  if (connection.refusals_logged++ >= options_.refusals_logged_max) return;
  logger_.warn("mqtt_refused", {{"reason", to_string(refusal)},
                                {"detail", detail},
                                {"peer", connection.peer_ip()},
                                {"connection", connection.name()},
                                {"client_id", connection.request.client_id},
                                {"principal", connection.device.caller ? connection.device.principal()
                                                                       : connection.certificate_id()}});
}

bool Shard::admit(const PeerCertificate& certificate) {
  const auto refused = [&](Refusal refusal) {
    stats_.refuse(refusal);
    logger_.warn("mqtt_refused", {{"reason", to_string(refusal)}, {"certificate", certificate.id}});
    return false;
  };
  if (!certificate.in_validity) return refused(Refusal::kCertificateExpired);
  const auto status = context_.dependencies.authorizer.find_device(*snapshot_, certificate.id);
  // An inactive one may say who it is: its CONNECT is refused, under its name (answer_connect).
  return status != registry::DeviceStatus::kUnknown || refused(Refusal::kCertificateUnknown);
}

// ---------------------------------------------------------------- CONNECT

void Shard::on_connect(Connection& connection, const mqtt::Connect& connect) {
  using mqtt::Property;
  using mqtt::ReasonCode;
  ConnectRequest& request = connection.request;
  request.client_id = connect.client_id;
  request.clean_start = connect.clean_start;
  request.is_v5 = connect.version == mqtt::Version::k5;
  request.session_expiry_s = request.is_v5 ? connect.properties.number(Property::kSessionExpiry)
                                           : (connect.clean_start ? 0 : 0xFFFFFFFF);
  connection.set_stage(Connection::Stage::kConnect);
  // The protocol machine has refused what the specification forbids: a too long id, an empty one with a
  // session to keep, a will whose topic is none.
  if (request.client_id.empty()) {
    request.client_id = context_.dependencies.random.uuid();
    request.assigned = true;
  }
  if (request.client_id.front() == '$' && !options_.dollar_client_ids) {
    refuse_connect(connection, Refusal::kConnectInvalid, ReasonCode::kClientIdentifierNotValid,
                   "a client id may not start with '$'");
    return;
  }
  if (connect.has_will) {
    if (!is_ordinary_topic(connect.will.topic)) {
      refuse_connect(connection, Refusal::kConnectInvalid, ReasonCode::kTopicNameInvalid,
                     "a will may not have a reserved topic");
      return;
    }
    if (connect.will.payload.size() > options_.payload_bytes_max) {
      refuse_connect(connection, Refusal::kConnectInvalid, ReasonCode::kPacketTooLarge,
                     "the will is too large");
      return;
    }
    request.will = will_message(connect.will, now_);
    request.will_delay_s = connect.will.properties.number(Property::kWillDelay);
  }
  if (context_.owner_of(request.client_id) != index_) {
    moving_.push_back(&connection);
  } else {
    answer_connect(connection);
  }
}

void Shard::move_pending() {
  std::vector<Connection*> moving;
  moving.swap(moving_);
  for (Connection* connection : moving) {
    connection->flush();
    if (connection->stage() != Connection::Stage::kConnect || connection->ending) continue;
    const auto it = connections_.find(connection->id());
    std::unique_ptr<Connection> owned = std::move(it->second);
    connections_.erase(it);
    std::erase(dirty_, connection);
    connection->dirty = false;
    stats_.connections.subtract();
    connection->detach();
    context_.shards[context_.owner_of(connection->request.client_id)]->mailbox().post_always(
        AdoptMail{std::move(owned)});
  }
}

void Shard::refuse_connect(Connection& connection, Refusal refusal, mqtt::ReasonCode reason,
                           std::string_view text) {
  refuse(connection, refusal, text);
  connection.protocol().reject(connection.out(), reason, text);
  mark_dirty(connection);
  end(connection,
      reason == mqtt::ReasonCode::kNotAuthorized ? EndReason::kAuthError : EndReason::kClientError);
}

// Who is it, and may it connect? Everything that is refused here is recorded under the client's name.
bool Shard::admit_client(Connection& connection) {
  using registry::DeviceAction;
  const ConnectRequest& request = connection.request;
  registry::DeviceConnection& device = connection.device;
  // Who signed for a WebSocket speaks for it, whatever certificate it shows.
  if (!device.caller) device.certificate_id = connection.certificate_id();
  const std::string& policy_of_nobody = connection.listener().listener.plain_policy;
  const bool is_nobody = device.certificate_id.empty() && !device.caller;
  const bool is_open = is_nobody && policy_of_nobody == "open";
  device.named_policy = is_nobody && !is_open ? policy_of_nobody : "";
  device.client_id = request.client_id;
  device.source_address = connection.peer_ip();
  device.server_name = connection.server_name();
  device.persistent = request.session_expiry_s > 0;
  device.last_will = request.will != nullptr;
  device.now = now_;
  const auto policy = context_.dependencies.authorizer.compile(*snapshot_, device);
  connection.policy_version = snapshot_->version();

  Observed& observed = observations_.of(request.client_id, false, now_);
  observed.thing = policy->thing().empty() ? request.client_id : policy->thing();
  observed.registered = !policy->thing().empty();
  ++observed.connection_attempts;
  observed.address(connection.peer_ip());
  connection.observed = &observed;
  if (is_open) return true;

  connection.access.set_policy(policy);
  if (!context_.dependencies.authorizer.may_stay(*snapshot_, device)) {
    if (device.caller) {
      authorization_failed(connection, Refusal::kCredentials, "the access key is not good any more");
    } else {
      authorization_failed(connection, Refusal::kCertificateInactive, "the certificate is not ACTIVE");
    }
    return false;
  }
  const Message* will = request.will.get();
  if (allowed(connection, DeviceAction::kConnect, request.client_id) &&
      (will == nullptr ||
       (allowed(connection, DeviceAction::kPublish, will->topic) &&
        (!will->retain || allowed(connection, DeviceAction::kRetainPublish, will->topic))))) {
    return true;
  }
  authorization_failed(connection, Refusal::kConnectNotAuthorized, "iot:Connect, or the will topic");
  if (lifecycle::has_events(request.client_id)) {
    connection.session_id = context_.dependencies.random.uuid();
    queue_internal(
        lifecycle::connect_failed({request.client_id, policy->thing_is_exclusive() ? policy->thing() : "",
                                   connection.session_id, device.principal(), 0, now_},
                                  "AUTHORIZATION_FAILED"));
  }
  return false;
}

void Shard::answer_connect(Connection& connection) {
  using mqtt::ReasonCode;
  const ConnectRequest& request = connection.request;
  if (stopping_.load(std::memory_order_relaxed)) {
    connection.protocol().reject(connection.out(), ReasonCode::kServerShuttingDown);
    end(connection, EndReason::kServerInitiated);
    return;
  }
  const bool admitted = admit_client(connection);
  connection.observed = nullptr;
  if (!admitted) {
    connection.protocol().reject(connection.out(), ReasonCode::kNotAuthorized, "not authorized to connect");
    mark_dirty(connection);
    end(connection, EndReason::kAuthError);
    return;
  }
  mqtt::Session::Accept accept;
  if (request.assigned) accept.assigned_client_id = request.client_id;
  const uint32_t expiry_s = granted_expiry_s(request);
  if (request.is_v5 && expiry_s != request.session_expiry_s) accept.session_expiry_s = expiry_s;
  // Before anything is taken from whoever has this client id.
  if (!connection.protocol().can_accept(accept)) {
    refuse_connect(connection, Refusal::kConnectInvalid, ReasonCode::kPacketTooLarge,
                   "Maximum Packet Size is too small for a CONNACK [MQTT-3.1.2-24]");
    return;
  }
  if (ClientSession* old = find_session(request.client_id); old != nullptr && old->connection != nullptr) {
    Connection& other = *old->connection;
    stats_.takeovers.add();
    other.protocol().disconnect(other.out(), ReasonCode::kSessionTakenOver);
    other.ending = true;
    finish_end(other, EndReason::kDuplicateClientId);
  }
  ClientSession* session = open_session(connection, expiry_s, accept.session_present);
  if (session == nullptr) {
    refuse_connect(connection, Refusal::kSessionsMax, ReasonCode::kQuotaExceeded, "too many sessions");
    return;
  }
  connection.session = session;
  connection.will = request.will;
  connection.will_delay_s = request.will_delay_s;
  connection.observed = &observations_.of(request.client_id, true, now_);
  connection.observed->connected = true;
  connection.observed->disconnected_since = {};
  connection.session_id = context_.dependencies.random.uuid();
  connection.protocol().remember(session->unreleased);
  connection.protocol().accept(connection.out(), accept, steady_);
  connection.set_stage(Connection::Stage::kConnected);
  connection.packets_left = options_.packets_per_second_max;
  connection.packets_counted = steady_;
  if (connection.device.caller) connection.ends_at = steady_ + websocket_lifetime(connection);
  connection.timer_at = {};
  set_timer(connection);
  mark_dirty(connection);
  stats_.connects.add();
  announce_presence(connection, *session, connection.observed->thing, true, EndReason::kClientInitiated);
  send_backlog(*session);
}

Duration Shard::websocket_lifetime(const Connection& connection) const {
  const Timestamp end = context_.dependencies.authorizer.credentials_end(*snapshot_, connection.device);
  const Duration longest = options_.websocket_lifetime_max;
  return end.ms == 0 ? longest : std::min(longest, std::max(end - now_, Duration{1}));
}

uint32_t Shard::granted_expiry_s(const ConnectRequest& request) const {
  const auto most =
      static_cast<uint32_t>(std::min<int64_t>(options_.session_expiry_max.count() / 1000, 0xFFFFFFFF));
  return std::min(request.session_expiry_s, most);
}

ClientSession* Shard::open_session(Connection& connection, uint32_t expiry_s, bool& present) {
  const ConnectRequest& request = connection.request;
  if (request.clean_start) end_session(request.client_id);
  ClientSession* session = find_session(request.client_id);
  if (session != nullptr) {
    // What is due by now is done although its timer, which is coarse, has not fired.
    check_session(request.client_id, session->timer_at);
    session = find_session(request.client_id);
  }
  const bool persistent = expiry_s > 0;
  present = session != nullptr;
  if (!present) {
    if (persistent && stats_.sessions.get() >= options_.sessions_max / context_.shards.size() + 1)
      return nullptr;
    auto made = std::make_unique<ClientSession>();
    made->client_id = request.client_id;
    session = made.get();
    sessions_.emplace(request.client_id, std::move(made));
  }
  if (session->persistent != persistent) {
    for (const auto& [filter, subscription] : session->subscriptions) {
      if (subscription.qos > 0) router_.changed(filter, session->persistent, persistent);
    }
    if (!persistent) {
      // It ends with this connection: nothing of it may come back after a restart.
      session_store::erase_session(gate_.batch(), *session);
      stats_.sessions.subtract();
    } else {
      stats_.sessions.add();
    }
    session->persistent = persistent;
  }
  session->expiry_s = expiry_s;
  session->connection = &connection;
  session->connected_since = now_;
  session->expires = {};
  session->delayed_will.reset();
  session->disconnect_reason = "";
  if (present) ++session->lifecycle_version;
  if (persistent) session_store::put_session(gate_.batch(), *session);
  return session;
}

// What was sent and not acknowledged goes first, under its old packet identifier [MQTT-4.4.0-1].
void Shard::send_backlog(ClientSession& session) {
  Connection& connection = *session.connection;
  for (auto it = session.inflight.begin(); it != session.inflight.end();) {
    Outgoing& outgoing = it->second;
    if (outgoing.qos == 2) {
      if (!resume(session, connection, outgoing)) ++session.inactive;
      ++it;
      continue;
    }
    auto sent = mqtt::Session::Sent::kTooLarge;
    if (to_publish(*outgoing.message, now_, outgoing_publish_)) {
      outgoing_publish_.qos = 1;
      outgoing_publish_.retain = outgoing.retain;
      sent = connection.protocol().resend(connection.out(), outgoing_publish_, outgoing.packet_id, it->first);
      stats_.messages_out[1].add();
      delivered(connection, outgoing.message->topic);
    }
    if (sent == mqtt::Session::Sent::kSent) {
      ++it;
    } else if (sent == mqtt::Session::Sent::kTooLarge) {
      forget(session, outgoing);
      it = session.inflight.erase(it);
    } else {
      // The client has lowered its window: back to the queue, in its place.
      session.queue.insert(
          std::upper_bound(session.queue.begin(), session.queue.end(), outgoing,
                           [](const Outgoing& a, const Outgoing& b) { return a.sequence < b.sequence; }),
          std::move(outgoing));
      it = session.inflight.erase(it);
    }
  }
  pump(session);
}

// ---------------------------------------------------------------- policies

bool Shard::allowed(Connection& connection, registry::DeviceAction action, std::string_view name) {
  const auto& held = connection.access.policy();
  if (!held) return true;
  constexpr Duration kTimeHolds{1000};
  const Duration age = now_ - connection.device.now;
  const bool aged = held->depends_on_time() && (age >= kTimeHolds || age < Duration{0});
  if (aged || connection.policy_version != snapshot_->version()) {
    connection.device.now = now_;
    auto renewed =
        context_.dependencies.authorizer.renew(*snapshot_, connection.device, connection.access.policy());
    if (!renewed) return false;  // the certificate is not active any more: sweep_certificates() ends it
    connection.access.set_policy(std::move(renewed));
    connection.policy_version = snapshot_->version();
  }
  return connection.access.allows(action, name);
}

void Shard::authorization_failed(Connection& connection, Refusal refusal, std::string_view what,
                                 std::optional<std::string_view> topic) {
  stats_.authorization_failures.add();
  if (connection.observed != nullptr) {
    CountedApart apart;
    if (topic) {
      apart = counted_apart(connection, connection.published_counters, *topic);
    } else if (counted_ != nullptr) {
      apart = {counters_without_topic(*counted_), connection.id(), connection.peer_ip()};
    }
    connection.observed->authorization_failed(apart);
  }
  refuse(connection, refusal, what);
}

void Shard::sweep_principals() {
  for (auto& [id, connection] : connections_) {
    if (!connection->live() || connection->device.principal().empty()) continue;
    if (context_.dependencies.authorizer.may_stay(*snapshot_, connection->device)) continue;
    const bool signed_for = connection->device.caller != nullptr;
    const std::string_view why =
        signed_for ? "the access key is not good any more" : "the certificate is not ACTIVE any more";
    refuse(*connection, signed_for ? Refusal::kCredentials : Refusal::kCertificateInactive, why);
    connection->protocol().disconnect(connection->out(), mqtt::ReasonCode::kNotAuthorized, why);
    end(*connection, EndReason::kAuthError);
  }
}

}  // namespace fleetward::broker
