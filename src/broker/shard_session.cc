// The end of a connection, and the sessions that outlive it.
#include <algorithm>

#include "broker/lifecycle.h"
#include "broker/session_store.h"
#include "broker/shard.h"

namespace fleetward::broker {
namespace {

constexpr Duration kLinger{1000};  // for a client that was told to go

}  // namespace

void Shard::on_disconnect(Connection& connection, const mqtt::Disconnect& disconnect) {
  if (disconnect.reason != mqtt::ReasonCode::kDisconnectWithWill) connection.will.reset();
  ClientSession* session = connection.session;
  if (session != nullptr && disconnect.properties.has(mqtt::Property::kSessionExpiry)) {
    const uint32_t asked = disconnect.properties.number(mqtt::Property::kSessionExpiry);
    const auto most = static_cast<uint32_t>(options_.session_expiry_max.count() / 1000);
    // From 0 to something is a protocol error, which the protocol machine has seen.
    if (session->persistent) session->expiry_s = std::min(asked, most);
  }
  end(connection, EndReason::kClientInitiated);
}

void Shard::on_protocol_error(Connection& connection, mqtt::ReasonCode reason, std::string_view text) {
  refuse(connection, connection.live() ? Refusal::kProtocolError : Refusal::kConnectInvalid,
         std::string(text) + " (" + std::string(mqtt::to_string(reason)) + ")");
  end(connection, EndReason::kClientError);
}

void Shard::finish_end(Connection& connection, EndReason reason) {
  if (connection.stage() == Connection::Stage::kDead || connection.stage() == Connection::Stage::kClosing)
    return;
  if (connection.session != nullptr) release_session(connection, reason);
  const bool by_client = reason == EndReason::kClientInitiated || reason == EndReason::kWebSocketClosed;
  if (reason == EndReason::kConnectionLost) {
    connection.kill();
  } else {
    connection.close_after_flush(steady_, by_client ? Duration{0} : kLinger);
  }
}

void Shard::release_session(Connection& connection, EndReason reason) {
  ClientSession& session = *connection.session;
  stats_.disconnects.add();
  if (session.persistent) {
    for (const auto& entry : connection.protocol().inflight()) {
      if (const auto it = session.inflight.find(entry.cookie); it != session.inflight.end()) {
        it->second.packet_id = entry.packet_id;
      }
    }
    for (auto& [sequence, outgoing] : session.inflight) outgoing.active = false;
    session.inactive = 0;
    session.unreleased = connection.protocol().unreleased();
  }
  session.connection = nullptr;
  session.disconnected_since = now_;
  session.disconnect_reason = to_string(reason);
  Observed& observed = *connection.observed;
  observed.connected = false;
  observed.disconnected_since = now_;
  ++observed.disconnects;
  observed.changed = true;
  connection.observed = nullptr;
  connection.session = nullptr;
  fire_will(connection, session);
  announce_presence(connection, session, observed.thing, false, reason);
  if (!session.persistent || session.expiry_s == 0) {
    end_session(session.client_id);
    return;
  }
  session_store::put_session(gate_.batch(), session);
  session.expires = steady_ + Duration{int64_t{session.expiry_s} * 1000};
  set_session_timer(session);
}

void Shard::fire_will(Connection& connection, ClientSession& session) {
  if (!connection.will || stopping_.load(std::memory_order_relaxed)) return;
  auto will = std::make_shared<Message>(*connection.will);
  will->published = now_;
  connection.will.reset();
  const uint32_t delay_s = std::min(connection.will_delay_s, session.expiry_s);
  if (delay_s == 0) {
    stats_.wills.add();
    internal_.emplace_back(std::move(will), session.client_id);
    return;
  }
  session.delayed_will = std::move(will);
  session.will_at = steady_ + Duration{int64_t{delay_s} * 1000};
}

void Shard::end_session(const std::string& client_id) {
  const auto it = sessions_.find(client_id);
  if (it == sessions_.end()) return;
  ClientSession& session = *it->second;
  remove_subscriptions(session);
  if (session.persistent) {
    session_store::erase_session(gate_.batch(), session);
    stats_.sessions.subtract();
  }
  queued_bytes_ -= session.queue_bytes;
  if (session.delayed_will) {
    stats_.wills.add();
    internal_.emplace_back(std::move(session.delayed_will), session.client_id);
  }
  sessions_.erase(it);
}

void Shard::set_session_timer(ClientSession& session) {
  Timestamp at = session.expires;
  if (session.delayed_will && sooner(session.will_at, at)) at = session.will_at;
  if (at.ms == 0 || !sooner(at, session.timer_at)) return;
  session.timer_at = at;
  session_timers_.add(session.client_id, at);
}

void Shard::check_session(const std::string& client_id, Timestamp deadline) {
  ClientSession* session = find_session(client_id);
  if (session == nullptr || session->timer_at != deadline) return;
  session->timer_at = {};
  if (session->delayed_will && session->will_at <= steady_) {
    stats_.wills.add();
    internal_.emplace_back(std::move(session->delayed_will), session->client_id);
    session->delayed_will.reset();
  }
  if (session->connection == nullptr && session->expires.ms != 0 && session->expires <= steady_) {
    end_session(client_id);
    return;
  }
  set_session_timer(*session);
}

ClientSession* Shard::find_session(std::string_view client_id) const {
  const auto it = sessions_.find(client_id);
  return it == sessions_.end() ? nullptr : it->second.get();
}

void Shard::queue_internal(MessagePtr message) {
  internal_.emplace_back(std::move(message), std::string());
}

void Shard::announce_presence(Connection& connection, ClientSession& session, std::string_view thing,
                              bool connected, EndReason reason) {
  if (PresenceSink* sink = context_.dependencies.presence; sink != nullptr) {
    sink->on_presence({thing, connected, now_, connected ? std::string_view() : to_string(reason)});
  }
  if (!lifecycle::has_events(session.client_id)) return;
  const auto& policy = connection.access.policy();
  lifecycle::Subject subject;
  subject.client_id = session.client_id;
  if (policy && policy->thing_is_exclusive()) subject.thing_name = policy->thing();
  subject.session_id = connection.session_id;
  subject.principal = connection.device.principal();
  subject.version = session.lifecycle_version;
  subject.now = now_;
  queue_internal(connected ? lifecycle::connected(subject, connection.peer_ip())
                           : lifecycle::disconnected(subject,
                                                     reason == EndReason::kClientInitiated ||
                                                         reason == EndReason::kWebSocketClosed,
                                                     to_string(reason)));
}

// ---------------------------------------------------------------- operators

bool Shard::disconnect_client(const std::string& client_id, bool clean_session, bool prevent_will) {
  ClientSession* session = find_session(client_id);
  const bool was_connected = session != nullptr && session->connection != nullptr;
  if (was_connected) {
    Connection& connection = *session->connection;
    if (prevent_will) connection.will.reset();
    connection.protocol().disconnect(connection.out(), mqtt::ReasonCode::kAdministrativeAction);
    connection.ending = true;
    finish_end(connection, EndReason::kApiInitiated);
  }
  if (clean_session) end_session(client_id);
  return was_connected;
}

std::optional<ConnectionInfo> Shard::describe(const std::string& client_id) const {
  const ClientSession* session = find_session(client_id);
  if (session == nullptr) return std::nullopt;
  ConnectionInfo info;
  info.client_id = client_id;
  info.clean_session = !session->persistent;
  info.session_expiry_seconds = session->expiry_s;
  info.connected_since = session->connected_since;
  info.disconnect_reason = session->disconnect_reason;
  if (Connection* connection = session->connection; connection != nullptr) {
    info.connected = true;
    if (connection->observed->registered) info.thing_name = connection->observed->thing;
    info.principal = connection->device.principal();
    info.source_ip = connection->peer_ip();
    info.source_port = connection->peer_port();
    info.keep_alive_seconds = connection->protocol().keep_alive_s();
  } else {
    info.disconnected_since = session->disconnected_since;
  }
  for (const auto& [filter, subscription] : session->subscriptions) {
    info.subscriptions.push_back({filter, subscription.qos});
  }
  return info;
}

}  // namespace fleetward::broker
