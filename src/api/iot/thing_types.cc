#include "api/iot/iot.h"
#include "registry/things.h"

namespace fleetward::api::iot {
namespace {

using registry::ThingType;

constexpr Duration kDeletionWait{300'000};  // between DeprecateThingType and DeleteThingType

struct Properties {
  std::optional<std::string> description;
  std::optional<std::vector<std::string>> searchable;
};

Properties read_properties(Input& in) {
  Properties out;
  auto properties = in.object_opt("thingTypeProperties");
  if (!properties) return out;
  out.description = properties->string_opt("thingTypeDescription", kDescription);
  out.searchable = properties->strings_opt("searchableAttributes", registry::kSearchableAttributesMax,
                                           {.min = 1, .max = 128});
  properties->unsupported("mqtt5Configuration");
  return out;
}

json::object properties_json(const ThingType& type) {
  json::object out{{"thingTypeDescription", type.description}};
  json::array searchable;
  for (const std::string& name : type.searchable_attributes) searchable.emplace_back(name);
  out["searchableAttributes"] = std::move(searchable);
  return out;
}

json::object metadata_json(const ThingType& type) {
  json::object out{{"deprecated", type.deprecated}, {"creationDate", type.created.seconds()}};
  if (type.deprecated) out["deprecationDate"] = type.deprecated_at.seconds();
  return out;
}

ApiResult<json::object> create(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  ThingType type;
  type.name = in.string("thingTypeName", kThingName);
  Properties properties = read_properties(in);
  const registry::Tags tags = read_tags(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  type.description = properties.description.value_or("");
  type.searchable_attributes = properties.searchable.value_or(std::vector<std::string>{});
  type.id = d.random.uuid();
  type.created = d.clock.now();
  const std::string type_arn = arn(d, "thingtype", type.name);
  std::string id;
  const Status status = d.store.transact([&](state::Transaction& change) -> Status {
    auto made = registry::create_thing_type(change, d.tables, type);
    if (!made) return fail(made.error());
    id = made->id;
    return registry::add_tags(change, d.tables.tags, type_arn, tags);
  });
  if (!status && status.error().code == ErrorCode::kAlreadyExists) {
    const auto snapshot = d.store.snapshot();
    const ThingType* held = snapshot->get(d.tables.thing_types).find(type.name);
    return already_exists(status.error().message, type_arn, held == nullptr ? "" : held->id);
  }
  if (!status) return refuse(kIotStyle, status.error());
  return json::object{{"thingTypeName", type.name}, {"thingTypeArn", type_arn}, {"thingTypeId", id}};
}

ApiResult<json::object> describe(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingTypeName", kThingName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const ThingType* type = snapshot->get(d.tables.thing_types).find(name);
  if (type == nullptr) return not_found(kIotStyle, "Thing type " + name + " not found");
  return json::object{{"thingTypeName", type->name},
                      {"thingTypeId", type->id},
                      {"thingTypeArn", arn(d, "thingtype", type->name)},
                      {"thingTypeProperties", properties_json(*type)},
                      {"thingTypeMetadata", metadata_json(*type)}};
}

ApiResult<json::object> update(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingTypeName", kThingName);
  const Properties properties = read_properties(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    return registry::update_thing_type(change, d.tables, name, properties.description, properties.searchable);
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> deprecate(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingTypeName", kThingName);
  const bool undo = in.boolean_or("undoDeprecate", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    return registry::deprecate_thing_type(change, d.tables, name, undo, d.clock.now());
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> remove(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingTypeName", kThingName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    registry::erase_tags(change, d.tables.tags, arn(d, "thingtype", name));
    return registry::delete_thing_type(change, d.tables, name, d.clock.now(), kDeletionWait);
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const auto name = in.string_opt("thingTypeName", kThingName);
  const Page page = read_page(in, "ListThingTypes");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  json::array types;
  const std::string next = list_page(snapshot->get(d.tables.thing_types), "", page, [&](const auto& entry) {
    const ThingType& type = *entry.value;
    if (name && type.name != *name) return false;
    types.push_back(json::object{{"thingTypeName", type.name},
                                 {"thingTypeArn", arn(d, "thingtype", type.name)},
                                 {"thingTypeProperties", properties_json(type)},
                                 {"thingTypeMetadata", metadata_json(type)}});
    return true;
  });
  json::object out{{"thingTypes", std::move(types)}};
  put_next(out, "nextToken", next);
  return out;
}

}  // namespace

std::vector<http::Operation> thing_type_operations(const Dependencies& d) {
  constexpr const char* kUri = "/thing-types/{thingTypeName}";
  constexpr std::string_view kResource = "thingtype/{thingTypeName}";
  return operations_of(
      d, {{"CreateThingType", "POST", kUri, {}, kResource, create},
          {"DescribeThingType", "GET", kUri, {}, kResource, describe},
          {"UpdateThingType", "PATCH", kUri, {}, kResource, update},
          {"DeprecateThingType", "POST", "/thing-types/{thingTypeName}/deprecate", {}, kResource, deprecate},
          {"DeleteThingType", "DELETE", kUri, {}, kResource, remove},
          {"ListThingTypes",
           "GET",
           "/thing-types",
           {"nextToken", "maxResults:int", "thingTypeName"},
           "*",
           list}});
}

}  // namespace fleetward::api::iot
