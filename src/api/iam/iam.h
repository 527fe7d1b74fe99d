#pragma once

#include <string>
#include <vector>

#include "api/input.h"
#include "api/transact.h"
#include "core/random.h"
#include "core/time.h"
#include "http/operation.h"
#include "identity/authorizer.h"
#include "identity/identities.h"
#include "state/store.h"

// AWS IAM (Query protocol, API version 2010-05-08): users, access keys, roles, inline and managed policies.
namespace fleetward::api::iam {

struct Dependencies {
  state::Store& store;
  const identity::Tables& tables;
  const identity::Authorizer& authorizer;
  const Clock& clock;
  Random& random;
};

http::Service service(const Dependencies& dependencies);

// One file each; `service` joins them.
std::vector<http::Operation> role_operations(const Dependencies& d);
std::vector<http::Operation> user_operations(const Dependencies& d);
std::vector<http::Operation> access_key_operations(const Dependencies& d);
std::vector<http::Operation> policy_operations(const Dependencies& d);
std::vector<http::Operation> grant_operations(const Dependencies& d);

// --- shared by those files ---

inline constexpr StringRule kEntityName{.min = 1, .max = 64, .chars = &kIamNameChars};
inline constexpr StringRule kPolicyName{.min = 1, .max = 128, .chars = &kIamNameChars};
inline constexpr StringRule kArn{.min = 20, .max = 2048};

// "/" or "/a/b/": checks the form.
std::string read_path(Input& in);
identity::Tags read_tags(Input& in);
json::array tags_json(const identity::Tags& tags);
// The ARN that an operation on the user or role of `arguments` is authorized on: with its path, that of the
// request if there is no such entity yet. A user that is not named is the caller ("").
std::string user_resource(const Dependencies& d, const json::object& arguments);
std::string role_resource(const Dependencies& d, const json::object& arguments);
// A policy document of the request: MalformedPolicyDocument or LimitExceeded otherwise.
http::ApiResult<identity::Document> parse_document(const std::string& text,
                                                   const identity::DocumentRules& rules);
http::ApiError no_such(std::string_view kind, std::string_view name);
http::ApiError already_exists(std::string_view kind, std::string_view name);
// IAM lists: Marker / MaxItems in, IsTruncated / Marker out.
Page read_page(Input& in, std::string_view operation);
void put_page(json::object& out, const std::string& next);

}  // namespace fleetward::api::iam
