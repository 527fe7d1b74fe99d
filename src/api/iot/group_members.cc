#include "api/iot/iot.h"
#include "registry/dynamic_groups.h"
#include "registry/groups.h"

namespace fleetward::api::iot {
namespace {

// A group or thing given by name, by ARN, or by both if they agree.
std::string read_named(const Dependencies& d, Input& in, std::string_view name_member,
                       std::string_view arn_member, std::string_view type) {
  const auto name = in.string_opt(name_member, kThingName);
  const auto text = in.string_opt(arn_member, kArnText);
  if (!text) {
    if (!name)
      in.fail(name_member, "is missing: give " + std::string(name_member) + " or " + std::string(arn_member));
    return name.value_or("");
  }
  const auto from_arn = name_in_arn(d, *text, type);
  if (!from_arn) {
    in.fail(arn_member, "is not an ARN of this account and region");
  } else if (name && *name != *from_arn) {
    in.fail(arn_member, "names another resource than " + std::string(name_member));
  }
  return from_arn.value_or("");
}

struct Pair {
  std::string group, thing;
};
Pair read_pair(const Dependencies& d, Input& in) {
  return {read_named(d, in, "thingGroupName", "thingGroupArn", "thinggroup"),
          read_named(d, in, "thingName", "thingArn", "thing")};
}

ApiResult<json::object> add(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const Pair pair = read_pair(d, in);
  const bool override_dynamic = in.boolean_or("overrideDynamicGroups", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    return registry::add_thing_to_group(change, d.tables, pair.thing, pair.group, d.clock.now(),
                                        override_dynamic);
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

Status check_pair(const state::Snapshot& snapshot, const Dependencies& d, const std::string& thing,
                  const std::string& group) {
  if (snapshot.get(d.tables.things).find(thing) == nullptr) {
    return fail(ErrorCode::kNotFound, "Thing " + thing + " not found");
  }
  const registry::ThingGroup* found = snapshot.get(d.tables.groups).find(group);
  if (found == nullptr) return fail(ErrorCode::kNotFound, "Thing group " + group + " not found");
  if (found->dynamic()) {
    return fail(ErrorCode::kInvalidArgument,
                "Thing group " + group + " is a dynamic thing group: things leave it by its query");
  }
  return {};
}

ApiResult<json::object> remove(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const Pair pair = read_pair(d, in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    if (auto there = check_pair(change.view(), d, pair.thing, pair.group); !there) return there;
    registry::remove_thing_from_group(change, d.tables, pair.thing, pair.group);
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> update_for_thing(const Dependencies& d, const http::Call&,
                                         const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string thing = in.string("thingName", kThingName);
  const auto to_add = in.strings_opt("thingGroupsToAdd", registry::kGroupsPerThingMax, kThingName);
  const auto to_remove = in.strings_opt("thingGroupsToRemove", registry::kGroupsPerThingMax, kThingName);
  const bool override_dynamic = in.boolean_or("overrideDynamicGroups", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    for (const std::string& group : to_remove.value_or(std::vector<std::string>{})) {
      if (auto there = check_pair(change.view(), d, thing, group); !there) return there;
      registry::remove_thing_from_group(change, d.tables, thing, group);
    }
    for (const std::string& group : to_add.value_or(std::vector<std::string>{})) {
      auto added =
          registry::add_thing_to_group(change, d.tables, thing, group, d.clock.now(), override_dynamic);
      if (!added) return added;
    }
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> list_things(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingGroupName", kThingName);
  const bool recursive = in.boolean_or("recursive", false);
  const Page page = read_page(in, "ListThingsInThingGroup");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const registry::ThingGroup* found = snapshot->get(d.tables.groups).find(name);
  if (found == nullptr) return not_found(kIotStyle, "Thing group " + name + " not found");
  const auto& members =
      snapshot->get(found->dynamic() ? d.tables.dynamic_group_things : d.tables.group_things);
  std::vector<std::string> groups{name};
  if (recursive) groups = registry::subtree_of_group(*snapshot, d.tables, name);
  std::sort(groups.begin(), groups.end());
  // One range of (group, thing) after the other; a thing is in one group of a tree only.
  const std::string_view from_group = std::string_view(page.after).substr(0, page.after.find('\0'));
  json::array things;
  std::string last;
  bool more = false;
  for (const std::string& group : groups) {
    if (more || group < from_group) continue;
    const std::string prefix = state::key(group, "");
    const std::string begin = group == from_group ? page.after + '\0' : prefix;
    members.visit_from(begin, [&](const auto& entry) {
      if (!std::string_view(entry.key).starts_with(prefix)) return false;
      more = things.size() == page.limit;
      if (more) return false;
      things.emplace_back(std::string(state::key_tail(entry.key)));
      last = entry.key;
      return true;
    });
  }
  json::object out{{"things", std::move(things)}};
  if (more) out["nextToken"] = encode_page_token(page.operation, last);
  return out;
}

ApiResult<json::object> list_groups(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingName", kThingName);
  const Page page = read_page(in, "ListThingGroupsForThing");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  if (snapshot->get(d.tables.things).find(name) == nullptr) {
    return not_found(kIotStyle, "Thing " + name + " not found");
  }
  std::vector<std::string> names = registry::groups_of_thing(*snapshot, d.tables, name);
  for (std::string& dynamic : registry::dynamic_groups_of_thing(*snapshot, d.tables, name)) {
    // One that was deleted may still be listed for a moment.
    if (snapshot->get(d.tables.groups).find(dynamic) != nullptr) names.push_back(std::move(dynamic));
  }
  std::sort(names.begin(), names.end());
  json::array groups;
  std::string next;
  for (const std::string& group : page_of(names, page, next)) {
    groups.push_back(json::object{{"groupName", group}, {"groupArn", arn(d, "thinggroup", group)}});
  }
  json::object out{{"thingGroups", std::move(groups)}};
  put_next(out, "nextToken", next);
  return out;
}

}  // namespace

std::vector<http::Operation> group_member_operations(const Dependencies& d) {
  return operations_of(d, {{"AddThingToThingGroup",
                            "PUT",
                            "/thing-groups/addThingToThingGroup",
                            {},
                            "thinggroup/{thingGroupName}|thingGroupArn",
                            add},
                           {"RemoveThingFromThingGroup",
                            "PUT",
                            "/thing-groups/removeThingFromThingGroup",
                            {},
                            "thinggroup/{thingGroupName}|thingGroupArn",
                            remove},
                           {"UpdateThingGroupsForThing",
                            "PUT",
                            "/thing-groups/updateThingGroupsForThing",
                            {},
                            "thing/{thingName}",
                            update_for_thing},
                           {"ListThingsInThingGroup",
                            "GET",
                            "/thing-groups/{thingGroupName}/things",
                            {"recursive:bool", "nextToken", "maxResults:int"},
                            "thinggroup/{thingGroupName}",
                            list_things},
                           {"ListThingGroupsForThing",
                            "GET",
                            "/things/{thingName}/thing-groups",
                            {"nextToken", "maxResults:int"},
                            "thing/{thingName}",
                            list_groups}});
}

}  // namespace fleetward::api::iot
