#include "registry/things.h"

#include "api/iot/iot.h"

namespace fleetward::api::iot {
namespace {

using registry::Thing;

ApiResult<json::object> create(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  Thing thing;
  thing.name = in.string("thingName", kThingName);
  thing.type = in.string_opt("thingTypeName", kThingName).value_or("");
  if (auto payload = read_attribute_payload(in); payload && payload->attributes) {
    thing.attributes = registry::updated_attributes({}, *payload->attributes, false);
  }
  in.unsupported("billingGroupName");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  thing.id = d.random.uuid();
  thing.created = d.clock.now();
  json::object out;
  const Status status = d.store.transact([&](state::Transaction& change) -> Status {
    auto made = registry::create_thing(change, d.tables, thing);
    if (!made) return fail(made.error());
    out = {{"thingName", made->name}, {"thingArn", arn(d, "thing", made->name)}, {"thingId", made->id}};
    return {};
  });
  if (status) return out;
  if (status.error().code != ErrorCode::kAlreadyExists) return refuse(kIotStyle, status.error());
  const auto snapshot = d.store.snapshot();
  const Thing* held = snapshot->get(d.tables.things).find(thing.name);
  return already_exists(status.error().message, arn(d, "thing", thing.name), held == nullptr ? "" : held->id);
}

ApiResult<json::object> describe(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingName", kThingName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Thing* thing = snapshot->get(d.tables.things).find(name);
  if (thing == nullptr) return not_found(kIotStyle, "Thing " + name + " not found");
  json::object out{{"defaultClientId", thing->name},
                   {"thingName", thing->name},
                   {"thingId", thing->id},
                   {"thingArn", arn(d, "thing", thing->name)},
                   {"attributes", attributes_json(thing->attributes)},
                   {"version", thing->version}};
  if (!thing->type.empty()) out["thingTypeName"] = thing->type;
  return out;
}

ApiResult<json::object> update(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingName", kThingName);
  registry::ThingUpdate change_of;
  change_of.type = in.string_opt("thingTypeName", kThingName);
  change_of.remove_type = in.boolean_or("removeThingType", false);
  change_of.expected_version = in.integer_opt("expectedVersion", 0, INT64_MAX);
  if (auto payload = read_attribute_payload(in)) {
    change_of.attributes = std::move(payload->attributes);
    change_of.merge_attributes = payload->merge;
  }
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    return registry::update_thing(change, d.tables, name, change_of, d.clock.now());
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> remove(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingName", kThingName);
  const auto version = in.integer_opt("expectedVersion", 0, INT64_MAX);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(
      d, [&](state::Transaction& change) { return registry::delete_thing(change, d.tables, name, version); });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

// What ListThings selects by.
struct Filter {
  std::optional<std::string> attribute, value, type;
  bool prefix = false;

  bool admits(const Thing& thing) const {
    if (type && thing.type != *type) return false;
    if (!attribute) return true;
    const auto it = thing.attributes.find(*attribute);
    if (it == thing.attributes.end()) return false;
    if (!value) return true;
    return prefix ? it->second.starts_with(*value) : it->second == *value;
  }
};

json::object thing_json(const Dependencies& d, const Thing& thing) {
  json::object out{{"thingName", thing.name},
                   {"thingArn", arn(d, "thing", thing.name)},
                   {"attributes", attributes_json(thing.attributes)},
                   {"version", thing.version}};
  if (!thing.type.empty()) out["thingTypeName"] = thing.type;
  return out;
}

ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  Filter filter;
  filter.attribute = in.string_opt("attributeName", {.min = 1, .max = 128});
  filter.value = in.string_opt("attributeValue", {.max = 800});
  filter.type = in.string_opt("thingTypeName", kThingName);
  filter.prefix = in.boolean_or("usePrefixAttributeValue", false);
  if (filter.value && !filter.attribute) in.fail("attributeValue", "needs an attributeName");
  const Page page = read_page(in, "ListThings");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const auto& things = snapshot->get(d.tables.things);
  json::array found;
  const auto add = [&](const Thing* thing) {
    if (thing == nullptr || !filter.admits(*thing)) return false;
    found.push_back(thing_json(d, *thing));
    return true;
  };
  const std::string next =
      filter.type ? list_page(snapshot->get(d.tables.things_by_type), state::key(*filter.type, ""), page,
                              [&](const auto& entry) { return add(things.find(state::key_tail(entry.key))); })
                  : list_page(things, "", page, [&](const auto& entry) { return add(entry.value.get()); });
  json::object out{{"things", std::move(found)}};
  put_next(out, "nextToken", next);
  return out;
}

}  // namespace

std::vector<http::Operation> thing_operations(const Dependencies& d) {
  return operations_of(
      d,
      {{"CreateThing", "POST", "/things/{thingName}", {}, "thing/{thingName}", create},
       {"DescribeThing", "GET", "/things/{thingName}", {}, "thing/{thingName}", describe},
       {"UpdateThing", "PATCH", "/things/{thingName}", {}, "thing/{thingName}", update},
       {"DeleteThing", "DELETE", "/things/{thingName}", {"expectedVersion:int"}, "thing/{thingName}", remove},
       {"ListThings",
        "GET",
        "/things",
        {"nextToken", "maxResults:int", "attributeName", "attributeValue", "thingTypeName",
         "usePrefixAttributeValue:bool"},
        "*",
        list}});
}

}  // namespace fleetward::api::iot
