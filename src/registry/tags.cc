#include "registry/tags.h"

#include <algorithm>

namespace fleetward::registry {
namespace {

size_t code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

json::object tags_to_json(const Tags& tags) {
  json::object out;
  for (const auto& [key, value] : tags) out[key] = value;
  return out;
}

Result<Tags> tags_from_json(const json::object& document) {
  Tags out;
  for (const auto& member : document) {
    if (!member.value().is_string()) return fail(ErrorCode::kCorrupt, "a tag's value is not a string");
    out.emplace(member.key(), member.value().get_string());
  }
  return out;
}

}  // namespace

TagTable add_tag_table(state::Store& store) {
  return store.add_table<Tags>({"tags", tags_to_json, tags_from_json});
}

Tags tags_of(const state::Snapshot& snapshot, TagTable table, std::string_view arn) {
  const Tags* tags = snapshot.get(table).find(arn);
  return tags == nullptr ? Tags{} : *tags;
}

Status add_tags(state::Transaction& change, TagTable table, std::string_view arn, const Tags& tags) {
  if (tags.empty()) return {};
  Tags all = tags_of(change.view(), table, arn);
  for (const auto& [key, value] : tags) {
    if (key.empty() || code_points(key) > 128 || code_points(value) > 256) {
      return fail(ErrorCode::kInvalidArgument, "a tag's key has 1 to 128 characters, its value up to 256");
    }
    if (key.compare(0, 4, "aws:") == 0) {
      return fail(ErrorCode::kInvalidArgument, "a tag's key must not start with \"aws:\"");
    }
    all[key] = value;
  }
  if (all.size() > kTagsMax) {
    return fail(ErrorCode::kLimitExceeded, "a resource has at most " + std::to_string(kTagsMax) + " tags");
  }
  change.put(table, arn, std::move(all));
  return {};
}

void remove_tags(state::Transaction& change, TagTable table, std::string_view arn,
                 const std::vector<std::string>& keys) {
  Tags left = tags_of(change.view(), table, arn);
  for (const std::string& key : keys) left.erase(key);
  if (left.empty()) {
    erase_tags(change, table, arn);
  } else {
    change.put(table, arn, std::move(left));
  }
}

void erase_tags(state::Transaction& change, TagTable table, std::string_view arn) {
  if (change.get(table).find(arn) != nullptr) change.erase(table, arn);
}

}  // namespace fleetward::registry
