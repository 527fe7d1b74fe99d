#include "alerts/sns_deliveries.h"

#include <algorithm>

namespace fleetward::alerts {
namespace {

bool wants(const Subscription& s, const Delivery& delivery) {
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

json::object parse_attributes(const std::string& text) {
  if (text.empty()) return {};
  auto parsed = json::parse(text);
  if (!parsed || !parsed->is_object()) return {};
  return std::move(parsed->get_object());
}

bool passes(const Subscription& s, const std::string& text, const json::object& attribute_values) {
  if (!s.filter) return true;
  if (!s.filter_on_body) return s.filter->matches(attribute_values);
  const auto body = json::parse(text);
  return body && body->is_object() && s.filter->matches(body->get_object());
}

}  // namespace

Status SnsDeliveries::check_role(const AlertRecord& alert) const {
  if (alert.role_arn.empty()) return {};
  identity::MapContext context;
  context.set("aws:SourceAccount", account_.account.str());
  if (!alert.source_arn.empty()) context.set("aws:SourceArn", alert.source_arn);
  return authorizer_.authorize_role(alert.role_arn, alert.service, "sns:Publish", alert.topic_arn, context);
}

void SnsDeliveries::expand(const AlertRecord& alert, const log::Record& record, std::vector<Delivery>& out,
                           std::vector<Dropped>& dropped) const {
  const auto topic = parse_topic_arn(account_, alert.topic_arn);
  const auto snapshot = store_.snapshot();
  if (!topic || snapshot->get(tables_.topics).find(*topic) == nullptr) {
    dropped.push_back({alert.topic_arn, "", "", "no_topic", "the topic does not exist"});
    return;
  }
  if (auto ok = check_role(alert); !ok) {
    dropped.push_back({*topic, "", "", "role_refused", ok.error().message});
    return;
  }
  const json::object attribute_values = attributes_object(parse_attributes(alert.attributes));
  const std::string message_id = alert.message_id.empty() ? random_.uuid() : alert.message_id;
  const size_t first = out.size();
  size_t mqtt_messages = 0;
  snapshot->get(tables_.subscriptions).visit_prefix(state::key(*topic, ""), [&](const auto& entry) {
    const Subscription& s = *entry.value;
    if (s.state != Subscription::State::kConfirmed) return true;
    std::string text = alert.structured ? structured_message(alert.message, s.protocol) : alert.message;
    if (!passes(s, text, attribute_values)) return true;
    out.push_back({.key = delivery_key(record.offset, s.id),
                   .topic = *topic,
                   .subscription = s.id,
                   .target = {},
                   .message_id = message_id,
                   .subject = alert.subject,
                   .message = std::move(text),
                   .attributes = alert.attributes,
                   .token = {},
                   .created = record.appended,
                   .next = record.appended,
                   .hops = alert.hops});
    if (s.protocol == "mqtt") ++mqtt_messages;
    return true;
  });
  // The first hop is what the operator wrote and always passes; the broker refuses later ones that have no
  // share.
  size_t share = alert.offspring_max / std::max<size_t>(mqtt_messages, 1);
  if (alert.hops == 1) share = std::max<size_t>(share, 1);
  for (size_t i = first; i < out.size(); ++i) out[i].offspring_max = share;
}

Notification SnsDeliveries::notification_of(const Delivery& delivery, const Subscription& s) const {
  Notification out;
  out.kind = delivery.kind;
  out.message_id = delivery.message_id;
  out.topic_arn = topic_arn(account_, delivery.topic);
  out.subject = delivery.subject;
  out.message = delivery.message;
  out.time = delivery.created;
  out.token = delivery.token;
  const std::string base = public_url_ ? public_url_() : "";
  if (delivery.kind == NotificationKind::kNotification) {
    out.unsubscribe_url = base + "/?Action=Unsubscribe&SubscriptionArn=" + subscription_arn(account_, s);
  } else {
    out.subscribe_url =
        base + "/?Action=ConfirmSubscription&TopicArn=" + out.topic_arn + "&Token=" + delivery.token;
  }
  out.attributes = delivered_attributes(parse_attributes(delivery.attributes));
  return out;
}

std::optional<Attempt> SnsDeliveries::attempt(const Delivery& delivery) const {
  const auto snapshot = store_.snapshot();
  const Topic* topic = snapshot->get(tables_.topics).find(delivery.topic);
  const Subscription* s =
      snapshot->get(tables_.subscriptions).find(state::key(delivery.topic, delivery.subscription));
  if (topic == nullptr || s == nullptr || !wants(*s, delivery)) return std::nullopt;

  const Notification n = notification_of(delivery, *s);
  const bool raw = s->raw_delivery && delivery.kind == NotificationKind::kNotification;
  std::string body = n.message;
  if (!raw) {
    const auto version = topic->attributes.find("SignatureVersion");
    const std::string v = version == topic->attributes.end() ? "1" : version->second;
    const std::string base = public_url_ ? public_url_() : "";
    body = notification_json(n, v, signer_.sign(string_to_sign(n), v), base + signer_.certificate_path());
  }
  if (s->protocol == "mqtt")
    return MqttMessage{s->endpoint, std::move(body), 1, delivery.hops, delivery.offspring_max};
  HttpPost post{.url = s->endpoint, .headers = {}, .body = std::move(body)};
  post.headers = {"Content-Type: text/plain; charset=UTF-8",
                  "User-Agent: Amazon Simple Notification Service Agent",
                  "x-amz-sns-message-type: " + std::string(kind_name(delivery.kind)),
                  "x-amz-sns-message-id: " + delivery.message_id, "x-amz-sns-topic-arn: " + n.topic_arn};
  if (delivery.kind != NotificationKind::kSubscriptionConfirmation) {
    post.headers.push_back("x-amz-sns-subscription-arn: " + subscription_arn(account_, *s));
  }
  if (raw) post.headers.push_back("x-amz-sns-rawdelivery: true");
  return post;
}

Delivery SnsDeliveries::confirmation(const Subscription& subscription, Timestamp now) const {
  const bool pending = subscription.state == Subscription::State::kPending;
  const std::string arn = topic_arn(account_, subscription.topic);
  Delivery out;
  out.message_id = random_.uuid();
  out.key = std::string(kDeliveryPrefix) + "c/" + out.message_id;
  out.kind =
      pending ? NotificationKind::kSubscriptionConfirmation : NotificationKind::kUnsubscribeConfirmation;
  out.topic = subscription.topic;
  out.subscription = subscription.id;
  out.token = subscription.token;
  out.message =
      pending ? "You have chosen to subscribe to the topic " + arn +
                    ".\nTo confirm the subscription, visit the SubscribeURL included in this message."
              : "You have chosen to deactivate subscription " + subscription_arn(account_, subscription) +
                    ".\nTo cancel this operation and restore the subscription, visit the "
                    "SubscribeURL included in this message.";
  out.created = now;
  out.next = now;
  return out;
}

}  // namespace fleetward::alerts
