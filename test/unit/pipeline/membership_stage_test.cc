#include "pipeline/membership_stage.h"

#include <gtest/gtest.h>

#include "log/memory_log.h"
#include "pipeline/connectivity_keys.h"
#include "pipeline/detect_tables.h"
#include "registry/dynamic_groups.h"
#include "registry/things.h"

namespace fleetward::pipeline {
namespace {

constexpr Timestamp kNow{1767225600000};

struct World {
  explicit World(MembershipOptions options = {}, log::MemoryLog* of_before = nullptr)
      : log(of_before != nullptr ? *of_before : own_log),
        stage(options, store, tables, log, clock, steady, logger, metrics) {
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
  log::MemoryLog own_log;
  log::MemoryLog& log;
  ManualClock clock{kNow}, steady{{1000}};
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

// What a restart of the server finds of the world before, in the order of Server::start().
struct Restarted : World {
  explicit Restarted(log::MemoryLog& of_before, std::vector<std::string> things)
      : World({.changes_max = 2, .return_grace = Duration{60'000}}, &of_before) {
    for (const std::string& name : things) thing(name);
    dynamic("on", "connectivity.connected:true");
    dynamic("off", "connectivity.connected:false");
    EXPECT_TRUE(restore_connectivity(log, store, tables, logger));
    EXPECT_TRUE(registry::load_dynamic_groups(store, tables));
  }
  std::string members(const std::string& group) {
    std::string out;
    store.snapshot()
        ->get(tables.dynamic_group_things)
        .visit_prefix(state::key(group, ""), [&](const auto& e) {
          out += state::key_tail(e.key);
          return true;
        });
    return out;
  }
  const registry::Connectivity* of(const std::string& name) {
    return store.snapshot()->get(tables.connectivity).find(name);
  }
};

TEST(MembershipStage, ARestartMovesNobodyWhoComesBackInTime) {
  log::MemoryLog log;
  {
    World before({}, &log);
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) before.thing(name);
    for (const char* name : {"a", "b", "c", "d", "e", "stranger", "visitor"})
      before.stage.on_presence({name, true, kNow, {}});
    before.drain();
    before.stage.on_presence({"c", false, kNow + Duration{1}, "CONNECTION_LOST"});
    before.stage.on_presence({"e", false, kNow + Duration{1}, "CONNECTION_LOST"});
    before.stage.on_presence({"visitor", false, kNow + Duration{1}, "CONNECTION_LOST"});
    before.drain();
  }
  log::Batch damage;
  damage.put("connectivity/x", "2 nonsense");
  ASSERT_TRUE(log.write(std::move(damage)));
  for (int run = 0; run < 2; ++run) {
    Restarted w(log, {"a", "b", "c", "d", "f"});  // e was deleted
    EXPECT_EQ(w.members("on"), "abd") << run;
    EXPECT_EQ(w.members("off"), "cf");
    EXPECT_EQ(w.of("c")->disconnect_reason, "CONNECTION_LOST");
    EXPECT_TRUE(w.of("stranger")->connected);
    EXPECT_TRUE(w.of("e") == nullptr && w.of("visitor") == nullptr);
    EXPECT_FALSE(log.get("connectivity/e").value() || log.get("connectivity/x").value());
    w.steady.advance(Duration{59'999});
    w.drain();
    EXPECT_EQ(w.members("on"), "abd");
  }
  {
    Restarted w(log, {"a", "b", "c", "d", "f"});
    w.stage.on_presence({"a", true, kNow + Duration{5}, {}});
    w.stage.on_presence({"b", true, kNow + Duration{5}, {}});
    w.stage.on_presence({"b", false, kNow + Duration{6}, "CLIENT_INITIATED_DISCONNECT"});
    w.drain();
    EXPECT_EQ(w.members("on"), "ad");
    w.steady.advance(Duration{60'000});
    w.drain();
    EXPECT_EQ(w.members("on"), "a");
    EXPECT_EQ(w.members("off"), "bcdf");
    EXPECT_EQ(w.of("d")->since, kNow);
    EXPECT_EQ(w.of("d")->disconnect_reason, "SERVER_INITIATED_DISCONNECT");
    EXPECT_EQ(w.of("b")->disconnect_reason, "CLIENT_INITIATED_DISCONNECT");
    EXPECT_EQ(w.of("stranger"), nullptr);
  }
  Restarted again(log, {"a", "b", "c", "d", "f"});
  EXPECT_EQ(again.members("on"), "a");
  EXPECT_FALSE(log.get("connectivity/stranger").value());
}

TEST(MembershipStage, AThingMadeAnewIsNotTheOneBefore) {
  log::MemoryLog log;
  {
    World before({}, &log);
    before.thing("a");
    before.stage.on_presence({"a", false, kNow, "CONNECTION_LOST"});
    before.drain();
  }
  World w({}, &log);
  w.change([&](auto& t) -> Status {
    t.put(w.tables.things, "a", registry::Thing{.name = "a", .created = kNow + Duration{1}});
    return {};
  });
  ASSERT_TRUE(restore_connectivity(log, w.store, w.tables, w.logger));
  EXPECT_EQ(w.store.snapshot()->get(w.tables.connectivity).size(), 0u);
}

TEST(MembershipStage, WhatTheLogRefusesIsCounted) {
  World w;
  w.thing("a");
  w.log.set_trouble("No space left on device");
  w.stage.on_presence({"a", true, kNow, {}});
  w.drain();
  EXPECT_TRUE(w.store.snapshot()->get(w.tables.connectivity).find("a")->connected);
  EXPECT_NE(w.metrics.scrape().find("fleetward_membership_unsaved_total 1"), std::string::npos);
}

TEST(MembershipStage, ItsThreadDoesTheSame) {
  World w;
  w.stage.start();
  w.thing("a");
  w.dynamic("on", "connectivity.connected:true");
  w.stage.on_presence({"a", true, kNow, {}});
  // Its grace ends while it runs; nobody wakes it for that.
  w.steady.advance(Duration{180'000});
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
