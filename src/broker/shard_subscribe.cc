// SUBSCRIBE and UNSUBSCRIBE.
#include "broker/lifecycle.h"
#include "broker/message_codec.h"
#include "broker/session_store.h"
#include "broker/shard.h"
#include "broker/topics.h"

namespace fleetward::broker {

using mqtt::ReasonCode;

// Order matters: the interest is in all mailboxes before the retained messages are read and before the SUBACK
// leaves. So a publish that follows the SUBACK finds the subscription wherever it comes in (after_receive()),
// and a retained publish at the same time is either read here or routed here (retain()).
void Shard::on_subscribe(Connection& connection, uint16_t packet_id,
                         std::span<const mqtt::RequestedSubscription> subscriptions) {
  if (connection.ending || connection.session == nullptr) return;
  std::vector<ReasonCode> reasons;
  std::vector<std::string> made;
  std::vector<std::pair<mqtt::Subscription, bool>> retained;
  const size_t mark = gate_.mark();
  for (const auto& requested : subscriptions) {
    bool is_new = false;
    const ReasonCode reason = subscribe_one(connection, requested, is_new);
    reasons.push_back(reason);
    if (mqtt::is_error(reason)) continue;
    made.emplace_back(requested.subscription.filter);
    retained.emplace_back(requested.subscription, is_new);
  }
  if (gate_.mark() == mark) {
    connection.protocol().suback(connection.out(), packet_id, reasons);
  } else {
    // A persistent session's subscriptions are durable before they are promised.
    wait_for_commit();
    rounds_.current().then.push_back([this, id = connection.id(), packet_id, reasons] {
      const auto it = connections_.find(id);
      if (it == connections_.end() || !it->second->live()) return;
      it->second->protocol().suback(it->second->out(), packet_id, reasons);
      mark_dirty(*it->second);
    });
  }
  for (const auto& [subscription, is_new] : retained) send_retained(connection, subscription, is_new);
  if (!made.empty()) announce_subscriptions(connection, true, std::move(made));
}

ReasonCode Shard::subscribe_one(Connection& connection, const mqtt::RequestedSubscription& requested,
                                bool& is_new) {
  ClientSession& session = *connection.session;
  const mqtt::Subscription& wanted = requested.subscription;
  const auto share = mqtt::parse_share(wanted.filter);
  const std::string_view filter = share ? share->filter : wanted.filter;
  if (mqtt::is_error(requested.check)) {
    refuse(connection, Refusal::kSubscribeInvalid, wanted.filter);
    return requested.check;
  }
  if (const auto text = subscribe_refusal(filter)) {
    refuse(connection, Refusal::kSubscribeInvalid, std::string(*text) + ": " + std::string(wanted.filter));
    return ReasonCode::kTopicFilterInvalid;
  }
  if (!allowed(connection, registry::DeviceAction::kSubscribe, filter)) {
    authorization_failed(connection, Refusal::kSubscribeNotAuthorized,
                         "iot:Subscribe on '" + std::string(wanted.filter) + "'", filter);
    return ReasonCode::kNotAuthorized;
  }
  const auto qos = std::min(wanted.qos, context_.protocol->maximum_qos);  // [MQTT-3.8.4-7]
  auto it = session.subscriptions.find(wanted.filter);
  is_new = it == session.subscriptions.end();
  if (is_new) {
    if (session.subscriptions.size() >= options_.subscriptions_per_connection_max) {
      refuse(connection, Refusal::kSubscriptionsMax, wanted.filter);
      return ReasonCode::kQuotaExceeded;
    }
    it = session.subscriptions.emplace(std::string(wanted.filter), SessionSubscription{}).first;
  }
  SessionSubscription& subscription = it->second;
  const bool was_durable = !is_new && session.persistent && subscription.qos > 0;
  subscription.qos = qos;
  subscription.no_local = wanted.no_local;
  subscription.retain_as_published = wanted.retain_as_published;
  if (is_new) {
    router_.add(wanted.filter, {&session, &subscription});
    stats_.subscriptions.add();
    stats_.subscriptions_made.add();
  } else {
    router_.changed(wanted.filter, was_durable, session.persistent && qos > 0);
  }
  if (session.persistent) {
    session_store::put_subscription(gate_.batch(), session.client_id, wanted.filter, subscription);
  }
  return static_cast<ReasonCode>(qos);
}

void Shard::send_retained(Connection& connection, const mqtt::Subscription& wanted, bool is_new) {
  if (connection.session == nullptr || mqtt::parse_share(wanted.filter)) return;
  if (wanted.retain_handling == 2 || (wanted.retain_handling == 1 && !is_new)) return;
  // Bounded by what the session may have waiting: a subscriber of everything gets as much as fits, in the
  // order of topics, and is not cut off for the rest.
  const ClientSession& session = *connection.session;
  const size_t waiting = session.queue.size() + session.inflight.size();
  const size_t room = options_.queue_messages_max - std::min(waiting, options_.queue_messages_max);
  const auto messages = context_.retained.match(wanted.filter, now_, room + 1);
  if (messages.size() > room) stats_.refuse(Refusal::kQueueFull);
  for (size_t i = 0; i < std::min(messages.size(), room); ++i) {
    const MessagePtr& message = messages[i];
    mqtt::Publish publish;
    if (!to_publish(*message, now_, publish)) continue;
    publish.retain = true;
    Fanout fanout(publish, message);
    deliver(*connection.session,
            {connection.session, std::min(wanted.qos, context_.protocol->maximum_qos), true}, fanout);
    if (connection.ending) return;
  }
}

void Shard::on_unsubscribe(Connection& connection, uint16_t packet_id,
                           std::span<const std::string_view> filters) {
  if (connection.ending || connection.session == nullptr) return;
  ClientSession& session = *connection.session;
  std::vector<ReasonCode> reasons;
  std::vector<std::string> gone;
  const size_t mark = gate_.mark();
  for (const std::string_view filter : filters) {
    const auto it = session.subscriptions.find(filter);
    if (it == session.subscriptions.end()) {
      reasons.push_back(ReasonCode::kNoSubscriptionExisted);
      continue;
    }
    router_.remove(filter, {&session, &it->second});
    stats_.subscriptions.subtract();
    if (session.persistent) session_store::erase_subscription(gate_.batch(), session.client_id, filter);
    gone.emplace_back(filter);
    session.subscriptions.erase(it);
    reasons.push_back(ReasonCode::kSuccess);
  }
  if (gate_.mark() == mark) {
    connection.protocol().unsuback(connection.out(), packet_id, reasons);
  } else {
    wait_for_commit();
    rounds_.current().then.push_back([this, id = connection.id(), packet_id, reasons] {
      const auto it = connections_.find(id);
      if (it == connections_.end() || !it->second->live()) return;
      it->second->protocol().unsuback(it->second->out(), packet_id, reasons);
      mark_dirty(*it->second);
    });
  }
  if (!gone.empty()) announce_subscriptions(connection, false, std::move(gone));
}

void Shard::remove_subscriptions(ClientSession& session) {
  for (auto& [filter, subscription] : session.subscriptions) {
    router_.remove(filter, {&session, &subscription});
    stats_.subscriptions.subtract();
  }
  session.subscriptions.clear();
}

void Shard::announce_subscriptions(Connection& connection, bool subscribed,
                                   std::vector<std::string> filters) {
  const std::string& client_id = connection.session->client_id;
  if (!lifecycle::has_events(client_id)) return;
  const auto& policy = connection.access.policy();
  lifecycle::Subject subject;
  subject.client_id = client_id;
  if (policy && policy->thing_is_exclusive()) subject.thing_name = policy->thing();
  subject.session_id = connection.session_id;
  subject.principal = connection.device.principal();
  subject.now = now_;
  queue_internal(lifecycle::subscriptions(subject, subscribed, filters));
}

}  // namespace fleetward::broker
