#include "registry/things.h"

#include <algorithm>

#include "registry/dynamic_groups.h"
#include "registry/groups.h"

namespace fleetward::registry {
namespace {

bool all_of(std::string_view text, std::string_view extra) {
  return std::all_of(text.begin(), text.end(), [extra](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           extra.find(c) != std::string_view::npos;
  });
}

tl::unexpected<Error> no_thing(std::string_view name) {
  return fail(ErrorCode::kNotFound, "Thing " + std::string(name) + " not found");
}
tl::unexpected<Error> no_type(std::string_view name) {
  return fail(ErrorCode::kNotFound, "Thing type " + std::string(name) + " not found");
}

Status check_type(const state::Snapshot& view, const Tables& tables, const std::string& type) {
  if (type.empty()) return {};
  const ThingType* found = view.get(tables.thing_types).find(type);
  if (found == nullptr) return no_type(type);
  if (found->deprecated) {
    return fail(ErrorCode::kInvalidArgument, "Can not associate deprecated thing type " + type);
  }
  return {};
}

Status check_attribute_count(const Thing& thing) {
  const size_t most = thing.type.empty() ? kAttributesWithoutTypeMax : kAttributesMax;
  if (thing.attributes.size() <= most) return {};
  return fail(ErrorCode::kInvalidArgument, thing.type.empty()
                                               ? "A thing without a thing type has at most 3 attributes"
                                               : "A thing has at most 50 attributes");
}

}  // namespace

Status check_attributes(const Attributes& attributes) {
  for (const auto& [name, text] : attributes) {
    if (name.empty() || name.size() > 128 || !all_of(name, "_.,@/:#-")) {
      return fail(ErrorCode::kInvalidArgument,
                  "Attribute name '" + name.substr(0, 128) + "' must be 1 to 128 of [a-zA-Z0-9_.,@/:#-]");
    }
    if (text.size() > 800 || !all_of(text, "_.,@/:#=[]-")) {
      return fail(ErrorCode::kInvalidArgument,
                  "The value of attribute '" + name + "' must be up to 800 of [a-zA-Z0-9_.,@/:#=[]-]");
    }
  }
  return {};
}

Attributes updated_attributes(const Attributes& held, const Attributes& given, bool merge) {
  Attributes out = merge ? held : Attributes{};
  for (const auto& [name, text] : given) {
    if (text.empty()) {
      out.erase(name);
    } else {
      out[name] = text;
    }
  }
  return out;
}

Result<Thing> create_thing(state::Transaction& change, const Tables& tables, Thing thing) {
  if (const Thing* held = change.get(tables.things).find(thing.name)) {
    if (held->type == thing.type && held->attributes == thing.attributes) return *held;
    return fail(ErrorCode::kAlreadyExists,
                "Thing " + thing.name + " already exists in account with different attributes");
  }
  if (auto ok = check_type(change.view(), tables, thing.type); !ok) return fail(ok.error());
  if (auto ok = check_attribute_count(thing); !ok) return fail(ok.error());
  if (!thing.type.empty()) {
    change.put(tables.things_by_type, state::key(thing.type, thing.name), Link{thing.created});
  }
  change.put(tables.things, thing.name, thing);
  evaluate_thing(change, tables, thing.name);
  return thing;
}

Status update_thing(state::Transaction& change, const Tables& tables, std::string_view name,
                    const ThingUpdate& update, Timestamp now) {
  const Thing* held = change.get(tables.things).find(name);
  if (held == nullptr) return no_thing(name);
  if (update.expected_version && *update.expected_version != held->version) {
    return fail(ErrorCode::kVersionConflict,
                "The version of thing " + held->name + " is " + std::to_string(held->version));
  }
  if (update.remove_type && update.type) {
    return fail(ErrorCode::kInvalidArgument, "removeThingType and thingTypeName exclude each other");
  }
  Thing next = *held;
  if (update.remove_type) next.type.clear();
  if (update.type) next.type = *update.type;
  if (update.attributes) {
    next.attributes = updated_attributes(held->attributes, *update.attributes, update.merge_attributes);
  }
  if (next.type != held->type) {
    if (auto ok = check_type(change.view(), tables, next.type); !ok) return ok;
  }
  if (auto ok = check_attribute_count(next); !ok) return ok;
  if (next.type != held->type) {
    if (!held->type.empty()) change.erase(tables.things_by_type, state::key(held->type, name));
    if (!next.type.empty()) change.put(tables.things_by_type, state::key(next.type, name), Link{now});
  }
  ++next.version;
  change.put(tables.things, name, std::move(next));
  evaluate_thing(change, tables, name);
  return {};
}

Status delete_thing(state::Transaction& change, const Tables& tables, std::string_view name,
                    std::optional<int64_t> expected_version) {
  const Thing* held = change.get(tables.things).find(name);
  if (held == nullptr) return {};
  if (expected_version && *expected_version != held->version) {
    return fail(ErrorCode::kVersionConflict,
                "The version of thing " + held->name + " is " + std::to_string(held->version));
  }
  bool attached = false;
  change.get(tables.thing_principals).visit_prefix(state::key(name, ""), [&](const auto&) {
    attached = true;
    return false;
  });
  if (attached) {
    return fail(ErrorCode::kInvalidArgument,
                "Cannot delete. Thing " + held->name + " is still attached to one or more principals");
  }
  const std::string type = held->type;  // `held` dies with the erase below
  for (const std::string& group : groups_of_thing(change.view(), tables, name)) {
    remove_thing_from_group(change, tables, name, group);
  }
  if (!type.empty()) change.erase(tables.things_by_type, state::key(type, name));
  change.erase(tables.things, name);
  evaluate_thing(change, tables, name);
  const Connectivity* connectivity = change.get(tables.connectivity).find(name);
  if (connectivity != nullptr && !connectivity->connected) change.erase(tables.connectivity, name);
  return {};
}

Result<ThingType> create_thing_type(state::Transaction& change, const Tables& tables, ThingType type) {
  if (const ThingType* held = change.get(tables.thing_types).find(type.name)) {
    if (held->description == type.description && held->searchable_attributes == type.searchable_attributes) {
      return *held;
    }
    return fail(ErrorCode::kAlreadyExists,
                "Thing type " + type.name + " already exists with different properties");
  }
  change.put(tables.thing_types, type.name, type);
  return type;
}

Status update_thing_type(state::Transaction& change, const Tables& tables, std::string_view name,
                         const std::optional<std::string>& description,
                         const std::optional<std::vector<std::string>>& searchable) {
  const ThingType* held = change.get(tables.thing_types).find(name);
  if (held == nullptr) return no_type(name);
  ThingType next = *held;
  if (description) next.description = *description;
  if (searchable) next.searchable_attributes = *searchable;
  change.put(tables.thing_types, name, std::move(next));
  return {};
}

Status deprecate_thing_type(state::Transaction& change, const Tables& tables, std::string_view name,
                            bool undo, Timestamp now) {
  const ThingType* held = change.get(tables.thing_types).find(name);
  if (held == nullptr) return no_type(name);
  if (held->deprecated == !undo) return {};
  ThingType next = *held;
  next.deprecated = !undo;
  next.deprecated_at = undo ? Timestamp{} : now;
  change.put(tables.thing_types, name, std::move(next));
  return {};
}

Status delete_thing_type(state::Transaction& change, const Tables& tables, std::string_view name,
                         Timestamp now, Duration wait) {
  const ThingType* held = change.get(tables.thing_types).find(name);
  if (held == nullptr) return no_type(name);
  if (!held->deprecated || now - held->deprecated_at < wait) {
    return fail(ErrorCode::kInvalidArgument, "Cannot delete thing type " + held->name +
                                                 ": it must have been deprecated for " +
                                                 std::to_string(wait.count() / 60'000) + " minutes");
  }
  bool used = false;
  change.get(tables.things_by_type).visit_prefix(state::key(name, ""), [&](const auto&) {
    used = true;
    return false;
  });
  if (used) {
    return fail(ErrorCode::kInvalidArgument,
                "Cannot delete thing type " + held->name + ": things are associated with it");
  }
  change.erase(tables.thing_types, name);
  return {};
}

}  // namespace fleetward::registry
