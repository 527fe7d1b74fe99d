#include "registry/dynamic_groups.h"

#include <algorithm>

#include "registry/query_set.h"

namespace fleetward::registry {
namespace {

// Compiles nothing: entries whose group stays keep their query.
std::vector<QuerySet::Entry> entries_without(const state::Snapshot& snapshot, const Tables& tables,
                                             std::string_view group) {
  const QuerySet* set = snapshot.get(tables.queries).find("");
  if (set == nullptr) return {};
  std::vector<QuerySet::Entry> out = set->entries();
  std::erase_if(out, [&](const QuerySet::Entry& entry) { return entry.group == group; });
  return out;
}

void put_queries(state::Transaction& change, const Tables& tables, std::vector<QuerySet::Entry> entries) {
  if (entries.empty()) {
    change.erase(tables.queries, "");
  } else {
    change.put(tables.queries, "", QuerySet(std::move(entries)));
  }
}

void put_query(state::Transaction& change, const Tables& tables, const ThingGroup& group,
               std::shared_ptr<const FleetQuery> query) {
  auto entries = entries_without(change.view(), tables, group.name);
  entries.push_back({group.name, group.created, std::move(query)});
  put_queries(change, tables, std::move(entries));
}

}  // namespace

Indexing indexing_of(const state::Snapshot& snapshot, const Tables& tables) {
  const AccountFacts* facts = snapshot.get(tables.account).find("");
  if (facts == nullptr) return {};
  return {facts->thing_indexing, facts->thing_indexing && facts->connectivity_indexing};
}

Status set_indexing(state::Transaction& change, const Tables& tables, Indexing indexing) {
  const QuerySet* set = change.get(tables.queries).find("");
  if (!indexing.things && set != nullptr) {
    return fail(ErrorCode::kInvalidArgument,
                "Thing indexing cannot be switched off while there are dynamic thing groups");
  }
  const Indexing before = indexing_of(change.view(), tables);
  const AccountFacts* held = change.get(tables.account).find("");
  AccountFacts next = held == nullptr ? AccountFacts{} : *held;
  next.thing_indexing = indexing.things;
  next.connectivity_indexing = indexing.connectivity;
  change.put(tables.account, "", std::move(next));
  if (set == nullptr || before.connectivity == indexing.connectivity) return {};
  for (const QuerySet::Entry& entry : set->entries()) {
    if (entry.query->asks_connectivity()) change.put(tables.scans, entry.group, MembershipScan{{}, true});
  }
  return {};
}

Result<ThingGroup> create_dynamic_group(state::Transaction& change, const Tables& tables, ThingGroup group,
                                        std::shared_ptr<const FleetQuery> query) {
  if (!indexing_of(change.view(), tables).things) {
    return fail(ErrorCode::kNotFound, "Index " + std::string(kThingsIndex) +
                                          " does not exist: thing indexing is off (see "
                                          "UpdateIndexingConfiguration)");
  }
  if (const ThingGroup* held = change.get(tables.groups).find(group.name)) {
    if (held->query == group.query && held->description == group.description &&
        held->attributes == group.attributes) {
      return *held;
    }
    return fail(ErrorCode::kAlreadyExists,
                "Thing group " + group.name + " already exists with different properties");
  }
  if (auto ok = check_group_attributes(group); !ok) return fail(ok.error());
  const QuerySet* set = change.get(tables.queries).find("");
  if (set != nullptr && set->entries().size() >= kDynamicGroupsMax) {
    return fail(ErrorCode::kLimitExceeded,
                "An account has at most " + std::to_string(kDynamicGroupsMax) + " dynamic thing groups");
  }
  change.put(tables.groups, group.name, group);
  put_query(change, tables, group, std::move(query));
  change.put(tables.scans, group.name, MembershipScan{});
  return group;
}

Result<int64_t> update_dynamic_group(state::Transaction& change, const Tables& tables, std::string_view name,
                                     const GroupUpdate& update, const std::optional<NewQuery>& query) {
  const ThingGroup* held = change.get(tables.groups).find(name);
  if (held != nullptr && !held->dynamic()) {
    return fail(ErrorCode::kInvalidArgument, "Thing group " + held->name + " is not a dynamic thing group");
  }
  auto next = updated_group(held, name, update);
  if (!next) return fail(next.error());
  if (query && query->text != next->query) {
    next->query = query->text;
    put_query(change, tables, *next, query->query);
    const MembershipScan* scan = change.get(tables.scans).find(name);
    const bool rebuilding = scan == nullptr || scan->rebuilding;
    change.put(tables.scans, name, MembershipScan{{}, rebuilding});
  }
  const int64_t version = next->version;
  change.put(tables.groups, name, std::move(*next));
  return version;
}

Status delete_dynamic_group(state::Transaction& change, const Tables& tables, std::string_view name,
                            std::optional<int64_t> expected_version) {
  const ThingGroup* held = change.get(tables.groups).find(name);
  if (held == nullptr) return {};
  if (!held->dynamic()) {
    return fail(ErrorCode::kInvalidArgument, "Thing group " + held->name + " is not a dynamic thing group");
  }
  if (auto ok = check_group_version(*held, expected_version); !ok) return ok;
  put_queries(change, tables, entries_without(change.view(), tables, name));
  // Members leave as things are evaluated again; until then nobody finds the group they are listed under.
  change.put(tables.scans, name, MembershipScan{{}, true});
  change.erase(tables.groups, name);
  return {};
}

GroupStatus status_of_group(const state::Snapshot& snapshot, const Tables& tables, std::string_view name) {
  const MembershipScan* scan = snapshot.get(tables.scans).find(name);
  if (scan == nullptr) return GroupStatus::kActive;
  return scan->rebuilding ? GroupStatus::kRebuilding : GroupStatus::kBuilding;
}

std::vector<std::string> dynamic_groups_of_thing(const state::Snapshot& snapshot, const Tables& tables,
                                                 std::string_view thing) {
  std::vector<std::string> out;
  snapshot.get(tables.dynamic_thing_groups).visit_prefix(state::key(thing, ""), [&](const auto& entry) {
    out.emplace_back(state::key_tail(entry.key));
    return true;
  });
  return out;
}

ThingDocument document_of(const state::Snapshot& snapshot, const Tables& tables, const Thing& thing,
                          std::span<const std::string> groups) {
  static const Connectivity kNeverConnected;
  ThingDocument out{thing, groups, nullptr};
  if (!indexing_of(snapshot, tables).connectivity) return out;
  out.connectivity = snapshot.get(tables.connectivity).find(thing.name);
  if (out.connectivity == nullptr) out.connectivity = &kNeverConnected;
  return out;
}

void evaluate_thing(state::Transaction& change, const Tables& tables, std::string_view thing) {
  const QuerySet* set = change.get(tables.queries).find("");
  const std::vector<std::string> before = dynamic_groups_of_thing(change.view(), tables, thing);
  if (set == nullptr && before.empty()) return;
  std::vector<std::string> after;
  const Thing* found = change.get(tables.things).find(thing);
  if (set != nullptr && found != nullptr) {
    const std::vector<std::string> groups = groups_of_thing(change.view(), tables, thing);
    after = set->match(document_of(change.view(), tables, *found, groups));
    after.resize(std::min(after.size(), kGroupsPerThingMax - std::min(groups.size(), kGroupsPerThingMax)));
    std::sort(after.begin(), after.end());
  }
  if (after == before) return;
  for (const std::string& group : before) {
    if (std::binary_search(after.begin(), after.end(), group)) continue;
    change.erase(tables.dynamic_group_things, state::key(group, thing));
    change.erase(tables.dynamic_thing_groups, state::key(thing, group));
  }
  for (const std::string& group : after) {
    if (std::binary_search(before.begin(), before.end(), group)) continue;
    change.put(tables.dynamic_group_things, state::key(group, thing), Link{});
    change.put(tables.dynamic_thing_groups, state::key(thing, group), Link{});
  }
}

void apply_connectivity(state::Transaction& change, const Tables& tables,
                        std::span<const ConnectivityChange> changes) {
  const bool indexed = indexing_of(change.view(), tables).connectivity;
  const QuerySet* set = change.get(tables.queries).find("");
  const bool asked = indexed && set != nullptr && set->asks_connectivity();
  for (const ConnectivityChange& one : changes) {
    const bool known = change.get(tables.things).find(one.name) != nullptr;
    if (known || one.now.connected) {
      change.put(tables.connectivity, one.name, one.now);
    } else {
      change.erase(tables.connectivity, one.name);
    }
    if (known && asked) evaluate_thing(change, tables, one.name);
  }
}

bool evaluate_slice(state::Transaction& change, const Tables& tables, size_t things_max) {
  // All scans that have come as far as the first one go on together.
  std::string from;
  std::vector<std::pair<std::string, bool>> groups;
  change.get(tables.scans).visit_from("", [&](const auto& entry) {
    if (groups.empty()) from = entry.value->next;
    if (entry.value->next == from) groups.emplace_back(entry.key, entry.value->rebuilding);
    return true;
  });
  if (groups.empty()) return false;
  std::vector<std::string> things;
  bool more = false;
  change.get(tables.things).visit_from(from, [&](const auto& entry) {
    more = things.size() == things_max;
    if (!more) things.push_back(entry.key);
    return !more;
  });
  for (const std::string& thing : things) evaluate_thing(change, tables, thing);
  for (const auto& [group, rebuilding] : groups) {
    if (more) {
      change.put(tables.scans, group, MembershipScan{things.back() + '\0', rebuilding});
    } else {
      change.erase(tables.scans, group);
    }
  }
  return change.get(tables.scans).size() > 0;
}

Status load_dynamic_groups(state::Store& store, const Tables& tables) {
  return store.transact([&](state::Transaction& change) -> Status {
    std::vector<QuerySet::Entry> entries;
    Status status;
    change.get(tables.groups).visit_from("", [&](const auto& entry) {
      const ThingGroup& group = *entry.value;
      if (!group.dynamic()) return true;
      auto query = FleetQuery::parse(group.query);
      if (query) {
        entries.push_back({group.name, group.created, std::move(*query)});
      } else {
        status = fail(ErrorCode::kCorrupt, "thing group " + group.name + ": " + query.error().message);
      }
      return status.has_value();
    });
    if (!status || entries.empty()) return status;
    for (const QuerySet::Entry& entry : entries) change.put(tables.scans, entry.group, MembershipScan{});
    put_queries(change, tables, std::move(entries));
    evaluate_slice(change, tables, change.get(tables.things).size());
    return {};
  });
}

}  // namespace fleetward::registry
