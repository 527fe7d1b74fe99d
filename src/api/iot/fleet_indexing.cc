#include <algorithm>
#include <array>

#include "api/iot/iot.h"
#include "registry/dynamic_groups.h"

// Fleet indexing: the index of things, over the registry and connectivity. There is nothing to build: an
// index that is on reads the registry.
namespace fleetward::api::iot {
namespace {

constexpr size_t kSearchPageMax = 100;
// Things that one call looks at; beyond, it answers what it has and a token.
constexpr size_t kSearchThingsMax = 1'000'000;

struct ManagedField {
  std::string_view name, type;
  bool of_connectivity = false;
};
constexpr std::array<ManagedField, 8> kManagedFields{{
    {"thingId", "String"},
    {"thingName", "String"},
    {"registry.version", "Number"},
    {"registry.thingTypeName", "String"},
    {"registry.thingGroupNames", "String"},
    {"connectivity.connected", "Boolean", true},
    {"connectivity.timestamp", "Number", true},
    {"connectivity.disconnectReason", "String", true},
}};

tl::unexpected<http::ApiError> no_index() {
  return not_found(
      kIotStyle, "Index AWS_Things does not exist: thing indexing is off (see UpdateIndexingConfiguration)");
}

ApiResult<json::object> get_configuration(const Dependencies& d, const http::Call&,
                                          const json::object& arguments) {
  Input in(arguments, kIotStyle);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const registry::Indexing indexing = registry::indexing_of(*d.store.snapshot(), d.tables);
  json::object things{{"thingIndexingMode", indexing.things ? "REGISTRY" : "OFF"},
                      {"thingConnectivityIndexingMode", indexing.connectivity ? "STATUS" : "OFF"},
                      {"deviceDefenderIndexingMode", "OFF"},
                      {"namedShadowIndexingMode", "OFF"}};
  json::array fields;
  for (const ManagedField& field : kManagedFields) {
    if (!(field.of_connectivity ? indexing.connectivity : indexing.things)) continue;
    fields.push_back(json::object{{"name", field.name}, {"type", field.type}});
  }
  if (!fields.empty()) things["managedFields"] = std::move(fields);
  return json::object{{"thingIndexingConfiguration", std::move(things)},
                      {"thingGroupIndexingConfiguration", json::object{{"thingGroupIndexingMode", "OFF"}}}};
}

// Managed fields cannot be changed, so only what they are is accepted; custom fields serve aggregations.
void read_fields(Input& in) {
  for (Input& field : in.objects_opt("managedFields", 100)) {
    const std::string name = field.string("name"), type = field.string("type");
    const bool known = std::any_of(kManagedFields.begin(), kManagedFields.end(),
                                   [&](const ManagedField& f) { return f.name == name && f.type == type; });
    if (!known) field.fail("name", "is not a managed field of this type");
  }
  if (!in.objects_opt("customFields", 100).empty()) {
    in.fail("customFields",
            "serve aggregations, which this release does not have; attributes are searched without");
  }
}

registry::Indexing read_thing_indexing(Input& in) {
  registry::Indexing out;
  const std::string mode = in.one_of("thingIndexingMode", {"OFF", "REGISTRY", "REGISTRY_AND_SHADOW"});
  if (mode == "REGISTRY_AND_SHADOW") {
    in.fail("thingIndexingMode",
            "REGISTRY_AND_SHADOW is not supported by this release, which has no shadows");
  }
  out.things = mode == "REGISTRY";
  out.connectivity = in.one_of_opt("thingConnectivityIndexingMode", {"OFF", "STATUS"}) == "STATUS";
  if (out.connectivity && !out.things) {
    in.fail("thingConnectivityIndexingMode", "STATUS needs thingIndexingMode REGISTRY");
  }
  if (in.one_of_opt("deviceDefenderIndexingMode", {"OFF", "VIOLATIONS"}) == "VIOLATIONS") {
    in.fail("deviceDefenderIndexingMode", "VIOLATIONS is not supported by this release");
  }
  if (in.one_of_opt("namedShadowIndexingMode", {"OFF", "ON"}) == "ON") {
    in.fail("namedShadowIndexingMode", "ON is not supported by this release, which has no shadows");
  }
  in.unsupported("filter");
  read_fields(in);
  return out;
}

ApiResult<json::object> update_configuration(const Dependencies& d, const http::Call&,
                                             const json::object& arguments) {
  Input in(arguments, kIotStyle);
  std::optional<registry::Indexing> indexing;
  if (auto things = in.object_opt("thingIndexingConfiguration")) indexing = read_thing_indexing(*things);
  if (auto groups = in.object_opt("thingGroupIndexingConfiguration")) {
    if (groups->one_of("thingGroupIndexingMode", {"OFF", "ON"}) == "ON") {
      groups->fail("thingGroupIndexingMode", "ON is not supported by this release");
    }
    groups->unsupported("managedFields");
    groups->unsupported("customFields");
  }
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (indexing) {
    auto ok = commit(
        d, [&](state::Transaction& change) { return registry::set_indexing(change, d.tables, *indexing); });
    if (!ok) return tl::unexpected(ok.error());
  }
  return json::object{};
}

ApiResult<json::object> list_indices(const Dependencies& d, const http::Call&,
                                     const json::object& arguments) {
  Input in(arguments, kIotStyle);
  in.page("ListIndices", "nextToken", "maxResults", 500, 500);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  json::array names;
  if (registry::indexing_of(*d.store.snapshot(), d.tables).things) names.emplace_back(registry::kThingsIndex);
  return json::object{{"indexNames", std::move(names)}};
}

ApiResult<json::object> describe_index(const Dependencies& d, const http::Call&,
                                       const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("indexName", kThingName);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const registry::Indexing indexing = registry::indexing_of(*d.store.snapshot(), d.tables);
  if (name != registry::kThingsIndex) return not_found(kIotStyle, "Index " + name + " does not exist");
  if (!indexing.things) return no_index();
  return json::object{{"indexName", name},
                      {"indexStatus", "ACTIVE"},
                      {"schema", indexing.connectivity ? "REGISTRY_AND_CONNECTIVITY_STATUS" : "REGISTRY"}};
}

json::object connectivity_json(const registry::Connectivity& connectivity) {
  json::object out{{"connected", connectivity.connected}};
  if (connectivity.since.ms != 0) out["timestamp"] = connectivity.since.ms;
  if (!connectivity.disconnect_reason.empty()) out["disconnectReason"] = connectivity.disconnect_reason;
  return out;
}

json::object document_json(const state::Snapshot& snapshot, const registry::Tables& tables,
                           const registry::ThingDocument& document) {
  json::array groups;
  for (const std::string& group : document.groups) groups.emplace_back(group);
  for (const std::string& group : registry::dynamic_groups_of_thing(snapshot, tables, document.thing.name)) {
    if (snapshot.get(tables.groups).find(group) != nullptr) groups.emplace_back(group);
  }
  json::object out{{"thingName", document.thing.name}, {"thingId", document.thing.id}};
  if (!document.thing.type.empty()) out["thingTypeName"] = document.thing.type;
  if (!groups.empty()) out["thingGroupNames"] = std::move(groups);
  if (!document.thing.attributes.empty()) out["attributes"] = attributes_json(document.thing.attributes);
  if (document.connectivity != nullptr) out["connectivity"] = connectivity_json(*document.connectivity);
  return out;
}

ApiResult<json::object> search(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string text = in.string("queryString", kQueryText);
  read_index(in);
  const Page page = in.page("SearchIndex", "nextToken", "maxResults", kSearchPageMax, kSearchPageMax);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto query = parse_query(text);
  if (!query) return tl::unexpected(query.error());
  const auto snapshot = d.store.snapshot();
  if (!registry::indexing_of(*snapshot, d.tables).things) return no_index();
  json::array found;
  std::string last, next;
  size_t looked_at = 0;
  const std::string begin = page.after.empty() ? std::string() : page.after + '\0';
  snapshot->get(d.tables.things).visit_from(begin, [&](const auto& entry) {
    if (found.size() == page.limit || looked_at == kSearchThingsMax) {
      next = encode_page_token(page.operation, last);
      return false;
    }
    ++looked_at;
    last = entry.key;
    const auto groups = registry::groups_of_thing(*snapshot, d.tables, entry.key);
    const auto document = registry::document_of(*snapshot, d.tables, *entry.value, groups);
    if ((*query)->matches(document)) found.push_back(document_json(*snapshot, d.tables, document));
    return true;
  });
  json::object out{{"things", std::move(found)}};
  put_next(out, "nextToken", next);
  return out;
}

ApiResult<json::object> connectivity_data(const Dependencies& d, const http::Call&,
                                          const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string name = in.string("thingName", kThingName);
  if (in.boolean_or("includeSocketInformation", false)) {
    in.fail("includeSocketInformation", "is not supported by this release");
  }
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const registry::Thing* thing = snapshot->get(d.tables.things).find(name);
  if (thing == nullptr) return not_found(kIotStyle, "Thing " + name + " not found");
  const auto document = registry::document_of(*snapshot, d.tables, *thing, {});
  if (document.connectivity == nullptr) {
    return http::api_fail(400, "IndexNotReadyException",
                          "Connectivity is not indexed: thingConnectivityIndexingMode is OFF");
  }
  json::object out{{"thingName", name}, {"connected", document.connectivity->connected}};
  if (document.connectivity->since.ms != 0) out["timestamp"] = document.connectivity->since.seconds();
  if (!document.connectivity->disconnect_reason.empty()) {
    out["disconnectReason"] = document.connectivity->disconnect_reason;
  }
  return out;
}

}  // namespace

std::vector<http::Operation> fleet_indexing_operations(const Dependencies& d) {
  constexpr const char* kConfiguration = "/indexing/config";
  return operations_of(
      d, {{"GetIndexingConfiguration", "GET", kConfiguration, {}, "*", get_configuration},
          {"UpdateIndexingConfiguration", "POST", kConfiguration, {}, "*", update_configuration},
          {"ListIndices", "GET", "/indices", {"nextToken", "maxResults:int"}, "*", list_indices},
          {"DescribeIndex", "GET", "/indices/{indexName}", {}, "index/{indexName}", describe_index},
          {"SearchIndex", "POST", "/indices/search", {}, "index/AWS_Things", search},
          {"GetThingConnectivityData",
           "POST",
           "/things/{thingName}/connectivity-data",
           {},
           "thing/{thingName}",
           connectivity_data}});
}

}  // namespace fleetward::api::iot
