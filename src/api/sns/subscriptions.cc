#include "alerts/endpoint_address.h"
#include "api/sns/sns.h"
#include "core/encoding.h"

namespace fleetward::api::sns {
namespace {

using alerts::Subscription;
using State = Subscription::State;

constexpr size_t kPageSize = 100;
constexpr size_t kEndpointBytesMax = 2048;
constexpr size_t kMqttTopicBytesMax = 256;

// ------------------------------------------------------------------ what may be subscribed

std::string endpoint_problem(const std::string& protocol, const std::string& endpoint) {
  if (endpoint.empty()) return "an endpoint must be given";
  if (protocol == "mqtt") {
    if (endpoint.size() > kMqttTopicBytesMax) return "an MQTT topic has at most 256 bytes";
    if (endpoint.front() == '$') return "reserved MQTT topics cannot be endpoints";
    if (endpoint.find_first_of("#+") != std::string::npos || endpoint.find('\0') != std::string::npos ||
        !is_utf8(endpoint)) {
      return "the endpoint must be an MQTT topic, without wildcards";
    }
    return "";
  }
  if (endpoint.size() > kEndpointBytesMax) return "the URL is too long";
  const std::string scheme = protocol + "://";
  if (!endpoint.starts_with(scheme) || endpoint.size() == scheme.size()) {
    return "the endpoint must be a URL that starts with " + scheme;
  }
  for (const char c : endpoint) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      return "the URL holds a character that must be escaped";
    }
  }
  return alerts::url_authority_problem(endpoint);
}

// Sets one attribute of `s`; what is wrong with it otherwise.
std::string apply_attribute(Subscription& s, const std::string& name, const std::string& value) {
  const auto boolean = [&](bool& to) -> std::string {
    if (value != "true" && value != "false") return name + " is true or false";
    to = value == "true";
    return "";
  };
  if (name == "RawMessageDelivery") return boolean(s.raw_delivery);
  if (name == "FilterPolicyScope") {
    if (value != "MessageAttributes" && value != "MessageBody") {
      return "FilterPolicyScope is MessageAttributes or MessageBody";
    }
    s.filter_on_body = value == "MessageBody";
    return "";
  }
  if (name == "FilterPolicy") {
    s.filter_text = value == "{}" ? "" : value;
    return "";
  }
  for (const char* unsupported : {"DeliveryPolicy", "RedrivePolicy", "SubscriptionRoleArn", "ReplayPolicy"}) {
    if (name == unsupported) return "the attribute " + name + " is not supported by this release";
  }
  return "there is no attribute " + name.substr(0, 64);
}

// Compiles the filter once policy and scope are both known.
std::string compile_filter(Subscription& s) {
  s.filter = nullptr;
  if (s.filter_text.empty()) return "";
  auto filter = alerts::FilterPolicy::parse(s.filter_text, s.filter_on_body);
  if (!filter) return filter.error().message;
  s.filter = std::move(*filter);
  return "";
}

Status may_publish_mqtt(const Dependencies& d, const http::Call& call, const std::string& topic) {
  static const identity::MapContext kNoContext;
  const identity::RequestContext& context = call.context == nullptr ? kNoContext : *call.context;
  return d.authorize(call.caller, "iot:Publish", d.account.arn("iot", "topic/" + topic), context);
}

// ------------------------------------------------------------------ Subscribe

struct Wanted {
  Subscription subscription;
  bool needs_confirmation = false;
};

