#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "alerts/filter_policy.h"
#include "core/ids.h"
#include "core/time.h"
#include "registry/tags.h"
#include "state/store.h"

namespace fleetward::alerts {

inline constexpr size_t kTopicsMax = 10'000;
inline constexpr size_t kSubscriptionsPerTopicMax = 10'000;
inline constexpr Duration kTokenValid{3LL * 24 * 3600 * 1000};

struct Topic {
  std::string name;
  Timestamp created;
  std::map<std::string, std::string> attributes;  // those that were set: DisplayName, SignatureVersion
};

struct Subscription {
  enum class State { kPending, kConfirmed, kDeleted } state = State::kPending;
  std::string topic, id;           // id: a UUID
  std::string protocol, endpoint;  // http, https: a URL; mqtt: a topic
  std::string token;               // pending and deleted: what confirms
  Timestamp created, token_expires;
  bool authenticate_on_unsubscribe = false;
  bool raw_delivery = false;
  bool filter_on_body = false;
  std::string filter_text;  // empty: everything passes
  std::shared_ptr<const FilterPolicy> filter;
};

struct Tables {
  state::Table<Topic> topics;                // name
  state::Table<Subscription> subscriptions;  // topic, id
  registry::TagTable tags;                   // the account's, by ARN

  // Before Store::open().
  static Tables add_to(state::Store& store, registry::TagTable tags);
};

std::string topic_arn(const AccountScope& scope, std::string_view topic);
std::string subscription_arn(const AccountScope& scope, const Subscription& subscription);

struct SubscriptionName {
  std::string topic, id;
};
// kInvalidArgument: not an ARN of that kind in this account and region.
Result<std::string> parse_topic_arn(const AccountScope& scope, std::string_view arn);
Result<SubscriptionName> parse_subscription_arn(const AccountScope& scope, std::string_view arn);

}  // namespace fleetward::alerts
