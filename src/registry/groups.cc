#include "registry/groups.h"

#include <algorithm>

#include "registry/policies.h"
#include "registry/things.h"

namespace fleetward::registry {
namespace {

tl::unexpected<Error> no_group(std::string_view name) {
  return fail(ErrorCode::kNotFound, "Thing group " + std::string(name) + " not found");
}

// The second parts of the keys that start with `first`.
std::vector<std::string> seconds(const state::Map<Link>& map, std::string_view first) {
  std::vector<std::string> out;
  map.visit_prefix(state::key(first, ""), [&](const auto& entry) {
    out.emplace_back(state::key_tail(entry.key));
    return true;
  });
  return out;
}

std::string root_of(const state::Snapshot& snapshot, const Tables& tables, std::string_view group) {
  const auto above = ancestors_of_group(snapshot, tables, group);
  return above.empty() ? std::string(group) : above.back();
}

Status check_parent(state::Transaction& change, const Tables& tables, const std::string& parent) {
  if (change.get(tables.groups).find(parent) == nullptr) return no_group(parent);
  if (ancestors_of_group(change.view(), tables, parent).size() + 2 > kGroupDepthMax) {
    return fail(ErrorCode::kLimitExceeded, "A tree of thing groups has at most 7 levels");
  }
  if (seconds(change.get(tables.group_children), parent).size() >= kGroupChildrenMax) {
    return fail(ErrorCode::kLimitExceeded, "A thing group has at most 100 direct children");
  }
  return {};
}

}  // namespace

std::vector<std::string> ancestors_of_group(const state::Snapshot& snapshot, const Tables& tables,
                                            std::string_view group) {
  std::vector<std::string> out;
  const ThingGroup* at = snapshot.get(tables.groups).find(group);
  while (at != nullptr && !at->parent.empty() && out.size() < kGroupDepthMax) {
    out.push_back(at->parent);
    at = snapshot.get(tables.groups).find(at->parent);
  }
  return out;
}

std::vector<std::string> subtree_of_group(const state::Snapshot& snapshot, const Tables& tables,
                                          std::string_view group) {
  std::vector<std::string> out{std::string(group)};
  for (size_t i = 0; i < out.size(); ++i) {  // `out` grows while it is walked
    for (std::string& child : seconds(snapshot.get(tables.group_children), out[i])) {
      out.push_back(std::move(child));
    }
  }
  return out;
}

std::vector<std::string> groups_of_thing(const state::Snapshot& snapshot, const Tables& tables,
                                         std::string_view thing) {
  return seconds(snapshot.get(tables.thing_groups), thing);
}

std::vector<std::string> effective_groups_of_thing(const state::Snapshot& snapshot, const Tables& tables,
                                                   std::string_view thing) {
  std::vector<std::string> out = groups_of_thing(snapshot, tables, thing);
  const size_t direct = out.size();
  for (size_t i = 0; i < direct; ++i) {
    for (std::string& above : ancestors_of_group(snapshot, tables, out[i])) {
      if (std::find(out.begin(), out.end(), above) == out.end()) out.push_back(std::move(above));
    }
  }
  return out;
}

Result<ThingGroup> create_group(state::Transaction& change, const Tables& tables, ThingGroup group) {
  if (const ThingGroup* held = change.get(tables.groups).find(group.name)) {
    if (held->parent == group.parent && held->description == group.description &&
        held->attributes == group.attributes) {
      return *held;
    }
    return fail(ErrorCode::kAlreadyExists,
                "Thing group " + group.name + " already exists with different properties");
  }
  if (group.attributes.size() > kAttributesMax) {
    return fail(ErrorCode::kInvalidArgument, "A thing group has at most 50 attributes");
  }
  if (!group.parent.empty()) {
    if (auto ok = check_parent(change, tables, group.parent); !ok) return fail(ok.error());
    change.put(tables.group_children, state::key(group.parent, group.name), Link{group.created});
  }
  change.put(tables.groups, group.name, group);
  return group;
}

Result<int64_t> update_group(state::Transaction& change, const Tables& tables, std::string_view name,
                             const GroupUpdate& update) {
  const ThingGroup* held = change.get(tables.groups).find(name);
  if (held == nullptr) return no_group(name);
  if (update.expected_version && *update.expected_version != held->version) {
    return fail(ErrorCode::kVersionConflict,
                "The version of thing group " + held->name + " is " + std::to_string(held->version));
  }
  ThingGroup next = *held;
  if (update.description) next.description = *update.description;
  if (update.attributes) {
    next.attributes = updated_attributes(held->attributes, *update.attributes, update.merge_attributes);
  }
  if (next.attributes.size() > kAttributesMax) {
    return fail(ErrorCode::kInvalidArgument, "A thing group has at most 50 attributes");
  }
  const int64_t version = ++next.version;
  change.put(tables.groups, name, std::move(next));
  return version;
}

Status delete_group(state::Transaction& change, const Tables& tables, std::string_view name,
                    std::optional<int64_t> expected_version) {
  const ThingGroup* held = change.get(tables.groups).find(name);
  if (held == nullptr) return {};
  if (expected_version && *expected_version != held->version) {
    return fail(ErrorCode::kVersionConflict,
                "The version of thing group " + held->name + " is " + std::to_string(held->version));
  }
  if (!seconds(change.get(tables.group_children), name).empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "Cannot delete thing group " + held->name + ": it has child groups");
  }
  const std::string parent = held->parent;  // `held` dies with the erase below
  for (const std::string& thing : seconds(change.get(tables.group_things), name)) {
    remove_thing_from_group(change, tables, thing, name);
  }
  detach_all_policies(change, tables, group_target(name));
  if (!parent.empty()) change.erase(tables.group_children, state::key(parent, name));
  change.erase(tables.groups, name);
  return {};
}

Status add_thing_to_group(state::Transaction& change, const Tables& tables, std::string_view thing,
                          std::string_view group, Timestamp now) {
  if (change.get(tables.things).find(thing) == nullptr) {
    return fail(ErrorCode::kNotFound, "Thing " + std::string(thing) + " not found");
  }
  if (change.get(tables.groups).find(group) == nullptr) return no_group(group);
  const auto held = groups_of_thing(change.view(), tables, thing);
  if (std::find(held.begin(), held.end(), group) != held.end()) return {};
  if (held.size() >= kGroupsPerThingMax) {
    return fail(ErrorCode::kLimitExceeded, "A thing is in at most 10 thing groups");
  }
  const std::string root = root_of(change.view(), tables, group);
  for (const std::string& other : held) {
    if (root_of(change.view(), tables, other) == root) {
      return fail(ErrorCode::kInvalidArgument, "Thing " + std::string(thing) +
                                                   " is already in the thing group " + other +
                                                   " of the same hierarchy");
    }
  }
  change.put(tables.group_things, state::key(group, thing), Link{now});
  change.put(tables.thing_groups, state::key(thing, group), Link{now});
  return {};
}

void remove_thing_from_group(state::Transaction& change, const Tables& tables, std::string_view thing,
                             std::string_view group) {
  const std::string forward = state::key(group, thing);
  if (change.get(tables.group_things).find(forward) == nullptr) return;
  change.erase(tables.group_things, forward);
  change.erase(tables.thing_groups, state::key(thing, group));
}

}  // namespace fleetward::registry
