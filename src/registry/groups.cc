#include "registry/groups.h"

#include <algorithm>

#include "registry/dynamic_groups.h"
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

tl::unexpected<Error> is_dynamic(const ThingGroup& group) {
  return fail(ErrorCode::kInvalidArgument, "Thing group " + group.name + " is a dynamic thing group");
}

Status check_parent(state::Transaction& change, const Tables& tables, const std::string& parent) {
  const ThingGroup* found = change.get(tables.groups).find(parent);
  if (found == nullptr) return no_group(parent);
  if (found->dynamic()) {
    return fail(ErrorCode::kInvalidArgument, "A dynamic thing group, as " + parent + ", has no child groups");
  }
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
    if (!held->dynamic() && held->parent == group.parent && held->description == group.description &&
        held->attributes == group.attributes) {
      return *held;
    }
    return fail(ErrorCode::kAlreadyExists,
                "Thing group " + group.name + " already exists with different properties");
  }
  if (auto ok = check_group_attributes(group); !ok) return fail(ok.error());
  if (!group.parent.empty()) {
    if (auto ok = check_parent(change, tables, group.parent); !ok) return fail(ok.error());
    change.put(tables.group_children, state::key(group.parent, group.name), Link{group.created});
  }
  change.put(tables.groups, group.name, group);
  return group;
}

Status check_group_attributes(const ThingGroup& group) {
  if (group.attributes.size() <= kAttributesMax) return {};
  return fail(ErrorCode::kInvalidArgument, "A thing group has at most 50 attributes");
}

Status check_group_version(const ThingGroup& group, std::optional<int64_t> expected) {
  if (!expected || *expected == group.version) return {};
  return fail(ErrorCode::kVersionConflict,
              "The version of thing group " + group.name + " is " + std::to_string(group.version));
}

Result<ThingGroup> updated_group(const ThingGroup* held, std::string_view name, const GroupUpdate& update) {
  if (held == nullptr) return no_group(name);
  if (auto ok = check_group_version(*held, update.expected_version); !ok) return fail(ok.error());
  ThingGroup next = *held;
  if (update.description) next.description = *update.description;
  if (update.attributes) {
    next.attributes = updated_attributes(held->attributes, *update.attributes, update.merge_attributes);
  }
  if (auto ok = check_group_attributes(next); !ok) return fail(ok.error());
  ++next.version;
  return next;
}

Result<int64_t> update_group(state::Transaction& change, const Tables& tables, std::string_view name,
                             const GroupUpdate& update) {
  const ThingGroup* held = change.get(tables.groups).find(name);
  if (held != nullptr && held->dynamic()) return is_dynamic(*held);
  auto next = updated_group(held, name, update);
  if (!next) return fail(next.error());
  const int64_t version = next->version;
  change.put(tables.groups, name, std::move(*next));
  return version;
}

Status delete_group(state::Transaction& change, const Tables& tables, std::string_view name,
                    std::optional<int64_t> expected_version) {
  const ThingGroup* held = change.get(tables.groups).find(name);
  if (held == nullptr) return {};
  if (held->dynamic()) return is_dynamic(*held);
  if (auto ok = check_group_version(*held, expected_version); !ok) return ok;
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
                          std::string_view group, Timestamp now, bool override_dynamic) {
  if (change.get(tables.things).find(thing) == nullptr) {
    return fail(ErrorCode::kNotFound, "Thing " + std::string(thing) + " not found");
  }
  const ThingGroup* found = change.get(tables.groups).find(group);
  if (found == nullptr) return no_group(group);
  if (found->dynamic()) return is_dynamic(*found);
  const auto held = groups_of_thing(change.view(), tables, thing);
  if (std::find(held.begin(), held.end(), group) != held.end()) return {};
  const size_t dynamic = dynamic_groups_of_thing(change.view(), tables, thing).size();
  if (held.size() + (override_dynamic ? 0 : dynamic) >= kGroupsPerThingMax) {
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
  evaluate_thing(change, tables, thing);
  return {};
}

void remove_thing_from_group(state::Transaction& change, const Tables& tables, std::string_view thing,
                             std::string_view group) {
  const std::string forward = state::key(group, thing);
  if (change.get(tables.group_things).find(forward) == nullptr) return;
  change.erase(tables.group_things, forward);
  change.erase(tables.thing_groups, state::key(thing, group));
  evaluate_thing(change, tables, thing);
}

}  // namespace fleetward::registry
