#include "pipeline/membership_stage.h"

#include <gtest/gtest.h>

#include "pipeline/detect_tables.h"
#include "registry/dynamic_groups.h"
#include "registry/things.h"

namespace fleetward::pipeline {
namespace {

constexpr Timestamp kNow{1767225600000};

struct World {
  explicit World(MembershipOptions options = {}) : stage(options, store, tables, logger, metrics) {
    EXPECT_TRUE(store.open(":memory:"));
    change([&](auto& t) { return registry::set_indexing(t, tables, {true, true}); });
  }
  void change(const std::function<Status(state::Transaction&)>& what) {
    const Status done = store.transact(what);
    EXPECT_TRUE(done) << done.error().message;
  }
  void thing(const std::string& name) {
    change([&](auto& t) -> Status {
      auto made = registry::create_thing(t, tables, {.name = name});
      if (!made) return fail(made.error());
      return {};
    });
  }
  void dynamic(const std::string& name, const std::string& text) {
    change([&](auto& t) -> Status {
      auto made = registry::create_dynamic_group(t, tables, {.name = name, .query = text},
                                                 *registry::FleetQuery::parse(text));
      if (!made) return fail(made.error());
      return {};
    });
  }
  void drain() {
    while (stage.step()) {
    }
  }
  bool is_member(const std::string& group, const std::string& thing) {
    return store.snapshot()->get(tables.dynamic_group_things).find(state::key(group, thing)) != nullptr;
  }

  state::Store store;
  registry::Tables tables = registry::Tables::add_to(store);
  DetectTables detect = DetectTables::add_to(store);
  Logger logger = Logger::none();
  Metrics metrics;
  MembershipStage stage;
};

TEST(MembershipStage, TakesConnectionsAndNewQueriesToTheRegistry) {
  World w({.changes_max = 2, .things_max = 2});
  for (const char* name : {"a", "b", "c", "d", "e"}) w.thing(name);
  w.dynamic("on", "connectivity.connected:true");
  w.dynamic("vowels", "thingName:(a OR e)");
  w.drain();
  EXPECT_TRUE(w.is_member("vowels", "a") && w.is_member("vowels", "e"));
  EXPECT_FALSE(w.is_member("on", "a"));
  for (const char* name : {"a", "b", "c", "d", "stranger"}) w.stage.on_presence({name, true, kNow, {}});
  w.stage.on_presence({"b", false, kNow + Duration{1}, "CONNECTION_LOST"});  // the latest counts
  EXPECT_TRUE(w.stage.step());
  w.drain();
  EXPECT_TRUE(w.is_member("on", "a") && w.is_member("on", "c") && w.is_member("on", "d"));
  EXPECT_FALSE(w.is_member("on", "b"));
  const auto snapshot = w.store.snapshot();
  EXPECT_EQ(snapshot->get(w.tables.connectivity).find("b")->disconnect_reason, "CONNECTION_LOST");
  EXPECT_EQ(snapshot->get(w.tables.connectivity).find("b")->since, kNow + Duration{1});
}

TEST(MembershipStage, BeyondItsBoundClientsAreDroppedAndCounted) {
  World w({.clients_max = 2});
  for (const char* name : {"a", "b", "c", "b"}) w.stage.on_presence({name, true, kNow, {}});
  w.drain();
  EXPECT_EQ(w.store.snapshot()->get(w.tables.connectivity).size(), 2u);
  EXPECT_NE(w.metrics.scrape().find("fleetward_membership_dropped_total 1"), std::string::npos);
}

TEST(MembershipStage, ItsThreadDoesTheSame) {
  World w;
  w.stage.start();
  w.thing("a");
  w.dynamic("on", "connectivity.connected:true");
  w.stage.on_presence({"a", true, kNow, {}});
  while (!w.is_member("on", "a") ||
         registry::status_of_group(*w.store.snapshot(), w.tables, "on") != registry::GroupStatus::kActive) {
    std::this_thread::yield();
  }
  w.stage.stop();
}

// Whom Detect's profiles reach follows the memberships.
TEST(MembershipStage, ProfilesReachMembersOfDynamicGroups) {
  World w;
  const AccountScope account{AccountId::trusted("123456789012"), "us-east-1"};
  DetectConfigBuilder builder(w.detect, w.tables, account);
  w.thing("a");
  w.thing("b");
  w.dynamic("on", "connectivity.connected:true");
  w.change([&](auto& t) -> Status {
    detect::SecurityProfile profile;
    profile.name = "p";
    t.put(w.detect.profiles, "p", profile);
    t.put(w.detect.target_profiles, state::key(account.arn("iot", "thinggroup/on"), "p"), ProfileTarget{});
    return {};
  });
  const auto reached = [&](const detect::ConfigPtr& config) {
    std::string out;
    for (const char* name : {"a", "b", "stranger"}) {
      std::vector<uint32_t> profiles;
      config->profiles_of(name, profiles);
      if (!profiles.empty()) out += name;
    }
    return out;
  };
  w.drain();
  EXPECT_EQ(reached(builder.refresh(w.store.snapshot())), "");
  w.stage.on_presence({"a", true, kNow, {}});
  w.stage.on_presence({"stranger", true, kNow, {}});
  w.drain();
  const auto before = builder.refresh(w.store.snapshot());
  ASSERT_NE(before, nullptr);
  EXPECT_EQ(reached(before), "a");
  // Somebody else comes and goes: nothing for Detect to learn.
  w.stage.on_presence({"stranger", false, kNow, {}});
  w.drain();
  EXPECT_EQ(builder.refresh(w.store.snapshot()), nullptr);
  w.stage.on_presence({"a", false, kNow, {}});
  w.stage.on_presence({"b", true, kNow, {}});
  w.drain();
  EXPECT_EQ(reached(builder.refresh(w.store.snapshot())), "b");
  w.change([&](auto& t) { return registry::delete_dynamic_group(t, w.tables, "on", {}); });
  EXPECT_EQ(reached(builder.refresh(w.store.snapshot())), "") << "at once";
}

}  // namespace
}  // namespace fleetward::pipeline
