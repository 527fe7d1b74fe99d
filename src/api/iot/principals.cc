#include "api/iot/iot.h"
#include "registry/certificates.h"

namespace fleetward::api::iot {
namespace {

// "EXCLUSIVE_THING" wanted, the other, or either.
std::optional<bool> read_kind(Input& in) {
  const auto kind = in.one_of_opt("thingPrincipalType", {"EXCLUSIVE_THING", "NON_EXCLUSIVE_THING"});
  if (!kind) return std::nullopt;
  return *kind == "EXCLUSIVE_THING";
}

std::string_view kind_name(bool exclusive) {
  return exclusive ? "EXCLUSIVE_THING" : "NON_EXCLUSIVE_THING";
}

ApiResult<json::object> attach(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string thing = in.string("thingName", kThingName);
  const std::string certificate = read_principal(d, in, "principal");
  const bool exclusive = read_kind(in).value_or(false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    return registry::attach_principal(change, d.tables, thing, certificate, exclusive);
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> detach(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string thing = in.string("thingName", kThingName);
  const std::string certificate = read_principal(d, in, "principal");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) {
    return registry::detach_principal(change, d.tables, thing, certificate);
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

// Both directions and both versions of the listing: which range, and how a row is shown.
struct Listing {
  state::Table<registry::PrincipalAttachment> table;
  std::string first;  // of the composite key
  const char* member;
  std::optional<bool> kind;
  std::function<json::value(std::string second, bool exclusive)> show;
};

json::object list_pairs(const Dependencies& d, const Page& page, const Listing& listing) {
  const auto snapshot = d.store.snapshot();
  json::array rows;
  const std::string next =
      list_page(snapshot->get(listing.table), state::key(listing.first, ""), page, [&](const auto& entry) {
        if (listing.kind && *listing.kind != entry.value->exclusive) return false;
        rows.push_back(listing.show(std::string(state::key_tail(entry.key)), entry.value->exclusive));
        return true;
      });
  json::object out{{listing.member, std::move(rows)}};
  put_next(out, "nextToken", next);
  return out;
}

template <bool v2>
ApiResult<json::object> list_principals(const Dependencies& d, const http::Call&,
                                        const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string thing = in.string("thingName", kThingName);
  const std::optional<bool> kind = v2 ? read_kind(in) : std::nullopt;
  const Page page = read_page(in, v2 ? "ListThingPrincipalsV2" : "ListThingPrincipals");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (d.store.snapshot()->get(d.tables.things).find(thing) == nullptr) {
    return not_found(kIotStyle, "Thing " + thing + " not found");
  }
  return list_pairs(d, page,
                    {d.tables.thing_principals, thing, v2 ? "thingPrincipalObjects" : "principals", kind,
                     [&d](const std::string& id, bool exclusive) -> json::value {
                       if (!v2) return json::string(arn(d, "cert", id));
                       return json::object{{"principal", arn(d, "cert", id)},
                                           {"thingPrincipalType", kind_name(exclusive)}};
                     }});
}

template <bool v2>
ApiResult<json::object> list_things(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string certificate = read_principal(d, in, "principal");
  const std::optional<bool> kind = v2 ? read_kind(in) : std::nullopt;
  const Page page = read_page(in, v2 ? "ListPrincipalThingsV2" : "ListPrincipalThings");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (d.store.snapshot()->get(d.tables.certificates).find(certificate) == nullptr) {
    return not_found(kIotStyle, "Certificate " + certificate + " not found");
  }
  return list_pairs(d, page,
                    {d.tables.principal_things, certificate, v2 ? "principalThingObjects" : "things", kind,
                     [](const std::string& thing, bool exclusive) -> json::value {
                       if (!v2) return json::string(thing);
                       return json::object{{"thingName", thing},
                                           {"thingPrincipalType", kind_name(exclusive)}};
                     }});
}

}  // namespace

std::vector<http::Operation> principal_operations(const Dependencies& d) {
  constexpr std::string_view kHeader = "x-amzn-principal=principal";
  constexpr const char* kUri = "/things/{thingName}/principals";
  return operations_of(
      d, {{"AttachThingPrincipal", "PUT", kUri, {kHeader, "thingPrincipalType"}, "{principal}", attach},
          {"DetachThingPrincipal", "DELETE", kUri, {kHeader}, "{principal}", detach},
          {"ListThingPrincipals",
           "GET",
           kUri,
           {"nextToken", "maxResults:int"},
           "thing/{thingName}",
           list_principals<false>},
          {"ListThingPrincipalsV2",
           "GET",
           "/things/{thingName}/principals-v2",
           {"nextToken", "maxResults:int", "thingPrincipalType"},
           "thing/{thingName}",
           list_principals<true>},
          {"ListPrincipalThings",
           "GET",
           "/principals/things",
           {kHeader, "nextToken", "maxResults:int"},
           "{principal}",
           list_things<false>},
          {"ListPrincipalThingsV2",
           "GET",
           "/principals/things-v2",
           {kHeader, "nextToken", "maxResults:int", "thingPrincipalType"},
           "{principal}",
           list_things<true>}});
}

}  // namespace fleetward::api::iot
