#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/session.h"
#include "broker/subscription_index.h"
#include "mqtt/topic.h"

namespace fleetward::broker {

// "Shard `shard` has `members` subscribers of this filter now" (0: none). Every shard tells every other one,
// so that a publish travels only where it is wanted. `members` is exact for shared subscriptions (the
// publisher chooses by it), else 0 or 1. `durable`: some of them are persistent sessions with QoS 1 or 2, for
// which a publish must wait.
struct InterestChange {
  std::string filter;
  std::string group;  // of a `$share` subscription, else empty
  uint32_t shard = 0;
  uint32_t members = 0;
  bool durable = false;
};

struct LocalSubscriber {
  ClientSession* session = nullptr;
  SessionSubscription* subscription = nullptr;
};

// One group of a shared subscription that a message goes to: one member of it, on one shard.
struct SharedTarget {
  std::string group;
  std::string filter;
  friend bool operator==(const SharedTarget&, const SharedTarget&) = default;
};

// Who gets a message: the subscriptions of this shard's sessions, and what all shards are interested in.
// One thread.
class Router {
 public:
  // `announce`: to be told to all other shards, before the SUBACK leaves.
  Router(uint32_t shard, const mqtt::MatchOptions& options,
         std::function<void(const InterestChange&)> announce);

  // `filter` as the client sent it, valid. The session must not be subscribed to it yet.
  void add(std::string_view filter, LocalSubscriber subscriber);
  void remove(std::string_view filter, LocalSubscriber subscriber);
  // QoS or persistence of a subscription changed: call with what it was and with what it is now.
  void changed(std::string_view filter, bool was_durable, bool is_durable);

  // From another shard (and from this one, by itself).
  void apply(const InterestChange& change);

  struct Targets {
    uint64_t shards = 0;   // bit = shard, ordinary subscriptions
    uint64_t durable = 0;  // those of them, or of the shared ones, where a publish must wait
    struct Shared {
      uint32_t shard;
      SharedTarget target;
    };
    std::vector<Shared> shared;
    bool empty() const { return shards == 0 && shared.empty(); }
  };
  // True if nobody anywhere subscribes to anything: the shortest way.
  bool nobody() const { return interest_.empty(); }
  // `out` is cleared first.
  void match(std::string_view topic, Targets& out);
  template <typename Visit>
  void match_local(std::string_view topic, Visit&& visit) const {
    local_.match(topic, visit);
  }
  // The next member of the group on this shard, connected ones first; null session if there is none left.
  LocalSubscriber pick(const SharedTarget& target);

  static bool is_durable(const LocalSubscriber& subscriber) {
    return subscriber.session->persistent && subscriber.subscription->qos > 0;
  }

 private:
  struct Counts {
    uint32_t members = 0;
    uint32_t durable = 0;
  };
  struct Interest {
    std::unique_ptr<const SharedTarget> shared;  // null: ordinary subscriptions
    uint32_t shard;
    uint32_t members;
    bool durable;
  };
  using Members = SubscriptionIndex<LocalSubscriber>::Values;
  struct Group {
    Members members;
    size_t next = 0;
  };
  Members& list(std::string_view filter);
  void count(std::string_view filter, int members, int durable);

  const uint32_t shard_;
  const std::function<void(const InterestChange&)> announce_;
  SubscriptionIndex<LocalSubscriber> local_;
  TextMap<Group> groups_;   // "$share/<group>/<filter>"
  TextMap<Counts> counts_;  // by filter as sent
  SubscriptionIndex<Interest> interest_;
  size_t turn_ = 0;  // of shared subscriptions
  std::vector<const Interest*> candidates_;
};

}  // namespace fleetward::broker
