#include "registry/dynamic_groups.h"

#include <cstdio>
#include <set>

#include <unistd.h>

#include "registry/query_set.h"
#include "test/unit/registry/fixture.h"

namespace fleetward::registry {
namespace {

using Names = std::vector<std::string>;

// A registry whose things and connectivity are indexed.
struct Fleet : Fixture {
  explicit Fleet(bool connectivity = true) { EXPECT_TRUE(index({true, connectivity})); }

  Status index(Indexing indexing) {
    return apply([&](auto& t) { return set_indexing(t, tables, indexing); });
  }
  // Created at kNow + age_ms; taken to all things.
  Status dynamic(const std::string& name, const std::string& text, int64_t age_ms = 0) {
    auto query = FleetQuery::parse(text);
    if (!query) return fail(query.error());
    const Status made = apply([&](auto& t) {
      ThingGroup group{.name = name, .id = "id-" + name, .created = kNow + Duration{age_ms}, .query = text};
      return status_of(create_dynamic_group(t, tables, group, *query));
    });
    if (made) scan();
    return made;
  }
  Status update(const std::string& name, const std::string& text) {
    return apply([&](auto& t) {
      return status_of(update_dynamic_group(t, tables, name, {}, NewQuery{text, *FleetQuery::parse(text)}));
    });
  }
  Status remove(const std::string& name) {
    return apply([&](auto& t) { return delete_dynamic_group(t, tables, name, {}); });
  }
  // Slices until nothing is left; how many.
  int scan(size_t things_max = 1000) {
    int slices = 0;
    for (bool more = true; more; ++slices) {
      EXPECT_TRUE(apply([&](auto& t) -> Status {
        more = evaluate_slice(t, tables, things_max);
        return {};
      }));
    }
    return slices;
  }
  Status connect(const std::string& name, bool connected, std::string reason = {}) {
    const ConnectivityChange change{name, {connected, kNow, std::move(reason)}};
    return apply([&](auto& t) -> Status {
      apply_connectivity(t, tables, {&change, 1});
      return {};
    });
  }
  Status set(const std::string& thing, Attributes attributes) {
    return apply([&](auto& t) { return update_thing(t, tables, thing, {.attributes = attributes}, kNow); });
  }
  Status add(const std::string& thing, const std::string& group, bool override_dynamic = false) {
    return apply(
        [&](auto& t) { return add_thing_to_group(t, tables, thing, group, kNow, override_dynamic); });
  }
  Names members(const std::string& group) {
    const auto snapshot = store.snapshot();
    Names out;
    snapshot->get(tables.dynamic_group_things).visit_prefix(state::key(group, ""), [&](const auto& entry) {
      out.emplace_back(state::key_tail(entry.key));
      return true;
    });
    for (const std::string& thing : out) {
      const auto groups = dynamic_groups_of_thing(*snapshot, tables, thing);
      EXPECT_NE(std::find(groups.begin(), groups.end(), group), groups.end()) << "both directions";
    }
    return out;
  }
  GroupStatus status(const std::string& group) { return status_of_group(*store.snapshot(), tables, group); }
};

TEST(DynamicGroups, FollowThings) {
  Fleet f;
  ASSERT_TRUE(f.thing("a", "", {{"temp", "80"}}));
  ASSERT_TRUE(f.thing("b", "", {{"temp", "20"}}));
  ASSERT_TRUE(f.dynamic("hot", "attributes.temp>75"));
  EXPECT_EQ(f.members("hot"), Names{"a"});
  ASSERT_TRUE(f.set("b", {{"temp", "76"}}));
  EXPECT_EQ(f.members("hot"), (Names{"a", "b"}));
  ASSERT_TRUE(f.set("a", {{"temp", "5"}}));
  EXPECT_EQ(f.members("hot"), Names{"b"});
  ASSERT_TRUE(f.thing("c", "", {{"temp", "100"}}));
  EXPECT_EQ(f.members("hot"), (Names{"b", "c"}));
  ASSERT_TRUE(f.apply([&](auto& t) { return delete_thing(t, f.tables, "b", {}); }));
  EXPECT_EQ(f.members("hot"), Names{"c"});
}

TEST(DynamicGroups, FollowTypesAndStaticGroups) {
  Fleet f;
  ASSERT_TRUE(
      f.apply([&](auto& t) { return Fixture::status_of(create_thing_type(t, f.tables, {.name = "Pump"})); }));
  ASSERT_TRUE(f.group("north"));
  ASSERT_TRUE(f.thing("a"));
  ASSERT_TRUE(f.dynamic("pumps", "thingTypeName:pump"));
  ASSERT_TRUE(f.dynamic("northern", "thingGroupNames:north"));
  ASSERT_TRUE(f.dynamic("elsewhere", "NOT thingGroupNames:north"));
  ASSERT_TRUE(f.apply([&](auto& t) { return update_thing(t, f.tables, "a", {.type = "Pump"}, kNow); }));
  ASSERT_TRUE(f.add("a", "north"));
  EXPECT_EQ(f.members("pumps"), Names{"a"});
  EXPECT_EQ(f.members("northern"), Names{"a"});
  EXPECT_EQ(f.members("elsewhere"), Names{});
  ASSERT_TRUE(f.apply([&](auto& t) { return delete_group(t, f.tables, "north", {}); }));
  EXPECT_EQ(f.members("northern"), Names{});
  EXPECT_EQ(f.members("elsewhere"), Names{"a"});
}

TEST(DynamicGroups, FollowConnectivity) {
  Fleet f;
  ASSERT_TRUE(f.connect("late", true));  // not a thing yet
  ASSERT_TRUE(f.connect("stranger", true));
  ASSERT_TRUE(f.thing("a"));
  ASSERT_TRUE(f.dynamic("on", "connectivity.connected:true"));
  ASSERT_TRUE(f.dynamic("off", "connectivity.connected:false"));
  ASSERT_TRUE(f.dynamic("lost", "connectivity.disconnectReason:CONNECTION_LOST"));
  EXPECT_EQ(f.members("on"), Names{});
  EXPECT_EQ(f.members("off"), Names{"a"}) << "never connected is disconnected";
  ASSERT_TRUE(f.connect("a", true));
  ASSERT_TRUE(f.thing("late"));
  EXPECT_EQ(f.members("on"), (Names{"a", "late"}));
  ASSERT_TRUE(f.connect("a", false, "CONNECTION_LOST"));
  EXPECT_EQ(f.members("on"), Names{"late"});
  EXPECT_EQ(f.members("lost"), Names{"a"});
  // Of those who are no things nothing stays.
  ASSERT_TRUE(f.connect("stranger", false));
  ASSERT_TRUE(f.apply([&](auto& t) { return delete_thing(t, f.tables, "a", {}); }));
  EXPECT_EQ(f.store.snapshot()->get(f.tables.connectivity).size(), 1u);
}

TEST(DynamicGroups, ConnectivityCountsOnlyWhileItIsIndexed) {
  Fleet f(false);
  ASSERT_TRUE(f.thing("a"));
  ASSERT_TRUE(f.connect("a", true));
  ASSERT_TRUE(f.dynamic("known", "connectivity.connected:*"));
  EXPECT_EQ(f.members("known"), Names{});
  ASSERT_TRUE(f.index({true, true}));
  EXPECT_EQ(f.status("known"), GroupStatus::kRebuilding);
  f.scan();
  EXPECT_EQ(f.members("known"), Names{"a"});
  EXPECT_EQ(f.index({false, false}).error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE(f.remove("known"));
  EXPECT_TRUE(f.index({false, false}));
  EXPECT_EQ(f.dynamic("d", "a").error().code, ErrorCode::kNotFound);
}

TEST(DynamicGroups, NewQueriesAreTakenToThingsInSlices) {
  Fleet f;
  for (char c = 'a'; c <= 'j'; ++c) ASSERT_TRUE(f.thing(std::string(1, c), "", {{"x", "1"}}));
  ASSERT_TRUE(f.dynamic("empty", "attributes.x:2"));
  ASSERT_TRUE(f.update("empty", "attributes.x:1"));
  EXPECT_EQ(f.status("empty"), GroupStatus::kRebuilding);
  EXPECT_TRUE(f.members("empty").empty());
  ASSERT_TRUE(f.apply([&](auto& t) -> Status {
    EXPECT_TRUE(evaluate_slice(t, f.tables, 4));
    return {};
  }));
  EXPECT_EQ(f.members("empty"), (Names{"a", "b", "c", "d"}));
  // A second one begins meanwhile; a thing that changes is evaluated at once.
  auto query = FleetQuery::parse("thingName:?");
  ASSERT_TRUE(f.apply([&](auto& t) {
    return Fixture::status_of(
        create_dynamic_group(t, f.tables, {.name = "all", .created = kNow, .query = "thingName:?"}, *query));
  }));
  EXPECT_EQ(f.status("all"), GroupStatus::kBuilding);
  ASSERT_TRUE(f.set("j", {{"x", "1"}, {"y", "1"}}));
  EXPECT_EQ(f.members("empty").back(), "j");
  EXPECT_GE(f.scan(4), 3);
  EXPECT_EQ(f.status("all"), GroupStatus::kActive);
  EXPECT_EQ(f.status("empty"), GroupStatus::kActive);
  EXPECT_EQ(f.members("all").size(), 10u);
  EXPECT_EQ(f.members("empty").size(), 10u);
}

TEST(DynamicGroups, DeletedGroupsLoseTheirMembersAndMayComeBack) {
  Fleet f;
  ASSERT_TRUE(f.thing("a", "", {{"x", "1"}}));
  ASSERT_TRUE(f.thing("b", "", {{"x", "2"}}));
  ASSERT_TRUE(f.dynamic("d", "attributes.x:1"));
  ASSERT_TRUE(f.remove("d"));
  EXPECT_EQ(f.store.snapshot()->get(f.tables.groups).find("d"), nullptr);
  f.scan();
  EXPECT_EQ(f.members("d"), Names{});
  ASSERT_TRUE(f.dynamic("d", "attributes.x:1"));
  ASSERT_TRUE(f.remove("d"));
  ASSERT_TRUE(f.dynamic("d", "attributes.x:2"));
  EXPECT_EQ(f.members("d"), Names{"b"});
  EXPECT_TRUE(f.remove("absent"));
}

TEST(DynamicGroups, AreNotStaticOnes) {
  Fleet f;
  ASSERT_TRUE(f.thing("a"));
  ASSERT_TRUE(f.group("s"));
  ASSERT_TRUE(f.dynamic("d", "thingName:a"));
  EXPECT_EQ(f.add("a", "d").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(f.group("child", "d").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(f.group("d").error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(f.dynamic("s", "a").error().code, ErrorCode::kAlreadyExists);
  EXPECT_TRUE(f.dynamic("d", "thingName:a"));
  EXPECT_EQ(f.dynamic("d", "thingName:b").error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(f.refusal([&](auto& t) { return delete_group(t, f.tables, "d", {}); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(f.refusal([&](auto& t) { return Fixture::status_of(update_group(t, f.tables, "d", {})); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(f.update("s", "a").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(f.update("none", "a").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(f.remove("s").error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE(f.policy("p", R"({"Version": "2012-10-17", "Statement":
                            [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]})"));
  EXPECT_EQ(f.refusal([&](auto& t) { return attach_policy(t, f.tables, "p", group_target("d"), kNow); }),
            ErrorCode::kInvalidArgument);
  EXPECT_TRUE(groups_of_thing(*f.store.snapshot(), f.tables, "a").empty());
}

TEST(DynamicGroups, OlderOnesComeFirstAndStaticOnesBeforeThem) {
  Fleet f;
  ASSERT_TRUE(f.thing("a"));
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(f.dynamic("d" + std::to_string(i), "thingName:a", 100 - i));
  // d11 is the oldest; the two youngest have no room.
  EXPECT_EQ(f.members("d2"), Names{"a"});
  EXPECT_EQ(f.members("d1"), Names{});
  ASSERT_TRUE(f.group("s"));
  EXPECT_EQ(f.add("a", "s").error().code, ErrorCode::kLimitExceeded);
  ASSERT_TRUE(f.add("a", "s", true));
  EXPECT_EQ(f.members("d2"), Names{});
  EXPECT_EQ(f.members("d3"), Names{"a"});
  ASSERT_TRUE(f.apply([&](auto& t) -> Status {
    remove_thing_from_group(t, f.tables, "a", "s");
    return {};
  }));
  EXPECT_EQ(f.members("d2"), Names{"a"});
}

TEST(DynamicGroups, AtMostAHundred) {
  Fleet f;
  for (size_t i = 0; i < kDynamicGroupsMax; ++i) ASSERT_TRUE(f.dynamic("d" + std::to_string(i), "a"));
  EXPECT_EQ(f.dynamic("more", "a").error().code, ErrorCode::kLimitExceeded);
  ASSERT_TRUE(f.remove("d7"));
  EXPECT_TRUE(f.dynamic("more", "a"));
}

TEST(DynamicGroups, AreThereAgainAfterARestart) {
  const std::string path = "/tmp/fleetward-dynamic-" + std::to_string(::getpid()) + ".db";
  std::remove(path.c_str());
  for (int run = 0; run < 2; ++run) {
    state::Store store;
    const Tables tables = Tables::add_to(store);
    ASSERT_TRUE(store.open(path));
    ASSERT_TRUE(load_dynamic_groups(store, tables));
    if (run == 0) {
      ASSERT_TRUE(store.transact([&](state::Transaction& t) -> Status {
        if (auto ok = set_indexing(t, tables, {true, true}); !ok) return ok;
        for (const char* name : {"a", "b"}) {
          if (auto made = create_thing(t, tables, {.name = name, .attributes = {{"x", name}}}); !made)
            return fail(made.error());
        }
        const std::string text = "attributes.x:a OR connectivity.connected:true";
        const ConnectivityChange on{"b", {true, kNow, {}}};
        apply_connectivity(t, tables, {&on, 1});
        auto made = create_dynamic_group(t, tables, {.name = "d", .query = text}, *FleetQuery::parse(text));
        if (!made) return fail(made.error());
        evaluate_slice(t, tables, 10);
        return {};
      }));
    }
    const auto snapshot = store.snapshot();
    EXPECT_EQ(snapshot->get(tables.dynamic_group_things).size(), run == 0 ? 2u : 1u)
        << "nobody told that b was connected";
    EXPECT_EQ(status_of_group(*snapshot, tables, "d"), GroupStatus::kActive);
    EXPECT_TRUE(indexing_of(*snapshot, tables).connectivity);
  }
  for (const char* end : {"", "-wal", "-shm"}) std::remove((path + end).c_str());
}

// With the index and without it, any thing matches the same queries.
TEST(QuerySet, FindsWhatEachQueryFinds) {
  std::vector<QuerySet::Entry> entries;
  for (const char* text :
       {"thingName:pump-1", "thingName:p*", "thingTypeName:PUMP attributes.site:*", "attributes.site:north",
        "attributes.site:NORTH attributes.floor>1", "attributes.floor<=2", "NOT attributes.floor:1",
        "thingGroupNames:g1", "thingGroupNames:*", "thingId:id-2", "g1", "connectivity.connected:true",
        "thingTypeName:valve OR attributes.floor:2", "thingGroupNames:(g1 OR g2) -thingTypeName:valve"}) {
    entries.push_back({text, {static_cast<int64_t>(entries.size())}, *FleetQuery::parse(text)});
  }
  const QuerySet set(entries);
  EXPECT_TRUE(set.asks_connectivity());
  std::set<std::string> found;
  for (int i = 0; i < 200; ++i) {
    Thing thing{.name = (i % 2 ? "pump-" : "x-") + std::to_string(i % 5),
                .id = "id-" + std::to_string(i % 7)};
    thing.type = i % 3 == 0 ? "Pump" : i % 3 == 1 ? "valve" : "";
    if (i % 4 != 0) thing.attributes["site"] = i % 5 == 0 ? "north" : "South";
    if (i % 3 != 0) thing.attributes["floor"] = std::to_string(i % 6);
    Names groups;
    if (i % 2) groups.emplace_back("G1");
    if (i % 11 == 0) groups.emplace_back("g2");
    const Connectivity connectivity{i % 2 == 0, {}, {}};
    const ThingDocument document{thing, groups, &connectivity};
    Names expected;
    for (const auto& entry : set.entries()) {
      if (entry.query->matches(document)) expected.push_back(entry.group);
    }
    EXPECT_EQ(set.match(document), expected);
    found.insert(expected.begin(), expected.end());
  }
  EXPECT_EQ(found.size(), entries.size());
}

}  // namespace
}  // namespace fleetward::registry
