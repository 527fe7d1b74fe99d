#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registry/tables.h"

// Static thing groups, their tree and their members. Dynamic ones are in dynamic_groups.h; functions that
// change a group refuse those (kInvalidArgument).
namespace fleetward::registry {

inline constexpr size_t kGroupDepthMax = 7;
inline constexpr size_t kGroupChildrenMax = 100;
inline constexpr size_t kGroupsPerThingMax = 10;

// A group of that name with the same parent, description and attributes is answered as it is. kAlreadyExists:
// it differs; kNotFound: the parent; kLimitExceeded: depth or children.
Result<ThingGroup> create_group(state::Transaction& change, const Tables& tables, ThingGroup group);

struct GroupUpdate {
  std::optional<std::string> description;
  std::optional<Attributes> attributes;
  bool merge_attributes = false;
  std::optional<int64_t> expected_version;
};
// The new version. kNotFound, kVersionConflict, kInvalidArgument (attributes).
Result<int64_t> update_group(state::Transaction& change, const Tables& tables, std::string_view name,
                             const GroupUpdate& update);
// Drops memberships and policy attachments. An absent group is fine. kInvalidArgument: it has children.
Status delete_group(state::Transaction& change, const Tables& tables, std::string_view name,
                    std::optional<int64_t> expected_version);

// Repeating succeeds. kNotFound: thing or group; kLimitExceeded: kGroupsPerThingMax, dynamic ones included
// unless `override_dynamic`: then the thing leaves the newest of those. kInvalidArgument: the thing is in
// another group of the same tree.
Status add_thing_to_group(state::Transaction& change, const Tables& tables, std::string_view thing,
                          std::string_view group, Timestamp now, bool override_dynamic = false);
// A thing that is not in the group is fine.
void remove_thing_from_group(state::Transaction& change, const Tables& tables, std::string_view thing,
                             std::string_view group);

// For both kinds of groups. updated_group(): what `held` (nullptr: kNotFound) becomes.
Status check_group_attributes(const ThingGroup& group);
Status check_group_version(const ThingGroup& group, std::optional<int64_t> expected);
Result<ThingGroup> updated_group(const ThingGroup* held, std::string_view name, const GroupUpdate& update);

// From the group's parent up to the root.
std::vector<std::string> ancestors_of_group(const state::Snapshot& snapshot, const Tables& tables,
                                            std::string_view group);
// The group and everything below it.
std::vector<std::string> subtree_of_group(const state::Snapshot& snapshot, const Tables& tables,
                                          std::string_view group);
// The static ones, in order of name.
std::vector<std::string> groups_of_thing(const state::Snapshot& snapshot, const Tables& tables,
                                         std::string_view thing);
// Those and all their ancestors, each once.
std::vector<std::string> effective_groups_of_thing(const state::Snapshot& snapshot, const Tables& tables,
                                                   std::string_view thing);

}  // namespace fleetward::registry
