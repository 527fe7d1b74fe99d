#include "alerts/topics.h"

namespace fleetward::alerts {
namespace {

json::object topic_json(const Topic& topic) {
  json::object attributes;
  for (const auto& [name, value] : topic.attributes) attributes[name] = value;
  return {{"name", topic.name}, {"created", topic.created.ms}, {"attributes", std::move(attributes)}};
}

Result<Topic> topic_of(const json::object& o) {
  Topic out;
  out.name = json::string_or(o, "name");
  out.created.ms = json::int_or(o, "created", 0);
  if (const json::object* attributes = json::find_object(o, "attributes")) {
    for (const auto& member : *attributes) {
      if (!member.value().is_string()) return fail(ErrorCode::kCorrupt, "topic attribute is not text");
      out.attributes[std::string(member.key())] = std::string(member.value().get_string());
    }
  }
  return out;
}

json::object subscription_json(const Subscription& s) {
  json::object out{{"topic", s.topic},        {"id", s.id},
                   {"protocol", s.protocol},  {"endpoint", s.endpoint},
                   {"created", s.created.ms}, {"state", static_cast<int64_t>(s.state)}};
  if (!s.token.empty()) {
    out["token"] = s.token;
    out["tokenExpires"] = s.token_expires.ms;
  }
  if (s.authenticate_on_unsubscribe) out["authenticateOnUnsubscribe"] = true;
  if (s.raw_delivery) out["rawDelivery"] = true;
  if (s.filter_on_body) out["filterOnBody"] = true;
  if (!s.filter_text.empty()) out["filter"] = s.filter_text;
  return out;
}

Result<Subscription> subscription_of(const json::object& o) {
  Subscription out;
  out.topic = json::string_or(o, "topic");
  out.id = json::string_or(o, "id");
  out.protocol = json::string_or(o, "protocol");
  out.endpoint = json::string_or(o, "endpoint");
  out.created.ms = json::int_or(o, "created", 0);
  const int64_t state = json::int_or(o, "state", -1);
  if (state < 0 || state > 2) return fail(ErrorCode::kCorrupt, "subscription state");
  out.state = static_cast<Subscription::State>(state);
  out.token = json::string_or(o, "token");
  out.token_expires.ms = json::int_or(o, "tokenExpires", 0);
  out.authenticate_on_unsubscribe = json::bool_or(o, "authenticateOnUnsubscribe", false);
  out.raw_delivery = json::bool_or(o, "rawDelivery", false);
  out.filter_on_body = json::bool_or(o, "filterOnBody", false);
  out.filter_text = json::string_or(o, "filter");
  if (!out.filter_text.empty()) {
    auto filter = FilterPolicy::parse(out.filter_text, out.filter_on_body);
    if (!filter) return fail(ErrorCode::kCorrupt, filter.error().message);
    out.filter = std::move(*filter);
  }
  return out;
}

Result<std::string> resource_of(const AccountScope& scope, std::string_view arn) {
  const auto parts = parse_arn(arn);
  if (!parts || parts->partition != "aws" || parts->service != "sns" || parts->region != scope.region ||
      parts->account != scope.account.str() || parts->resource.empty()) {
    return fail(ErrorCode::kInvalidArgument, "not an SNS ARN of this account and region");
  }
  return std::string(parts->resource);
}

}  // namespace

Tables Tables::add_to(state::Store& store, registry::TagTable tags) {
  Tables out;
  out.topics = store.add_table<Topic>({"sns_topics", topic_json, topic_of});
  out.subscriptions =
      store.add_table<Subscription>({"sns_subscriptions", subscription_json, subscription_of});
  out.tags = tags;
  return out;
}

std::string topic_arn(const AccountScope& scope, std::string_view topic) {
  return scope.arn("sns", topic);
}

std::string subscription_arn(const AccountScope& scope, const Subscription& subscription) {
  return topic_arn(scope, subscription.topic) + ":" + subscription.id;
}

Result<std::string> parse_topic_arn(const AccountScope& scope, std::string_view arn) {
  auto resource = resource_of(scope, arn);
  if (resource && resource->find(':') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, "not the ARN of a topic");
  }
  return resource;
}

Result<SubscriptionName> parse_subscription_arn(const AccountScope& scope, std::string_view arn) {
  auto resource = resource_of(scope, arn);
  if (!resource) return fail(resource.error());
  const size_t colon = resource->find(':');
  if (colon == std::string::npos || colon == 0 || resource->find(':', colon + 1) != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, "not the ARN of a subscription");
  }
  return SubscriptionName{resource->substr(0, colon), resource->substr(colon + 1)};
}

}  // namespace fleetward::alerts
