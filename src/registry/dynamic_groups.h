#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "registry/fleet_query.h"
#include "registry/groups.h"
#include "registry/tables.h"

// Fleet indexing and dynamic thing groups: a thing is a member while the group's query matches it.
//
// Memberships follow from durable tables and from who is connected, so they live in memory tables and every
// change keeps them up: the functions of things.h and groups.h evaluate the thing they change in the same
// transaction, apply_connectivity() the things that came or went. A new query is taken to all things in
// slices (evaluate_slice()); until then the group says so. Queries see the static groups of a thing only, so
// that no membership depends on another.
//
// A thing is in at most kGroupsPerThingMax groups. Static ones come first, then the oldest dynamic ones.
namespace fleetward::registry {

inline constexpr size_t kDynamicGroupsMax = 100;  // per account (adjustable at AWS)
inline constexpr std::string_view kThingsIndex = "AWS_Things";
inline constexpr std::string_view kQueryVersion = "2017-09-30";

struct Indexing {
  bool things = false;
  bool connectivity = false;  // only if `things`
};
Indexing indexing_of(const state::Snapshot& snapshot, const Tables& tables);
// kInvalidArgument: off, although there are dynamic groups.
Status set_indexing(state::Transaction& change, const Tables& tables, Indexing indexing);

// `group.query` is the text of `query`. A group of that name with the same properties and query is answered
// as it is. kAlreadyExists: it differs; kLimitExceeded: kDynamicGroupsMax; kNotFound: things are not indexed;
// kInvalidArgument: attributes.
Result<ThingGroup> create_dynamic_group(state::Transaction& change, const Tables& tables, ThingGroup group,
                                        std::shared_ptr<const FleetQuery> query);
struct NewQuery {
  std::string text;
  std::shared_ptr<const FleetQuery> query;
};
// The new version. kNotFound, kVersionConflict, kInvalidArgument (attributes, or a static group).
Result<int64_t> update_dynamic_group(state::Transaction& change, const Tables& tables, std::string_view name,
                                     const GroupUpdate& update, const std::optional<NewQuery>& query);
// An absent group is fine. kVersionConflict; kInvalidArgument: a static group.
Status delete_dynamic_group(state::Transaction& change, const Tables& tables, std::string_view name,
                            std::optional<int64_t> expected_version);

enum class GroupStatus { kActive, kBuilding, kRebuilding };
// Of a dynamic group. Members may be missing while it is not kActive.
GroupStatus status_of_group(const state::Snapshot& snapshot, const Tables& tables, std::string_view name);

// In order of name.
std::vector<std::string> dynamic_groups_of_thing(const state::Snapshot& snapshot, const Tables& tables,
                                                 std::string_view thing);
// What queries see of a thing; `groups` (its static ones) outlives it.
ThingDocument document_of(const state::Snapshot& snapshot, const Tables& tables, const Thing& thing,
                          std::span<const std::string> groups);

// After every change of a thing or of its static groups; an absent thing leaves all.
void evaluate_thing(state::Transaction& change, const Tables& tables, std::string_view thing);

struct ConnectivityChange {
  std::string name;  // thing, or client id of who is none
  Connectivity now;
};
void apply_connectivity(state::Transaction& change, const Tables& tables,
                        std::span<const ConnectivityChange> changes);

// Evaluates the next things of a pending scan; true if there is more to do.
bool evaluate_slice(state::Transaction& change, const Tables& tables, size_t things_max);

// Once, after Store::open(), when the table of connectivity holds what is known from before: compiles the
// queries and evaluates all things. kCorrupt: a stored query does not parse.
Status load_dynamic_groups(state::Store& store, const Tables& tables);

}  // namespace fleetward::registry
