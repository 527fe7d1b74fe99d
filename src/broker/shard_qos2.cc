// QoS 2: what is needed beyond QoS 1 for a message to arrive exactly once, also when the program is killed.
//
// A rule for each step of the exchange: what the other side concludes from a packet is durable before the
// packet leaves. PUBREC: the message and its packet identifier. PUBCOMP: the identifier is forgotten. PUBLISH
// to a persistent session: the message and the identifier it is sent under. PUBREL: that it was received.
// Sessions that end with their connection keep all of it in memory.
#include "broker/message_codec.h"
#include "broker/session_store.h"
#include "broker/shard.h"

namespace fleetward::broker {

// ---------------------------------------------------------------- from the client

// What it repeats is, or is being, made durable with an earlier round; rounds end in order. A retained value
// is in the log of the topic's owner, perhaps not yet when the program ended: it is set again.
void Shard::on_repeated_publish(Connection& connection, const mqtt::Publish& publish,
                                mqtt::AckTicket ticket) {
  if (connection.session == nullptr) return;
  stats_.messages_in[2].add();
  connection.observed->sent(publish.payload.size(),
                            counted_apart(connection, connection.published_counters, publish.topic));
  if (!connection.session->persistent) {
    connection.protocol().acknowledge(connection.out(), ticket);
    return;
  }
  if (publish.retain && connection.session->restored && !check_publish(connection, publish)) {
    Fanout fanout(publish);
    retain(fanout);
  }
  acknowledge_with_round(connection, ticket);
}

void Shard::on_pubrel(Connection& connection, uint16_t packet_id, mqtt::AckTicket ticket, bool known) {
  if (connection.session == nullptr) return;
  if (!connection.session->persistent) {
    connection.protocol().acknowledge(connection.out(), ticket);
    return;
  }
  if (known) {
    session_store::erase_unreleased(gate_.batch(), connection.session->client_id, packet_id);
    wait_for_commit();
  }
  acknowledge_with_round(connection, ticket);
}

// Another shard's queues are in another batch. So the message waits in this one's, under a key of its own,
// and is handed over when that is durable; the receiver erases the key in the batch of its queues.
void Shard::send_once(uint32_t shard, RouteMail mail, bool durable) {
  if (durable) {
    mail.routed = ++context_.last_routed;
    session_store::put_routed(
        gate_.batch(), {mail.routed, shard, static_cast<uint32_t>(context_.shards.size()), mail.ordinary,
                        mail.shared, mail.message});
  }
  rounds_.current().then.push_back([this, shard, mail = std::move(mail)] {
    post_later(shard, mail, sizeof(Mail) + message_weight(*mail.message));
  });
}

void Shard::recover(const session_store::Routed& routed, log::Batch& batch) {
  if (!routed.ordinary) return;
  find_receivers(routed.message->topic, nullptr);
  for (const Receiver& receiver : receivers_) {
    ClientSession& session = *receiver.session;
    if (TextHash()(session.client_id) % routed.shards != routed.shard) continue;
    recover_for(session, receiver.qos, receiver.retain_as_published, routed, batch);
  }
}

bool Shard::recover_shared(const session_store::Routed& routed, const SharedTarget& target,
                           log::Batch& batch) {
  const LocalSubscriber member = router_.pick(target);
  if (member.session == nullptr) return false;
  recover_for(*member.session, member.subscription->qos, member.subscription->retain_as_published, routed,
              batch);
  return true;
}

void Shard::recover_for(ClientSession& session, uint8_t qos, bool retain_as_published,
                        const session_store::Routed& routed, log::Batch& batch) {
  Outgoing outgoing;
  outgoing.qos = std::min(qos, static_cast<uint8_t>(routed.message->qos));
  if (outgoing.qos == 0) return;
  if (!has_room(session, message_weight(*routed.message))) {
    stats_.refuse(Refusal::kQueueFull);
    return;
  }
  outgoing.sequence = session.next_sequence++;
  outgoing.message = routed.message;
  outgoing.retain = routed.message->retain && retain_as_published;
  keep(session, std::move(outgoing), batch);
}

// ---------------------------------------------------------------- to the client

// The front of the queue gets the packet identifier that it keeps; it leaves when both are durable.
Shard::Pumped Shard::pump_qos2(ClientSession& session, Connection& connection) {
  Outgoing& front = session.queue.front();
  const auto packet_id = connection.protocol().reserve(front.sequence);
  if (!packet_id) return Pumped::kStop;
  front.packet_id = *packet_id;
  front.stage = Outgoing::Stage::kUnsent;
  front.active = true;
  session_store::put_position(gate_.batch(), session.client_id, front);
  wait_for_commit();
  send_after_commit(connection, front.sequence);
  session.inflight.emplace(front.sequence, std::move(front));
  session.queue.pop_front();
  return Pumped::kNext;
}

// With the round: after everything that joined the log's batches so far.
void Shard::send_after_commit(const Connection& connection, uint64_t sequence) {
  rounds_.current().sends.push_back({connection.id(), sequence});
}

void Shard::send_kept(Connection& connection, uint64_t sequence) {
  if (connection.session == nullptr || connection.ending) return;
  ClientSession& session = *connection.session;
  const auto it = session.inflight.find(sequence);
  if (it == session.inflight.end() || !it->second.active) return;
  Outgoing& outgoing = it->second;
  mark_dirty(connection);
  if (outgoing.stage == Outgoing::Stage::kReleased) {
    connection.protocol().release(connection.out(), outgoing.packet_id);
    return;
  }
  if (outgoing.stage != Outgoing::Stage::kUnsent) return;
  to_publish(*outgoing.message, now_, outgoing_publish_);
  outgoing_publish_.retain = outgoing.retain;
  if (connection.protocol().publish_reserved(connection.out(), outgoing_publish_, outgoing.packet_id,
                                             false) != mqtt::Session::Sent::kSent) {
    stats_.refuse(Refusal::kPacketTooLarge);
    forget(session, outgoing);
    session.inflight.erase(it);
    return;
  }
  outgoing.stage = Outgoing::Stage::kSent;
  stats_.messages_out[2].add();
  delivered(connection, outgoing.message->topic);
}

void Shard::on_pubrec(Connection& connection, uint16_t packet_id, uint64_t cookie) {
  if (connection.session == nullptr) return;
  ClientSession& session = *connection.session;
  const auto it = session.inflight.find(cookie);
  if (it == session.inflight.end()) {
    connection.protocol().release(connection.out(), packet_id);  // nothing is kept of it
  } else {
    set_released(session, connection, it->second);
  }
}

void Shard::set_released(ClientSession& session, Connection& connection, Outgoing& outgoing) {
  release_message(session, outgoing);
  outgoing.stage = Outgoing::Stage::kReleased;
  if (session.persistent) {
    session_store::put_position(gate_.batch(), session.client_id, outgoing);
    wait_for_commit();
  }
  send_after_commit(connection, outgoing.sequence);
}

// A new connection goes on where the one before ended. False if the client's window does not take it yet.
// What was sent is sent again even if it has expired meanwhile: the exchange must come to its end.
bool Shard::resume(ClientSession& session, Connection& connection, Outgoing& outgoing) {
  mqtt::Session& protocol = connection.protocol();
  if (outgoing.stage == Outgoing::Stage::kSent) {
    to_publish(*outgoing.message, now_, outgoing_publish_);
    outgoing_publish_.qos = 2;
    outgoing_publish_.retain = outgoing.retain;
    const auto sent =
        protocol.resend(connection.out(), outgoing_publish_, outgoing.packet_id, outgoing.sequence);
    if (sent != mqtt::Session::Sent::kTooLarge) {
      outgoing.active = sent == mqtt::Session::Sent::kSent;
      if (!outgoing.active) return false;
      stats_.messages_out[2].add();
      delivered(connection, outgoing.message->topic);
      return true;
    }
    // It may have the message from before its maximum shrank: a PUBREL ends the exchange either way.
    stats_.refuse(Refusal::kPacketTooLarge);
    outgoing.active = protocol.adopt(outgoing.packet_id, outgoing.sequence, true);
    set_released(session, connection, outgoing);
    return true;
  }
  const bool received = outgoing.stage == Outgoing::Stage::kReleased;
  outgoing.active = protocol.adopt(outgoing.packet_id, outgoing.sequence, received);
  if (outgoing.active) send_after_commit(connection, outgoing.sequence);
  return outgoing.active;
}

void Shard::resume_inactive(ClientSession& session, Connection& connection) {
  session.inactive = 0;
  for (auto& [sequence, outgoing] : session.inflight) {
    if (outgoing.qos != 2 || outgoing.active) continue;
    if (session.inactive > 0 || !resume(session, connection, outgoing)) ++session.inactive;
  }
}

}  // namespace fleetward::broker