// Finds the same pair, or adds a new one; forgets what nobody confirmed in time.
http::ApiResult<void> put_subscription(const Dependencies& d, state::Transaction& change, Wanted& wanted) {
  Subscription& s = wanted.subscription;
  if (change.get(d.tables.topics).find(s.topic) == nullptr)
    return not_found(kSnsStyle, "Topic does not exist");
  const Timestamp now = d.clock.now();
  size_t count = 0;
  std::vector<std::string> stale;
  const Subscription* same = nullptr;
  change.get(d.tables.subscriptions).visit_prefix(state::key(s.topic, ""), [&](const auto& entry) {
    const Subscription& other = *entry.value;
    if (other.state != State::kConfirmed && other.token_expires < now) {
      stale.push_back(entry.key);
    } else {
      ++count;
      if (other.state != State::kDeleted && other.protocol == s.protocol && other.endpoint == s.endpoint) {
        same = &other;
      }
    }
    return true;
  });
  if (same != nullptr) {
    const bool differs = same->filter_text != s.filter_text || same->raw_delivery != s.raw_delivery ||
                         same->filter_on_body != s.filter_on_body;
    if (differs) {
      return refuse(
          kSnsStyle,
          "Invalid parameter: Attributes Reason: Subscription already exists with different attributes");
    }
    const std::string token = s.token;
    s = *same;
    wanted.needs_confirmation = same->state == State::kPending;
    if (wanted.needs_confirmation) {
      s.token = token;
      s.token_expires = now + alerts::kTokenValid;
      change.put(d.tables.subscriptions, state::key(s.topic, s.id), s);
    }
    return {};
  }
  if (count >= alerts::kSubscriptionsPerTopicMax) {
    return http::api_fail(403, "SubscriptionLimitExceeded", "The topic has too many subscriptions.");
  }
  for (const std::string& key : stale) change.erase(d.tables.subscriptions, key);
  change.put(d.tables.subscriptions, state::key(s.topic, s.id), s);
  return {};
}

http::ApiResult<json::object> subscribe(const Dependencies& d, const http::Call& call,
                                        const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("TopicArn");
  Wanted wanted;
  Subscription& s = wanted.subscription;
  s.protocol = in.string("Protocol");
  s.endpoint = in.string_or("Endpoint", "");
  const auto attributes = in.string_map_opt("Attributes", 20);
  const bool return_arn = in.boolean_or("ReturnSubscriptionArn", false);
  if (s.protocol != "http" && s.protocol != "https" && s.protocol != "mqtt") {
    in.fail("Protocol", "the protocol '" + s.protocol.substr(0, 32) +
                            "' is not supported by this release; http, https and mqtt are");
  }
  if (const auto why = endpoint_problem(s.protocol, s.endpoint); !why.empty()) in.fail("Endpoint", why);
  if (attributes) {
    for (const auto& [name, value] : *attributes) {
      if (const auto why = apply_attribute(s, name, value); !why.empty()) in.fail("Attributes", why);
    }
    if (const auto why = compile_filter(s); !why.empty()) in.fail("FilterPolicy", why);
  }
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto topic = read_topic(d, *d.store.snapshot(), arn);
  if (!topic) return tl::unexpected(topic.error());
  if (s.protocol == "mqtt") {
    if (auto ok = may_publish_mqtt(d, call, s.endpoint); !ok) return refuse(kSnsStyle, ok.error());
  }
  s.topic = *topic;
  s.id = d.random.uuid();
  s.created = d.clock.now();
  // Our own broker has no one to ask; a URL may be anybody's.
  wanted.needs_confirmation = s.protocol != "mqtt";
  s.state = wanted.needs_confirmation ? State::kPending : State::kConfirmed;
  s.token = to_hex(d.random.bytes(32));
  s.token_expires = s.created + alerts::kTokenValid;
  auto done = transact(d.store, kSnsStyle,
                       [&](state::Transaction& change) { return put_subscription(d, change, wanted); });
  if (!done) return tl::unexpected(done.error());
  if (wanted.needs_confirmation) {
    if (auto sent = d.stage.confirm(s); !sent) return refuse(kSnsStyle, sent.error());
  }
  const bool show = return_arn || s.state == State::kConfirmed;
  return json::object{
      {"SubscriptionArn", show ? alerts::subscription_arn(d.account, s) : "pending confirmation"}};
}

// ------------------------------------------------------------------ confirming and ending

