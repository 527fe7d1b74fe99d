#include "api/iot/iot.h"
#include "registry/dynamic_groups.h"
#include "registry/groups.h"
#include "registry/things.h"

namespace fleetward::api::iot {
namespace {

using registry::ThingGroup;

registry::GroupUpdate read_properties(Input& in, bool required) {
  registry::GroupUpdate out;
  std::optional<Input> properties =
      required ? in.object("thingGroupProperties") : in.object_opt("thingGroupProperties");
  if (!properties) return out;
  out.description = properties->string_opt("thingGroupDescription", kDescription);
  if (auto payload = read_attribute_payload(*properties)) {
    out.attributes = std::move(payload->attributes);
    out.merge_attributes = payload->merge;
  }
  return out;
}

void put_query(json::object& out, const ThingGroup& group) {
  out["indexName"] = registry::kThingsIndex;
  out["queryString"] = group.query;
  out["queryVersion"] = registry::kQueryVersion;
}

json::object name_and_arn(const Dependencies& d, const std::string& group) {
  return {{"groupName", group}, {"groupArn", arn(d, "thinggroup", group)}};
}

ThingGroup read_group(const Dependencies& d, Input& in) {
  ThingGroup group;
  group.name = in.string("thingGroupName", kThingName);
  registry::GroupUpdate properties = read_properties(in, false);
  group.description = properties.description.value_or("");
  group.attributes =
      registry::updated_attributes({}, properties.attributes.value_or(registry::Attributes{}), false);
  group.id = d.random.uuid();
  group.created = d.clock.now();
  return group;
}

// The group as it is then: name, ARN and id.
ApiResult<json::object> create_by(const Dependencies& d, const ThingGroup& group, const registry::Tags& tags,
                                  const std::function<Result<ThingGroup>(state::Transaction&)>& create_in) {
  const std::string group_arn = arn(d, "thinggroup", group.name);
  std::string id;
  const Status status = d.store.transact([&](state::Transaction& change) -> Status {
    auto made = create_in(change);
    if (!made) return fail(made.error());
    id = made->id;
    return registry::add_tags(change, d.tables.tags, group_arn, tags);
  });
  if (!status && status.error().code == ErrorCode::kAlreadyExists) {
    const auto snapshot = d.store.snapshot();
    const ThingGroup* held = snapshot->get(d.tables.groups).find(group.name);
    return already_exists(status.error().message, group_arn, held == nullptr ? "" : held->id);
  }
  if (!status) return refuse(kIotStyle, status.error());
  return json::object{{"thingGroupName", group.name}, {"thingGroupArn", group_arn}, {"thingGroupId", id}};
}

ApiResult<json::object> create(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  ThingGroup group = read_group(d, in);
  group.parent = in.string_opt("parentGroupName", kThingName).value_or("");
  const registry::Tags tags = read_tags(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  return create_by(d, group, tags, [&](state::Transaction& change) {
    return registry::create_group(change, d.tables, group);
  });
}

ApiResult<json::object> create_dynamic(const Dependencies& d, const http::Call&,
                                       const json::object& arguments) {
  Input in(arguments, kIotStyle);
  ThingGroup group = read_group(d, in);
  group.query = in.string("queryString", kQueryText);
  read_index(in);
  const registry::Tags tags = read_tags(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto query = parse_query(group.query);
  if (!query) return tl::unexpected(query.error());
  auto out = create_by(d, group, tags, [&](state::Transaction& change) {
    return registry::create_dynamic_group(change, d.tables, group, *query);
  });
  if (out) put_query(*out, group);
  return out;
}

std::string_view status_name(registry::GroupStatus status) {
  switch (status) {
    case registry::GroupStatus::kActive:
      return "ACTIVE";
    case registry::GroupStatus::kBuilding:
      return "BUILDING";
    case registry::GroupStatus::kRebuilding:
      return "REBUILDING";
  }
  return "";
}

ApiResult<json::object> describe(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingGroupName", kThingName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const ThingGroup* group = snapshot->get(d.tables.groups).find(name);
  if (group == nullptr) return not_found(kIotStyle, "Thing group " + name + " not found");
  json::object properties{
      {"thingGroupDescription", group->description},
      {"attributePayload", json::object{{"attributes", attributes_json(group->attributes)}}}};
  json::object metadata{{"creationDate", group->created.seconds()}};
  if (!group->parent.empty()) {
    metadata["parentGroupName"] = group->parent;
    json::array path;
    const auto above = registry::ancestors_of_group(*snapshot, d.tables, name);
    for (auto it = above.rbegin(); it != above.rend(); ++it) path.push_back(name_and_arn(d, *it));
    metadata["rootToParentThingGroups"] = std::move(path);
  }
  json::object out{{"thingGroupName", group->name},
                   {"thingGroupId", group->id},
                   {"thingGroupArn", arn(d, "thinggroup", group->name)},
                   {"version", group->version},
                   {"thingGroupProperties", std::move(properties)},
                   {"thingGroupMetadata", std::move(metadata)}};
  if (group->dynamic()) {
    put_query(out, *group);
    out["status"] = status_name(registry::status_of_group(*snapshot, d.tables, name));
  }
  return out;
}

ApiResult<json::object> update(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingGroupName", kThingName);
  registry::GroupUpdate change_of = read_properties(in, true);
  change_of.expected_version = in.integer_opt("expectedVersion", 0, INT64_MAX);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  int64_t version = 0;
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    auto updated = registry::update_group(change, d.tables, name, change_of);
    if (!updated) return fail(updated.error());
    version = *updated;
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{{"version", version}};
}

ApiResult<json::object> update_dynamic(const Dependencies& d, const http::Call&,
                                       const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingGroupName", kThingName);
  registry::GroupUpdate change_of = read_properties(in, true);
  change_of.expected_version = in.integer_opt("expectedVersion", 0, INT64_MAX);
  const auto text = in.string_opt("queryString", kQueryText);
  read_index(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  std::optional<registry::NewQuery> query;
  if (text) {
    auto parsed = parse_query(*text);
    if (!parsed) return tl::unexpected(parsed.error());
    query = registry::NewQuery{*text, std::move(*parsed)};
  }
  int64_t version = 0;
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    auto updated = registry::update_dynamic_group(change, d.tables, name, change_of, query);
    if (!updated) return fail(updated.error());
    version = *updated;
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{{"version", version}};
}

using Remove = Status (*)(state::Transaction&, const registry::Tables&, std::string_view,
                          std::optional<int64_t>);
ApiResult<json::object> remove_by(const Dependencies& d, const json::object& arguments, Remove remove_in) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingGroupName", kThingName);
  const auto version = in.integer_opt("expectedVersion", 0, INT64_MAX);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    const std::string group = arn(d, "thinggroup", name);
    registry::erase_tags(change, d.tables.tags, group);
    if (d.options.group_deleted) d.options.group_deleted(change, group);
    return remove_in(change, d.tables, name, version);
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> remove(const Dependencies& d, const http::Call&, const json::object& arguments) {
  return remove_by(d, arguments, registry::delete_group);
}

ApiResult<json::object> remove_dynamic(const Dependencies& d, const http::Call&,
                                       const json::object& arguments) {
  return remove_by(d, arguments, registry::delete_dynamic_group);
}

ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const auto parent = in.string_opt("parentGroup", kThingName);
  const std::string prefix = in.string_opt("namePrefixFilter", kThingName).value_or("");
  const bool recursive = in.boolean_or("recursive", true);
  const Page page = read_page(in, "ListThingGroups");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const auto& groups = snapshot->get(d.tables.groups);
  json::array found;
  std::string next;
  if (!parent) {
    next = list_page(groups, prefix, page, [&](const auto& entry) {
      if (!recursive && !entry.value->parent.empty()) return false;
      found.push_back(name_and_arn(d, entry.value->name));
      return true;
    });
  } else {
    if (groups.find(*parent) == nullptr) return not_found(kIotStyle, "Thing group " + *parent + " not found");
    std::vector<std::string> names = registry::subtree_of_group(*snapshot, d.tables, *parent);
    std::erase_if(names, [&](const std::string& name) {
      return name == *parent || !name.starts_with(prefix) ||
             (!recursive && groups.find(name)->parent != *parent);
    });
    std::sort(names.begin(), names.end());
    for (const std::string& name : page_of(names, page, next)) found.push_back(name_and_arn(d, name));
  }
  json::object out{{"thingGroups", std::move(found)}};
  put_next(out, "nextToken", next);
  return out;
}

}  // namespace

std::vector<http::Operation> thing_group_operations(const Dependencies& d) {
  constexpr const char* kUri = "/thing-groups/{thingGroupName}";
  constexpr const char* kDynamicUri = "/dynamic-thing-groups/{thingGroupName}";
  constexpr std::string_view kResource = "thinggroup/{thingGroupName}";
  return operations_of(
      d,
      {{"CreateThingGroup", "POST", kUri, {}, kResource, create},
       {"DescribeThingGroup", "GET", kUri, {}, kResource, describe},
       {"UpdateThingGroup", "PATCH", kUri, {}, kResource, update},
       {"DeleteThingGroup", "DELETE", kUri, {"expectedVersion:int"}, kResource, remove},
       {"CreateDynamicThingGroup", "POST", kDynamicUri, {}, kResource, create_dynamic},
       {"UpdateDynamicThingGroup", "PATCH", kDynamicUri, {}, kResource, update_dynamic},
       {"DeleteDynamicThingGroup", "DELETE", kDynamicUri, {"expectedVersion:int"}, kResource, remove_dynamic},
       {"ListThingGroups",
        "GET",
        "/thing-groups",
        {"nextToken", "maxResults:int", "parentGroup", "namePrefixFilter", "recursive:bool"},
        "*",
        list}});
}

}  // namespace fleetward::api::iot
