#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "state/store.h"

// Tags of every taggable resource of the account, whatever room owns it, in one table keyed by the resource's
// ARN. A room that deletes a resource erases its tags in the same transaction.
namespace fleetward::registry {

using Tags = std::map<std::string, std::string>;
using TagTable = state::Table<Tags>;

inline constexpr size_t kTagsMax = 50;  // per resource

// Empty if the resource has none.
Tags tags_of(const state::Snapshot& snapshot, TagTable table, std::string_view arn);
// Adds or replaces. kInvalidArgument: key not 1..128 or value not 0..256 characters, or a key that starts
// with "aws:"; kLimitExceeded: more than kTagsMax. Whether the resource exists is the caller's business.
Status add_tags(state::Transaction& change, TagTable table, std::string_view arn, const Tags& tags);
// Absent keys are fine.
void remove_tags(state::Transaction& change, TagTable table, std::string_view arn,
                 const std::vector<std::string>& keys);
void erase_tags(state::Transaction& change, TagTable table, std::string_view arn);

// Used by Tables::add_to().
TagTable add_tag_table(state::Store& store);

}  // namespace fleetward::registry