http::ApiResult<json::object> confirm_subscription(const Dependencies& d, const http::Call& call,
                                                   const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("TopicArn");
  const std::string token = in.string("Token", {.min = 1, .max = 256});
  const auto authenticate = in.one_of_opt("AuthenticateOnUnsubscribe", {"true", "false"});
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto topic = read_topic(d, *d.store.snapshot(), arn);
  if (!topic) return tl::unexpected(topic.error());
  std::string confirmed;
  auto done = transact(d.store, kSnsStyle, [&](state::Transaction& change) -> http::ApiResult<void> {
    const Subscription* found = nullptr;
    change.get(d.tables.subscriptions).visit_prefix(state::key(*topic, ""), [&](const auto& entry) {
      if (!entry.value->token.empty() && equal_constant_time(entry.value->token, token))
        found = entry.value.get();
      return found == nullptr;
    });
    if (found == nullptr) return refuse(kSnsStyle, "Invalid parameter: Token");
    confirmed = alerts::subscription_arn(d.account, *found);
    if (found->state == State::kConfirmed) return {};  // asking twice is fine
    if (found->token_expires < d.clock.now())
      return refuse(kSnsStyle, "Invalid parameter: Token Reason: it has expired");
    Subscription s = *found;
    s.state = State::kConfirmed;
    // Only a caller that signed may demand signatures later.
    s.authenticate_on_unsubscribe =
        authenticate == "true" && call.caller.kind != identity::Caller::Kind::kAnonymous;
    const std::string key = state::key(s.topic, s.id);
    change.put(d.tables.subscriptions, key, std::move(s));
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  return json::object{{"SubscriptionArn", confirmed}};
}

http::ApiResult<json::object> unsubscribe(const Dependencies& d, const http::Call& call,
                                          const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("SubscriptionArn");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto name = alerts::parse_subscription_arn(d.account, arn);
  if (!name) return refuse(kSnsStyle, "Invalid parameter: SubscriptionArn Reason: " + name.error().message);
  Subscription ended;
  auto done = transact(d.store, kSnsStyle, [&](state::Transaction& change) -> http::ApiResult<void> {
    const std::string key = state::key(name->topic, name->id);
    const Subscription* found = change.get(d.tables.subscriptions).find(key);
    if (found == nullptr || found->state == State::kDeleted) return {};  // as AWS: nothing to end is fine
    if (found->authenticate_on_unsubscribe && call.caller.kind == identity::Caller::Kind::kAnonymous) {
      return http::api_fail(403, "AuthorizationError", "This subscription is ended by signed requests only.");
    }
    if (found->protocol == "mqtt" || found->state == State::kPending) {
      change.erase(d.tables.subscriptions, key);
      return {};
    }
    // The endpoint is told, and may take it back while the token is valid.
    ended = *found;
    ended.state = State::kDeleted;
    ended.token = to_hex(d.random.bytes(32));
    ended.token_expires = d.clock.now() + alerts::kTokenValid;
    change.put(d.tables.subscriptions, key, ended);
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  if (!ended.id.empty()) {
    if (auto sent = d.stage.confirm(ended); !sent) return refuse(kSnsStyle, sent.error());
  }
  return json::object();
}

// ------------------------------------------------------------------ lists and attributes

json::object listed(const Dependencies& d, const Subscription& s) {
  return {{"SubscriptionArn",
           s.state == State::kPending ? "PendingConfirmation" : alerts::subscription_arn(d.account, s)},
          {"Owner", d.account.account.str()},
          {"Protocol", s.protocol},
          {"Endpoint", s.endpoint},
          {"TopicArn", alerts::topic_arn(d.account, s.topic)}};
}

http::ApiResult<json::object> list_of(const Dependencies& d, const state::Snapshot& snapshot,
                                      const std::string& prefix, const Page& page) {
  json::array list;
  const std::string next =
      list_page(snapshot.get(d.tables.subscriptions), prefix, page, [&](const auto& entry) {
        if (entry.value->state == State::kDeleted) return false;
        list.push_back(listed(d, *entry.value));
        return true;
      });
  json::object out{{"Subscriptions", std::move(list)}};
  if (!next.empty()) out["NextToken"] = next;
  return out;
}

http::ApiResult<json::object> list_subscriptions(const Dependencies& d, const http::Call&,
                                                 const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const Page page = in.page("ListSubscriptions", "NextToken", "", kPageSize, kPageSize);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return list_of(d, *d.store.snapshot(), "", page);
}

http::ApiResult<json::object> list_by_topic(const Dependencies& d, const http::Call&,
                                            const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("TopicArn");
  const Page page = in.page("ListSubscriptionsByTopic", "NextToken", "", kPageSize, kPageSize);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const auto topic = read_topic(d, *snapshot, arn);
  if (!topic) return tl::unexpected(topic.error());
  return list_of(d, *snapshot, state::key(*topic, ""), page);
}

http::ApiResult<std::string> subscription_key(const Dependencies& d, const std::string& arn) {
  const auto name = alerts::parse_subscription_arn(d.account, arn);
  if (!name) return refuse(kSnsStyle, "Invalid parameter: SubscriptionArn Reason: " + name.error().message);
  return state::key(name->topic, name->id);
}

http::ApiResult<json::object> get_attributes(const Dependencies& d, const http::Call&,
                                             const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("SubscriptionArn");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto key = subscription_key(d, arn);
  if (!key) return tl::unexpected(key.error());
  const auto snapshot = d.store.snapshot();
  const Subscription* s = snapshot->get(d.tables.subscriptions).find(*key);
  if (s == nullptr || s->state == State::kDeleted) return not_found(kSnsStyle, "Subscription does not exist");
  json::object out{{"SubscriptionArn", arn},
                   {"TopicArn", alerts::topic_arn(d.account, s->topic)},
                   {"Owner", d.account.account.str()},
                   {"Protocol", s->protocol},
                   {"Endpoint", s->endpoint},
                   {"PendingConfirmation", s->state == State::kPending ? "true" : "false"},
                   {"ConfirmationWasAuthenticated", s->authenticate_on_unsubscribe ? "true" : "false"},
                   {"RawMessageDelivery", s->raw_delivery ? "true" : "false"}};
  if (!s->filter_text.empty()) {
    out["FilterPolicy"] = s->filter_text;
    out["FilterPolicyScope"] = s->filter_on_body ? "MessageBody" : "MessageAttributes";
  }
  return json::object{{"Attributes", {{"$map", std::move(out)}}}};
}

http::ApiResult<json::object> set_attributes(const Dependencies& d, const http::Call&,
                                             const json::object& arguments) {
  Input in(arguments, kSnsStyle);
  const std::string arn = in.string("SubscriptionArn");
  const std::string name = in.string("AttributeName");
  const std::string value = in.string_or("AttributeValue", "");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto key = subscription_key(d, arn);
  if (!key) return tl::unexpected(key.error());
  auto done = transact(d.store, kSnsStyle, [&](state::Transaction& change) -> http::ApiResult<void> {
    const Subscription* found = change.get(d.tables.subscriptions).find(*key);
    if (found == nullptr || found->state == State::kDeleted) {
      return not_found(kSnsStyle, "Subscription does not exist");
    }
    Subscription s = *found;
    std::string why = apply_attribute(s, name, value);
    if (why.empty()) why = compile_filter(s);
    if (!why.empty()) return refuse(kSnsStyle, "Invalid parameter: AttributeValue Reason: " + why);
    change.put(d.tables.subscriptions, *key, std::move(s));
    return {};
  });
  if (!done) return tl::unexpected(done.error());
  return json::object();
}

}  // namespace

std::vector<http::Operation> subscription_operations(const Dependencies& d) {
  using Function =
      http::ApiResult<json::object> (*)(const Dependencies&, const http::Call&, const json::object&);
  const auto operation = [&](const char* name, Function run, std::string resource,
                             bool allow_unsigned = false) {
    http::Operation out;
    out.name = name;
    if (!resource.empty()) out.resource = resource_of(std::move(resource));
    out.allow_unsigned = allow_unsigned;
    out.run = [d, run](const http::Call& call, const json::object& arguments) {
      return run(d, call, arguments);
    };
    return out;
  };
  return {operation("Subscribe", subscribe, "TopicArn"),
          operation("ConfirmSubscription", confirm_subscription, "TopicArn", true),
          operation("Unsubscribe", unsubscribe, "SubscriptionArn", true),
          operation("ListSubscriptions", list_subscriptions, ""),
          operation("ListSubscriptionsByTopic", list_by_topic, "TopicArn"),
          operation("GetSubscriptionAttributes", get_attributes, "SubscriptionArn"),
          operation("SetSubscriptionAttributes", set_attributes, "SubscriptionArn")};
}

}  // namespace fleetward::api::sns
