// The subscribers of this shard, and what waits for them.
#include <algorithm>

#include "broker/message_codec.h"
#include "broker/session_store.h"
#include "broker/shard.h"

namespace fleetward::broker {

using mqtt::ReasonCode;
using registry::DeviceAction;

// Into receivers_.
void Shard::find_receivers(std::string_view topic, const ClientSession* publisher) {
  receivers_.clear();
  ++fanout_id_;
  router_.match_local(topic, [&](const LocalSubscriber& subscriber) {
    ClientSession& session = *subscriber.session;
    const SessionSubscription& subscription = *subscriber.subscription;
    if (subscription.no_local && &session == publisher) return;
    // Overlapping subscriptions: one copy, at the highest QoS [MQTT-3.3.4-2].
    if (session.fanout == fanout_id_) {
      Receiver& seen = receivers_[session.fanout_index];
      seen.qos = std::max(seen.qos, subscription.qos);
      seen.retain_as_published = seen.retain_as_published || subscription.retain_as_published;
      return;
    }
    session.fanout = fanout_id_;
    session.fanout_index = receivers_.size();
    receivers_.push_back({&session, subscription.qos, subscription.retain_as_published});
  });
}

void Shard::deliver_local(Fanout& fanout) {
  find_receivers(fanout.publish.topic, fanout.publisher);
  fanout.keepers =
      static_cast<size_t>(std::count_if(receivers_.begin(), receivers_.end(), [](const Receiver& r) {
        return r.session->persistent && r.qos > 0;
      }));
  for (const Receiver& receiver : receivers_) deliver(*receiver.session, receiver, fanout);
}

void Shard::deliver(ClientSession& session, const Receiver& receiver, Fanout& fanout) {
  Connection* connection = session.connection;
  if (connection != nullptr && (connection->ending || !connection->live())) connection = nullptr;
  if (connection != nullptr && !allowed(*connection, DeviceAction::kReceive, fanout.publish.topic)) {
    stats_.refuse(Refusal::kReceiveNotAuthorized);
    return;
  }
  const bool retain_flag = fanout.publish.retain && receiver.retain_as_published;
  if (const uint8_t qos = std::min(fanout.publish.qos, receiver.qos); qos > 0) {
    deliver_kept(session, qos, retain_flag, fanout);
    return;
  }
  if (connection == nullptr) return;
  if (connection->outbound_bytes() >= options_.outbound_bytes_max) {
    stats_.refuse(Refusal::kSlowReader);
    return;
  }
  const auto& frame = fanout.frames.get(connection->protocol().version(), 0, retain_flag);
  const auto sent = connection->protocol().publish(connection->out(), frame, 0);
  if (sent != mqtt::Session::Sent::kSent) {
    stats_.refuse(Refusal::kPacketTooLarge);
    return;
  }
  stats_.messages_out[0].add();
  delivered(*connection, fanout.publish.topic);
  mark_dirty(*connection);
}

void Shard::deliver_kept(ClientSession& session, uint8_t qos, bool retain_flag, Fanout& fanout) {
  Connection* connection = session.connection;
  if (connection != nullptr && (connection->ending || !connection->live())) connection = nullptr;
  if (connection == nullptr && !session.persistent) return;  // it is ending
  const bool at_once = connection != nullptr && session.queue.empty() && session.inactive == 0 &&
                       !connection->protocol().window_full() &&
                       connection->outbound_bytes() < options_.outbound_bytes_max;
  Outgoing outgoing;
  outgoing.sequence = session.next_sequence++;
  outgoing.retain = retain_flag;
  outgoing.qos = qos;
  if (!session.persistent && at_once) {
    // Nothing to keep: a clean session's messages end with its connection.
    const auto& frame = fanout.frames.get(connection->protocol().version(), qos, retain_flag);
    if (connection->protocol().publish(connection->out(), frame, outgoing.sequence) !=
        mqtt::Session::Sent::kSent) {
      stats_.refuse(Refusal::kPacketTooLarge);
      return;
    }
    stats_.messages_out[qos].add();
    delivered(*connection, fanout.publish.topic);
    mark_dirty(*connection);
    return;
  }
  outgoing.message = message_of(fanout);
  if (session.persistent && fanout.keepers > 1) {
    if (!fanout.shared) fanout.shared = std::make_shared<SharedMessage>(++context_.last_shared_message);
    outgoing.shared = fanout.shared;
  }
  if (!enqueue(session, std::move(outgoing))) return;
  if (at_once) pump(session);
}

bool Shard::has_room(const ClientSession& session, size_t weight) const {
  const size_t share = options_.queued_bytes_max / context_.shards.size();
  return session.queue.size() + session.inflight.size() < options_.queue_messages_max &&
         session.queue_bytes + weight <= options_.queue_bytes_max && queued_bytes_ + weight <= share;
}

bool Shard::enqueue(ClientSession& session, Outgoing outgoing) {
  if (!has_room(session, message_weight(*outgoing.message))) {
    stats_.refuse(Refusal::kQueueFull);
    if (Connection* connection = session.connection; connection != nullptr && !connection->ending) {
      refuse(*connection, Refusal::kSlowReader,
             "its queue is full: it does not keep up with what it subscribed");
      connection->protocol().disconnect(connection->out(), ReasonCode::kQuotaExceeded);
      end(*connection, EndReason::kThrottled);
    }
    return false;
  }
  keep(session, std::move(outgoing), gate_.batch());
  if (session.persistent) gate_.roll();  // many sessions may want one large message
  return true;
}

void Shard::keep(ClientSession& session, Outgoing outgoing, log::Batch& batch) {
  if (session.persistent) session_store::put_message(batch, session.client_id, outgoing);
  const size_t weight = message_weight(*outgoing.message);
  session.queue_bytes += weight;
  queued_bytes_ += weight;
  session.queue.push_back(std::move(outgoing));
}

// Sends what waits, as far as the client's window and its socket allow.
void Shard::pump(ClientSession& session) {
  Connection* connection = session.connection;
  if (connection == nullptr || connection->ending || !connection->live()) return;
  if (session.inactive > 0) resume_inactive(session, *connection);
  while (session.inactive == 0 && !session.queue.empty() &&
         connection->outbound_bytes() < options_.outbound_bytes_max) {
    if (pump_one(session, *connection) == Pumped::kStop) break;
  }
  if (!connection->out().empty()) mark_dirty(*connection);
}

Shard::Pumped Shard::pump_one(ClientSession& session, Connection& connection) {
  Outgoing& front = session.queue.front();
  auto drop = [&](Refusal refusal) {
    stats_.refuse(refusal);
    forget(session, front);
    session.queue.pop_front();
    return Pumped::kNext;
  };
  if (!to_publish(*front.message, now_, outgoing_publish_)) return drop(Refusal::kMessageExpired);
  if (!allowed(connection, DeviceAction::kReceive, front.message->topic)) {
    return drop(Refusal::kReceiveNotAuthorized);
  }
  if (front.qos == 2 && session.persistent) return pump_qos2(session, connection);
  outgoing_publish_.qos = front.qos;
  outgoing_publish_.retain = front.retain;
  switch (connection.protocol().publish(connection.out(), outgoing_publish_, front.sequence)) {
    case mqtt::Session::Sent::kSent:
      break;
    case mqtt::Session::Sent::kTooLarge:
      return drop(Refusal::kPacketTooLarge);
    default:
      return Pumped::kStop;
  }
  stats_.messages_out[front.qos].add();
  delivered(connection, front.message->topic);
  if (session.persistent) {
    session.inflight.emplace(front.sequence, std::move(front));
  } else {
    forget(session, front);
  }
  session.queue.pop_front();
  return Pumped::kNext;
}

// Its memory and its key go.
void Shard::release_message(ClientSession& session, Outgoing& outgoing) {
  if (!outgoing.message) return;
  const size_t weight = message_weight(*outgoing.message);
  session.queue_bytes -= weight;
  queued_bytes_ -= weight;
  if (outgoing.stored) session_store::erase_message(gate_.batch(), session.client_id, outgoing);
  outgoing.message.reset();
}

// The message is delivered, or given up.
void Shard::forget(ClientSession& session, Outgoing& outgoing) {
  release_message(session, outgoing);
  if (outgoing.qos == 2 && outgoing.packet_id != 0 && session.persistent) {
    session_store::erase_position(gate_.batch(), session.client_id, outgoing);
  }
}

void Shard::on_puback(Connection& connection, uint64_t cookie) {
  if (connection.session == nullptr) return;
  ClientSession& session = *connection.session;
  if (const auto it = session.inflight.find(cookie); it != session.inflight.end()) {
    forget(session, it->second);
    session.inflight.erase(it);
  }
  if (!session.queue.empty() || session.inactive > 0) pump(session);
}

void Shard::on_writable(Connection& connection) {
  if (connection.session != nullptr && !connection.session->queue.empty()) pump(*connection.session);
}

}  // namespace fleetward::broker
