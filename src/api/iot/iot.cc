#include "api/iot/iot.h"

#include <set>

#include "registry/dynamic_groups.h"
#include "registry/things.h"

namespace fleetward::api::iot {
namespace {

http::Binding::Type type_of(std::string_view name) {
  if (name == "int") return http::Binding::Type::kInteger;
  if (name == "bool") return http::Binding::Type::kBoolean;
  return http::Binding::Type::kString;
}

// "wire=member:type", see Route.
http::Binding parse_binding(std::string_view text) {
  http::Binding out;
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    out.type = type_of(text.substr(colon + 1));
    text = text.substr(0, colon);
  }
  const size_t equals = text.find('=');
  out.wire = text.substr(0, equals);
  out.member = equals == std::string_view::npos ? text : text.substr(equals + 1);
  out.from = text.starts_with("x-")  ? http::Binding::From::kHeader
             : text.starts_with("{") ? http::Binding::From::kPath
                                     : http::Binding::From::kQuery;
  if (out.from == http::Binding::From::kPath) out.wire = out.wire.substr(1, out.wire.size() - 2);
  return out;
}

// Puts arguments into "thing/{thingName}".
std::string fill(std::string_view form, const json::object& arguments) {
  std::string out;
  for (size_t at = 0; at < form.size();) {
    const size_t open = form.find('{', at);
    out += form.substr(at, open - at);
    if (open == std::string_view::npos) break;
    const size_t close = form.find('}', open);
    out += json::string_or(arguments, form.substr(open + 1, close - open - 1));
    at = close + 1;
  }
  return out;
}

}  // namespace

std::vector<http::Operation> operations_of(const Dependencies& d, const std::vector<Route>& routes) {
  std::vector<http::Operation> out;
  for (const Route& route : routes) {
    http::Operation operation;
    operation.name = route.name;
    operation.method = route.method;
    operation.uri = route.uri;
    for (const std::string_view binding : route.bindings) {
      operation.bindings.push_back(parse_binding(binding));
    }
    const size_t bar = route.resource.find('|');
    const std::string form(route.resource.substr(0, bar));
    const std::string other(bar == std::string_view::npos ? "" : route.resource.substr(bar + 1));
    operation.resource = [form, other, &account = d.account](const json::object& arguments) {
      if (const std::string_view text = json::string_or(arguments, other); !text.empty()) {
        return std::string(text);
      }
      if (form == "*" || form.starts_with("{")) return fill(form, arguments);
      return account.arn("iot", fill(form, arguments));
    };
    operation.run = [d, run = route.run](const http::Call& call, const json::object& arguments) {
      return run(d, call, arguments);
    };
    out.push_back(std::move(operation));
  }
  return out;
}

http::Service service(const Dependencies& d, std::vector<http::Operation> others) {
  http::Service out;
  out.signing_name = "iot";
  out.protocol = http::Protocol::kRestJson;
  out.operations = std::move(others);
  for (auto part :
       {thing_operations, thing_type_operations, thing_group_operations, group_member_operations,
        fleet_indexing_operations, certificate_operations, register_operations, ca_certificate_operations,
        principal_operations, policy_operations, policy_target_operations, authorization_operations,
        endpoint_operations, tag_operations}) {
    for (http::Operation& operation : part(d)) out.operations.push_back(std::move(operation));
  }
  std::set<std::string, std::less<>> there;
  for (const http::Operation& operation : out.operations) there.insert(operation.name);
  for (const DocumentedOperation& documented : documented_operations()) {
    if (there.find(documented.name) != there.end()) continue;
    http::Operation operation;
    operation.name = documented.name;
    operation.method = documented.method;
    operation.uri = documented.uri;
    operation.implemented = false;
    out.operations.push_back(std::move(operation));
  }
  return out;
}

std::string arn(const Dependencies& d, std::string_view type, std::string_view name) {
  return d.account.arn("iot", std::string(type) + "/" + std::string(name));
}

std::optional<std::string> name_in_arn(const Dependencies& d, std::string_view text, std::string_view type) {
  const std::string prefix = arn(d, type, "");
  if (!text.starts_with(prefix) || text.size() == prefix.size()) return std::nullopt;
  return std::string(text.substr(prefix.size()));
}

ApiResult<void> commit(const Dependencies& d, const std::function<Status(state::Transaction&)>& change) {
  if (auto ok = d.store.transact(change); !ok) return refuse(kIotStyle, ok.error());
  return {};
}

tl::unexpected<http::ApiError> already_exists(std::string message, std::string resource_arn, std::string id) {
  return http::api_fail(409, "ResourceAlreadyExistsException", std::move(message),
                        {{"resourceArn", std::move(resource_arn)}, {"resourceId", std::move(id)}});
}

std::string read_principal(const Dependencies& d, Input& in, std::string_view name) {
  const std::string text = in.string(name, kArnText);
  if (!in.ok()) return {};
  if (auto id = name_in_arn(d, text, "cert"); id && CertificateId::parse(*id)) return *id;
  in.fail(name, text.starts_with("arn:") ? "must be the ARN of a certificate of this account and region"
                                         : "must be the ARN of a certificate; Amazon Cognito identities are "
                                           "not supported by this release");
  return {};
}

registry::Tags read_tags(Input& in) {
  registry::Tags out;
  for (Tag& tag : in.tags()) out[std::move(tag.key)] = std::move(tag.value);
  return out;
}

std::optional<AttributePayload> read_attribute_payload(Input& in) {
  auto payload = in.object_opt("attributePayload");
  if (!payload) return std::nullopt;
  AttributePayload out;
  out.attributes = payload->string_map_opt("attributes", registry::kAttributesMax);
  out.merge = payload->boolean_or("merge", false);
  if (!out.attributes) return out;
  if (auto ok = registry::check_attributes(*out.attributes); !ok) {
    payload->fail("attributes", ok.error().message);
  }
  return out;
}

ApiResult<std::shared_ptr<const registry::FleetQuery>> parse_query(const std::string& text) {
  auto query = registry::FleetQuery::parse(text);
  if (!query) {
    return http::api_fail(400, "InvalidQueryException", query.error().message + ", query string: " + text);
  }
  return std::move(*query);
}

void read_index(Input& in) {
  if (const auto index = in.string_opt("indexName"); index && *index != registry::kThingsIndex) {
    in.fail("indexName", "must be AWS_Things, the index that this release has");
  }
  if (const auto version = in.string_opt("queryVersion"); version && *version != registry::kQueryVersion) {
    in.fail("queryVersion", "must be 2017-09-30");
  }
}

json::object attributes_json(const registry::Attributes& attributes) {
  json::object out;
  for (const auto& [name, text] : attributes) out[name] = text;
  return out;
}

std::vector<std::string> page_of(const std::vector<std::string>& sorted, const Page& page,
                                 std::string& next) {
  auto at = page.after.empty() ? sorted.begin() : std::upper_bound(sorted.begin(), sorted.end(), page.after);
  std::vector<std::string> out;
  for (; at != sorted.end() && out.size() < page.limit; ++at) out.push_back(*at);
  if (at != sorted.end()) next = encode_page_token(page.operation, out.back());
  return out;
}

}  // namespace fleetward::api::iot
