#include "broker/router.h"

#include <map>

#include <gtest/gtest.h>

namespace fleetward::broker {
namespace {

// Three shards' routers that hear of each other at once.
struct Routers {
  std::vector<std::unique_ptr<Router>> all;
  size_t announced = 0;

  Routers() {
    for (uint32_t i = 0; i < 3; ++i) {
      all.push_back(
          std::make_unique<Router>(i, mqtt::MatchOptions{}, [this, i](const InterestChange& change) {
            ++announced;
            for (uint32_t j = 0; j < 3; ++j) {
              if (j != i) all[j]->apply(change);
            }
          }));
    }
  }
  Router::Targets match(uint32_t shard, std::string_view topic) {
    Router::Targets out;
    all[shard]->match(topic, out);
    return out;
  }
};

struct Client {
  ClientSession session;
  explicit Client(bool persistent = false) { session.persistent = persistent; }
  LocalSubscriber subscribe(const std::string& filter, uint8_t qos = 0) {
    SessionSubscription& subscription = session.subscriptions[filter];
    subscription.qos = qos;
    return {&session, &subscription};
  }
};

TEST(Router, tells_where_a_message_is_wanted_and_where_it_must_be_kept) {
  Routers routers;
  Client live, kept(true);
  const LocalSubscriber a = live.subscribe("a/+", 1);
  const LocalSubscriber b = kept.subscribe("a/b", 1);
  routers.all[0]->add("a/+", a);
  routers.all[2]->add("a/b", b);

  EXPECT_EQ(routers.match(1, "a/b").shards, 0b101U);
  EXPECT_EQ(routers.match(1, "a/b").durable, 0b100U);
  EXPECT_EQ(routers.match(2, "a/c").shards, 0b001U);
  EXPECT_TRUE(routers.match(1, "b").empty());

  routers.all[2]->changed("a/b", true, false);
  EXPECT_EQ(routers.match(0, "a/b").durable, 0U);
  routers.all[0]->remove("a/+", a);
  EXPECT_EQ(routers.match(1, "a/b").shards, 0b100U);
}

TEST(Router, more_subscribers_of_a_known_filter_are_not_announced) {
  Routers routers;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<Client>());
    routers.all[0]->add("x", clients.back()->subscribe("x"));
  }
  EXPECT_EQ(routers.announced, 1U);
  // Removal from the middle keeps the positions of the others right.
  std::map<const ClientSession*, int> seen;
  for (size_t i = 0; i < clients.size(); i += 2) {
    routers.all[0]->remove("x", {&clients[i]->session, &clients[i]->session.subscriptions["x"]});
  }
  routers.all[0]->match_local("x", [&](const LocalSubscriber& s) { ++seen[s.session]; });
  EXPECT_EQ(seen.size(), 50U);
  for (size_t i = 1; i < clients.size(); i += 2) EXPECT_EQ(seen[&clients[i]->session], 1);
  for (size_t i = 1; i < clients.size(); i += 2) {
    routers.all[0]->remove("x", {&clients[i]->session, &clients[i]->session.subscriptions["x"]});
  }
  EXPECT_TRUE(routers.all[1]->nobody());
  EXPECT_EQ(routers.announced, 2U);
}

TEST(Router, a_shared_subscription_gets_one_copy_spread_over_its_members) {
  Routers routers;
  std::vector<std::unique_ptr<Client>> clients;
  const std::string filter = "$share/workers/jobs/+";
  for (uint32_t shard : {0U, 0U, 0U, 2U}) {
    clients.push_back(std::make_unique<Client>());
    routers.all[shard]->add(filter, clients.back()->subscribe(filter, 1));
  }
  std::map<uint32_t, int> by_shard;
  for (int i = 0; i < 400; ++i) {
    const auto targets = routers.match(1, "jobs/1");
    EXPECT_EQ(targets.shards, 0U);
    ASSERT_EQ(targets.shared.size(), 1U);
    ++by_shard[targets.shared[0].shard];
  }
  EXPECT_EQ(by_shard[0], 300);
  EXPECT_EQ(by_shard[2], 100);

  // Within the shard: in turn, the connected ones only.
  int dummy = 0;
  clients[1]->session.connection = reinterpret_cast<Connection*>(&dummy);
  const SharedTarget target{"workers", "jobs/+"};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(routers.all[0]->pick(target).session, &clients[1]->session);
  clients[1]->session.connection = nullptr;
  EXPECT_NE(routers.all[0]->pick(target).session, routers.all[0]->pick(target).session);
  EXPECT_EQ(routers.all[1]->pick(target).session, nullptr);
}

}  // namespace
}  // namespace fleetward::broker
