// The life of a publish on its shard: checks, hook, routing.
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
  if (ticket != mqtt::kNoTicket) {
    connection.protocol().acknowledge(connection.out(), ticket, fault.reason);
  }
  connection.protocol().disconnect(connection.out(), fault.reason, fault.text);
  end(connection,
      fault.reason == ReasonCode::kNotAuthorized ? EndReason::kAuthError : EndReason::kClientError);
}

void Shard::on_publish(Connection& connection, const mqtt::Publish& publish, mqtt::AckTicket ticket) {
  if (connection.ending || connection.observed == nullptr) {
    if (ticket != mqtt::kNoTicket) connection.protocol().drop(connection.out(), ticket);
    return;
  }
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
  Fanout fanout(publish);
  fanout.publisher = connection.session;
  fanout.exactly_once = publish.qos == 2 && connection.session->persistent;
  if (fanout.exactly_once) gate_.keep_whole(true);
  const size_t mark = gate_.mark();
  const bool routed = run_hook(publisher, publish, *properties);
  if (routed) route(fanout);
  if (fanout.exactly_once) {
    // In the batch of all that the publish made durable here: a repetition finds either both or neither.
    session_store::put_unreleased(gate_.batch(), connection.session->client_id, publish.packet_id);
    gate_.keep_whole(false);
  }
  const bool joined = gate_.mark() != mark;
  if (joined) wait_for_commit();
  if (ticket == mqtt::kNoTicket) return;
  // Durable here, or being made durable elsewhere: the PUBACK leaves with the round.
  const bool waits = joined || (rounds_.is_open() && rounds_.current().waits != waits_before);
  if (!waits) {
    connection.protocol().acknowledge(connection.out(), ticket);
    return;
  }
  acknowledge_with_round(connection, ticket);
}

void Shard::acknowledge_with_round(const Connection& connection, mqtt::AckTicket ticket) {
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
  for (auto& [shard, mail] : mails) {
    const bool durable = fanout.publish.qos > 0 && (targets_.durable >> shard & 1) != 0;
    if (fanout.exactly_once) {
      send_once(shard, std::move(mail), durable);
      continue;
    }
    if (durable) {
      Rounds::Round& round = rounds_.current();
      ++round.waits;
      mail.waiter = {index_, round.id};
    }
    const size_t weight = sizeof(Mail) + message_weight(*mail.message);
    post_later(shard, std::move(mail), weight);
  }
  if ((targets_.shards & self) != 0) deliver_local(fanout);
  deliver_shared(shared_here, fanout);
}

void Shard::deliver_shared(const std::vector<SharedTarget>& targets, Fanout& fanout) {
  for (const SharedTarget& target : targets) {
    if (const LocalSubscriber member = router_.pick(target); member.session != nullptr) {
      deliver(*member.session,
              {member.session, member.subscription->qos, member.subscription->retain_as_published}, fanout);
    }
  }
}

void Shard::handle(RouteMail& mail) {
  mqtt::Publish publish;
  if (mail.routed != 0) gate_.keep_whole(true);
  const size_t mark = gate_.mark();
  if (to_publish(*mail.message, now_, publish)) {
    publish.retain = mail.message->retain;
    Fanout fanout(publish, mail.message);
    if (mail.ordinary) deliver_local(fanout);
    deliver_shared(mail.shared, fanout);
  }
  if (mail.routed != 0) {
    session_store::erase_routed(gate_.batch(), mail.routed);
    gate_.keep_whole(false);
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

}  // namespace fleetward::broker
