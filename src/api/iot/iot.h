#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/input.h"
#include "api/iot/page_by_creation.h"
#include "core/ids.h"
#include "core/random.h"
#include "core/time.h"
#include "http/operation.h"
#include "registry/device_authorizer.h"
#include "registry/fleet_query.h"
#include "registry/pki.h"
#include "registry/tables.h"
#include "state/store.h"

// AWS IoT's control plane (REST-JSON): things, thing types, thing groups, certificates, policies, tags, the
// endpoint. A certificate that is deactivated or deleted is refused by the broker from the moment the call
// answers: Store::on_change has handed it the new snapshot by then.
namespace fleetward::api::iot {

// Does the resource part of an ARN ("securityprofile/x") name something that can be tagged?
using ResourceExists = std::function<bool(const state::Snapshot&, std::string_view name)>;

struct Options {
  std::string endpoint_host = "localhost";  // what DescribeEndpoint answers
  registry::KeyType device_key = registry::KeyType::kP256;
  // Taggable resources of other rooms by ARN type: "rule", "securityprofile", "custommetric", ...
  std::map<std::string, ResourceExists> taggable;
  // What other rooms keep of a thing group goes with it, in the same transaction: called with its ARN. May be
  // empty.
  std::function<void(state::Transaction&, const std::string& arn)> group_deleted;
};

// References outlive the operations.
struct Dependencies {
  state::Store& store;
  const registry::Tables& tables;
  const AccountScope& account;
  const registry::CertificateAuthority& authority;
  const registry::DeviceAuthorizer& authorizer;
  const Clock& clock;
  Random& random;
  const Options& options;
};

// The whole service: the registry's operations, `others` (security profiles, rules, ...), and every other
// documented operation of AWS IoT, refused by name.
http::Service service(const Dependencies& d, std::vector<http::Operation> others);

// One file each; `service` joins them.
std::vector<http::Operation> thing_operations(const Dependencies& d);
std::vector<http::Operation> thing_type_operations(const Dependencies& d);
std::vector<http::Operation> thing_group_operations(const Dependencies& d);
std::vector<http::Operation> group_member_operations(const Dependencies& d);
std::vector<http::Operation> fleet_indexing_operations(const Dependencies& d);
std::vector<http::Operation> certificate_operations(const Dependencies& d);
std::vector<http::Operation> register_operations(const Dependencies& d);
std::vector<http::Operation> ca_certificate_operations(const Dependencies& d);
std::vector<http::Operation> principal_operations(const Dependencies& d);
std::vector<http::Operation> policy_operations(const Dependencies& d);
std::vector<http::Operation> policy_target_operations(const Dependencies& d);
std::vector<http::Operation> authorization_operations(const Dependencies& d);
std::vector<http::Operation> endpoint_operations(const Dependencies& d);
std::vector<http::Operation> tag_operations(const Dependencies& d);

// Every operation of the service model (2015-05-28, dated 2026-08) with its method and path.
struct DocumentedOperation {
  std::string_view name, method, uri;
};
const std::vector<DocumentedOperation>& documented_operations();

// --- shared by those files ---

using http::ApiResult;

inline constexpr StringRule kThingName{.min = 1, .max = 128, .chars = &kNameChars};
inline constexpr StringRule kPolicyName{.min = 1, .max = 128, .chars = &kIamNameChars};
inline constexpr StringRule kDescription{.max = 2028};
inline constexpr StringRule kQueryText{.min =
                                           1};  // a too long one is an invalid query, not an invalid request
inline constexpr StringRule kArnText{.min = 1, .max = 2048};
inline constexpr size_t kPageDefault = 100;
inline constexpr size_t kPageMax = 250;

using Run = ApiResult<json::object> (*)(const Dependencies&, const http::Call&, const json::object&);

// Query parameters and headers of an operation: "maxResults:int", "setAsActive:bool",
// "isAscendingOrder=ascendingOrder:bool" (wire=member), "x-amzn-principal=principal" (a header, as it starts
// with "x-").
struct Route {
  const char* name;
  const char* method;
  const char* uri;
  std::vector<std::string_view> bindings;
  // The resource the caller needs permission on: "thing/{thingName}", "{principal}" (an ARN argument), or
  // "*". "thinggroup/{thingGroupName}|thingGroupArn": the argument after the bar, an ARN, if it is there.
  std::string_view resource;
  Run run;
};
std::vector<http::Operation> operations_of(const Dependencies& d, const std::vector<Route>& routes);

std::string arn(const Dependencies& d, std::string_view type, std::string_view name);
// The name in an ARN of this account's IoT resources of `type` ("cert", "thinggroup", "thing"); nullopt if it
// is another one's.
std::optional<std::string> name_in_arn(const Dependencies& d, std::string_view arn, std::string_view type);

// Runs the change; core errors become IoT's.
ApiResult<void> commit(const Dependencies& d, const std::function<Status(state::Transaction&)>& change);
// ResourceAlreadyExistsException with the ARN and id of what is in the way.
tl::unexpected<http::ApiError> already_exists(std::string message, std::string arn, std::string id);

// A certificate's ARN as the member `name`: its id. Other principals (Cognito identities) are refused.
std::string read_principal(const Dependencies& d, Input& in, std::string_view name);
registry::Tags read_tags(Input& in);
struct AttributePayload {
  std::optional<registry::Attributes> attributes;  // absent: leave them as they are
  bool merge = false;
};
std::optional<AttributePayload> read_attribute_payload(Input& in);
json::object attributes_json(const registry::Attributes& attributes);
// InvalidQueryException.
ApiResult<std::shared_ptr<const registry::FleetQuery>> parse_query(const std::string& text);
// indexName and queryVersion of an operation on the index of things, the only one there is.
void read_index(Input& in);
inline Page read_page(Input& in, std::string_view operation) {
  return in.page(operation, "nextToken", "maxResults", kPageDefault, kPageMax);
}
// The older dialect: marker and pageSize.
inline Page read_marker_page(Input& in, std::string_view operation) {
  return in.page(operation, "marker", "pageSize", kPageDefault, kPageMax);
}
inline void put_next(json::object& out, std::string_view member, const std::string& next) {
  if (!next.empty()) out[member] = next;
}
// A page of texts in ascending order.
std::vector<std::string> page_of(const std::vector<std::string>& sorted, const Page& page, std::string& next);

}  // namespace fleetward::api::iot
