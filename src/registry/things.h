#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "registry/tables.h"

// Things and thing types. Changes run inside Store::transact; names and attribute texts were checked by the
// caller (check_attributes).
namespace fleetward::registry {

inline constexpr size_t kAttributesMax = 50;            // of a thing that has a type, of a group
inline constexpr size_t kAttributesWithoutTypeMax = 3;  // of a thing that has none
inline constexpr size_t kSearchableAttributesMax = 3;

// Names 1..128 of [a-zA-Z0-9_.,@/:#-], values up to 800 of those and "=[]". kInvalidArgument.
Status check_attributes(const Attributes& attributes);
// Merges (`merge`) or replaces; an empty value deletes its attribute.
Attributes updated_attributes(const Attributes& held, const Attributes& given, bool merge);

// A thing of that name with the same type and attributes is answered as it is. kAlreadyExists: it differs
// (the message ends with its ARN's resource part); kNotFound: the type; kInvalidArgument: type deprecated or
// too many attributes.
Result<Thing> create_thing(state::Transaction& change, const Tables& tables, Thing thing);

struct ThingUpdate {
  std::optional<std::string> type;
  bool remove_type = false;
  std::optional<Attributes> attributes;
  bool merge_attributes = false;
  std::optional<int64_t> expected_version;
};
// kNotFound, kVersionConflict, kInvalidArgument as above.
Status update_thing(state::Transaction& change, const Tables& tables, std::string_view name,
                    const ThingUpdate& update, Timestamp now);

// Leaves its groups. An absent thing is fine. kInvalidArgument: principals are attached; kVersionConflict.
Status delete_thing(state::Transaction& change, const Tables& tables, std::string_view name,
                    std::optional<int64_t> expected_version);

// A type of that name with the same properties is answered as it is; kAlreadyExists if they differ.
Result<ThingType> create_thing_type(state::Transaction& change, const Tables& tables, ThingType type);
Status update_thing_type(state::Transaction& change, const Tables& tables, std::string_view name,
                         const std::optional<std::string>& description,
                         const std::optional<std::vector<std::string>>& searchable);
// A deprecated type takes no new things. Repeating succeeds.
Status deprecate_thing_type(state::Transaction& change, const Tables& tables, std::string_view name,
                            bool undo, Timestamp now);
// kNotFound; kInvalidArgument: not deprecated for `wait` yet, or things have it.
Status delete_thing_type(state::Transaction& change, const Tables& tables, std::string_view name,
                         Timestamp now, Duration wait);

}  // namespace fleetward::registry
