// The life of a publish on its shard: checks, hook, routing, delivery; and the queues of its receivers.
#include <algorithm>

#include "broker/lifecycle.h"
#include "broker/message_codec.h"
#include "broker/session_store.h"
#include "broker/shard.h"
#include "broker/topics.h"

namespace fleetward::broker {

using mqtt::ReasonCode;
using registry::DeviceAction;

std::optional<Shard::PublishFault> Shard::check_publish(Connection& connection,
                                                        const mqtt::Publish& publish) {
  if (publish.payload.size() > options_.payload_bytes_max) {
    return PublishFault{Refusal::kPublishTooLarge, ReasonCode::kPacketTooLarge, "the payload is too large"};
  }
  if (!is_ordinary_topic(publish.topic)) {
    if (const auto text = publish_refusal(publish.topic)) {
      return PublishFault{Refusal::kPublishTopic, ReasonCode::kTopicNameInvalid, std::string(*text)};
    }
    if (publish.retain) {
      return PublishFault{Refusal::kPublishTopic, ReasonCode::kTopicNameInvalid,
                          "reserved topics take no retained messages"};
    }
  }
  if (!allowed(connection, DeviceAction::kPublish, publish.topic)) {
    return PublishFault{Refusal::kPublishNotAuthorized, ReasonCode::kNotAuthorized, "iot:Publish"};
  }
  if (publish.retain && !allowed(connection, DeviceAction::kRetainPublish, publish.topic)) {
    return PublishFault{Refusal::kPublishNotAuthorized, ReasonCode::kNotAuthorized, "iot:RetainPublish"};
  }
  return std::nullopt;
}

// As AWS IoT Core: 3.1.1 has no way to say it, so the connection ends; version 5 is told, then it ends too.
void Shard::refuse_publish(Connection& connection, const mqtt::Publish& publish, mqtt::AckTicket ticket,
                           const PublishFault& fault) {
  const std::string what = fault.text + " on '" + std::string(publish.topic) + "'";
  if (fault.reason == ReasonCode::kNotAuthorized) {
    authorization_failed(connection, fault.refusal, what, publish.topic);
  } else {
    refuse(connection, fault.refusal, what);
  }
  // A PUBACK of 3.1.1 holds no reason: it would say that the message was taken.
  if (ticket != mqtt::kNoTicket && connection.protocol().version() == mqtt::Version::k5) {
    connection.protocol().acknowledge(connection.out(), ticket, fault.reason);
  }
  connection.protocol().disconnect(connection.out(), fault.reason, fault.text);
  end(connection,
      fault.reason == ReasonCode::kNotAuthorized ? EndReason::kAuthError : EndReason::kClientError);
}

void Shard::on_publish(Connection& connection, const mqtt::Publish& publish, mqtt::AckTicket ticket) {
  if (connection.ending || connection.observed == nullptr) return;
  stats_.messages_in[publish.qos].add();
  connection.observed->sent(publish.payload.size(),
                            counted_apart(connection, connection.published_counters, publish.topic));
  if (const auto fault = check_publish(connection, publish)) {
    refuse_publish(connection, publish, ticket, *fault);
    return;
  }
  const Message* properties = &plain_properties_[publish.qos][publish.retain ? 1 : 0];
  if (!publish.properties.empty()) {
    properties_ = Message{};
    properties_.offspring_max = options_.republish_messages_max;
    properties_from_publish(publish, properties_);
    properties = &properties_;
  }
  const uint32_t waits_before = rounds_.is_open() ? rounds_.current().waits : 0;
  const Publisher publisher{connection.request.client_id, connection.device.principal(),
                            connection.peer_ip()};
  const size_t mark = gate_.mark();
  const bool routed = run_hook(publisher, publish, *properties);
  Fanout fanout(publish);
  fanout.publisher = connection.session;
  if (routed) route(fanout);
  const bool joined = gate_.mark() != mark;
  if (joined) wait_for_commit();
  if (ticket == mqtt::kNoTicket) return;
  // Durable here, or being made durable elsewhere: the PUBACK leaves with the round.
  const bool waits = joined || (rounds_.is_open() && rounds_.current().waits != waits_before);
  if (!waits) {
    connection.protocol().acknowledge(connection.out(), ticket);
    return;
  }
  auto& acknowledgements = rounds_.current().acknowledgements;
  if (!acknowledgements.empty() && acknowledgements.back().connection == connection.id()) {
    acknowledgements.back().through = ticket;
  } else {
    acknowledgements.push_back({connection.id(), ticket});
  }
}

CountedApart Shard::counted_apart(Connection& connection, LastCounters& last, std::string_view topic) {
  if (counted_ == nullptr) return {};
  if (last.version != counted_version_ || last.topic != topic) {
    const mqtt::MatchOptions matching =
        options_.aws_wildcards ? mqtt::MatchOptions::aws() : mqtt::MatchOptions();
    last.mask = counters_for(*counted_, topic, connection.request.client_id, matching);
    last.topic.assign(topic);
    last.version = counted_version_;
  }
  return {last.mask, connection.id(), connection.peer_ip()};
}

void Shard::delivered(Connection& connection, std::string_view topic) {
  connection.observed->received(counted_apart(connection, connection.delivered_counters, topic));
}

// True if subscribers are to get it.
bool Shard::run_hook(const Publisher& publisher, const mqtt::Publish& publish, const Message& properties) {
  auto verdict = context_.dependencies.hook.on_publish(publisher, publish.topic, publish.payload, properties,
                                                       now_, gate_.batch());
  const size_t share =
      offspring_share(properties.hops, properties.offspring_max, verdict.replies.size() + verdict.deferred);
  for (MessagePtr& reply : verdict.replies) {
    if (properties.hops >= options_.republish_hops_max || share == 0) {
      stats_.refuse(Refusal::kRepublishHops);
      cut_chains_.log(logger_, reply->topic, steady_);
      continue;
    }
    auto copy = std::make_shared<Message>(*reply);
    copy->hops = properties.hops + 1;
    copy->offspring_max = share;
    rounds_.current().replies.push_back(std::move(copy));
  }
  return verdict.route_to_subscribers;
}

// What the program itself publishes: replies, lifecycle events, the API, wills (whose client is named).
void Shard::publish_internal(const MessagePtr& given, std::string_view client_id) {
  MessagePtr message = given;
  if (message->published.ms == 0 || message->hops == 0) {
    auto copy = std::make_shared<Message>(*message);
    if (copy->published.ms == 0) copy->published = now_;
    if (copy->hops == 0) copy->offspring_max = options_.republish_messages_max;
    message = std::move(copy);
  }
  mqtt::Publish publish;
  if (!to_publish(*message, now_, publish)) {
    stats_.refuse(Refusal::kMessageExpired);
    return;
  }
  publish.retain = message->retain;
  const size_t mark = gate_.mark();
  const Publisher publisher{client_id, {}, {}};
  if (message->subscribers_only || run_hook(publisher, publish, *message)) {
    Fanout fanout(publish, message);
    route(fanout);
  }
  if (gate_.mark() != mark) wait_for_commit();
}

const MessagePtr& Shard::message_of(Fanout& fanout) const {
  if (!fanout.message) {
    auto message = std::make_shared<Message>();
    from_publish(fanout.publish, now_, *message);
    fanout.message = std::move(message);
  }
  return fanout.message;
}

void Shard::route(Fanout& fanout) {
  if (fanout.publish.retain) retain(fanout);
  if (router_.nobody()) return;
  router_.match(fanout.publish.topic, targets_);
  if (targets_.empty()) return;
  const uint64_t self = uint64_t{1} << index_;
  // Shared subscriptions: one member each, some of them on other shards.
  std::vector<std::pair<uint32_t, RouteMail>> mails;
  const auto mail_for = [&](uint32_t shard) -> RouteMail& {
    for (auto& [to, mail] : mails) {
      if (to == shard) return mail;
    }
    return mails.emplace_back(shard, RouteMail{message_of(fanout), false, {}, {}}).second;
  };
  std::vector<SharedTarget> shared_here;
  for (Router::Targets::Shared& shared : targets_.shared) {
    if (shared.shard == index_) {
      shared_here.push_back(std::move(shared.target));
    } else {
      mail_for(shared.shard).shared.push_back(std::move(shared.target));
    }
  }
  for (uint64_t others = targets_.shards & ~self; others != 0; others &= others - 1) {
    mail_for(static_cast<uint32_t>(__builtin_ctzll(others))).ordinary = true;
  }
  const bool qos1 = fanout.publish.qos > 0;
  for (auto& [shard, mail] : mails) {
    if (qos1 && (targets_.durable >> shard & 1) != 0) {
      Rounds::Round& round = rounds_.current();
      ++round.waits;
      mail.waiter = {index_, round.id};
    }
    const size_t weight = sizeof(Mail) + message_weight(*mail.message);
    post_later(shard, std::move(mail), weight);
  }
  if ((targets_.shards & self) != 0) deliver_local(fanout);
  for (const SharedTarget& target : shared_here) {
    if (const LocalSubscriber member = router_.pick(target); member.session != nullptr) {
      deliver(*member.session,
              {member.session, member.subscription->qos, member.subscription->retain_as_published}, fanout);
    }
  }
}

void Shard::handle(RouteMail& mail) {
  mqtt::Publish publish;
  const size_t mark = gate_.mark();
  if (to_publish(*mail.message, now_, publish)) {
    publish.retain = mail.message->retain;
    Fanout fanout(publish, mail.message);
    if (mail.ordinary) deliver_local(fanout);
    for (const SharedTarget& target : mail.shared) {
      if (const LocalSubscriber member = router_.pick(target); member.session != nullptr) {
        deliver(*member.session,
                {member.session, member.subscription->qos, member.subscription->retain_as_published}, fanout);
      }
    }
  }
  if (mail.waiter.round == 0) return;
  if (gate_.mark() != mark) {
    gate_.wait(mail.waiter);
  } else {
    context_.shards[mail.waiter.shard]->mailbox().post_always(DurableMail{mail.waiter.round, 1});
  }
}

// The map is changed here and now; its durable form is written by the topic's owner, who writes what the map
// holds then. So the log ends with the last value, whichever shards set it.
void Shard::retain(Fanout& fanout) {
  if (!context_.retained.set(message_of(fanout))) {
    stats_.refuse(Refusal::kRetainedMax);
    return;
  }
  // A subscriber elsewhere that has not seen the new value has announced itself by now: see on_subscribe().
  absorb_mail();
  Rounds::Round& round = rounds_.current();
  const uint32_t owner = context_.owner_of(fanout.publish.topic);
  RetainMail mail{std::string(fanout.publish.topic), {index_, round.id}};
  ++round.waits;
  if (owner == index_) {
    handle(mail);
  } else {
    const size_t weight = sizeof(Mail) + mail.topic.size();
    post_later(owner, std::move(mail), weight);
  }
}

void Shard::handle(RetainMail& mail) {
  if (const MessagePtr message = context_.retained.get(mail.topic)) {
    session_store::put_retained(gate_.batch(), *message);
  } else {
    session_store::erase_retained(gate_.batch(), mail.topic);
  }
  gate_.wait(mail.waiter);
}

void Shard::deliver_local(Fanout& fanout) {
  receivers_.clear();
  ++fanout_id_;
  router_.match_local(fanout.publish.topic, [&](const LocalSubscriber& subscriber) {
    ClientSession& session = *subscriber.session;
    const SessionSubscription& subscription = *subscriber.subscription;
    if (subscription.no_local && &session == fanout.publisher) return;
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
  if (std::min(fanout.publish.qos, receiver.qos) > 0) {
    deliver_qos1(session, retain_flag, fanout);
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

void Shard::deliver_qos1(ClientSession& session, bool retain_flag, Fanout& fanout) {
  Connection* connection = session.connection;
  if (connection != nullptr && (connection->ending || !connection->live())) connection = nullptr;
  if (connection == nullptr && !session.persistent) return;  // it is ending
  const bool at_once = connection != nullptr && session.queue.empty() &&
                       !connection->protocol().window_full() &&
                       connection->outbound_bytes() < options_.outbound_bytes_max;
  Outgoing outgoing;
  outgoing.sequence = session.next_sequence++;
  outgoing.retain = retain_flag;
  if (!session.persistent && at_once) {
    // Nothing to keep: a clean session's messages end with its connection.
    const auto& frame = fanout.frames.get(connection->protocol().version(), 1, retain_flag);
    if (connection->protocol().publish(connection->out(), frame, outgoing.sequence) !=
        mqtt::Session::Sent::kSent) {
      stats_.refuse(Refusal::kPacketTooLarge);
      return;
    }
    stats_.messages_out[1].add();
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

bool Shard::enqueue(ClientSession& session, Outgoing outgoing) {
  const size_t weight = message_weight(*outgoing.message);
  const size_t share = options_.queued_bytes_max / context_.shards.size();
  if (session.queue.size() + session.inflight.size() >= options_.queue_messages_max ||
      session.queue_bytes + weight > options_.queue_bytes_max || queued_bytes_ + weight > share) {
    stats_.refuse(Refusal::kQueueFull);
    if (Connection* connection = session.connection; connection != nullptr && !connection->ending) {
      refuse(*connection, Refusal::kSlowReader,
             "its queue is full: it does not keep up with what it subscribed");
      connection->protocol().disconnect(connection->out(), ReasonCode::kQuotaExceeded);
      end(*connection, EndReason::kThrottled);
    }
    return false;
  }
  if (session.persistent) {
    session_store::put_message(gate_.batch(), session.client_id, outgoing);
    gate_.roll();  // many sessions may want one large message
  }
  session.queue_bytes += weight;
  queued_bytes_ += weight;
  session.queue.push_back(std::move(outgoing));
  return true;
}

// Sends what waits, as far as the client's window and its socket allow.
void Shard::pump(ClientSession& session) {
  Connection* connection = session.connection;
  if (connection == nullptr || connection->ending || !connection->live()) return;
  while (!session.queue.empty() && connection->outbound_bytes() < options_.outbound_bytes_max) {
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
  outgoing_publish_.qos = 1;
  outgoing_publish_.retain = front.retain;
  switch (connection.protocol().publish(connection.out(), outgoing_publish_, front.sequence)) {
    case mqtt::Session::Sent::kSent:
      break;
    case mqtt::Session::Sent::kTooLarge:
      return drop(Refusal::kPacketTooLarge);
    default:
      return Pumped::kStop;
  }
  stats_.messages_out[1].add();
  delivered(connection, front.message->topic);
  if (session.persistent) {
    session.inflight.emplace(front.sequence, std::move(front));
  } else {
    forget(session, front);
  }
  session.queue.pop_front();
  return Pumped::kNext;
}

// The message is delivered, or given up: its memory and its key go.
void Shard::forget(ClientSession& session, Outgoing& outgoing) {
  const size_t weight = message_weight(*outgoing.message);
  session.queue_bytes -= weight;
  queued_bytes_ -= weight;
  if (outgoing.stored) session_store::erase_message(gate_.batch(), session.client_id, outgoing);
}

void Shard::on_puback(Connection& connection, uint64_t cookie) {
  if (connection.session == nullptr) return;
  ClientSession& session = *connection.session;
  if (const auto it = session.inflight.find(cookie); it != session.inflight.end()) {
    forget(session, it->second);
    session.inflight.erase(it);
  }
  if (!session.queue.empty()) pump(session);
}

void Shard::on_writable(Connection& connection) {
  if (connection.session != nullptr && !connection.session->queue.empty()) pump(*connection.session);
}

}  // namespace fleetward::broker
