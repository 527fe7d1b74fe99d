#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/iot/iot.h"
#include "identity/authorizer.h"
#include "pipeline/detect_limits.h"
#include "pipeline/detect_queries.h"
#include "pipeline/detect_tables.h"

// AWS IoT Device Defender Detect's part of AWS IoT's control plane: security profiles, their targets, custom
// metrics, dimensions, violations and metric values. ML summaries and mitigation tasks are among the
// documented operations that iot::service refuses by name.
namespace fleetward::api::iot {

// References outlive the operations.
struct DetectDependencies {
  Dependencies iot;  // itself references
  const pipeline::DetectTables& tables;
  const identity::Authorizer& authorizer;
  pipeline::DetectQueries& queries;
  pipeline::DetectLimits limits;
};

// One file each; detect_operations joins them for iot::service's `others`.
std::vector<http::Operation> security_profile_operations(const DetectDependencies& d);
std::vector<http::Operation> profile_target_operations(const DetectDependencies& d);
std::vector<http::Operation> custom_metric_operations(const DetectDependencies& d);
std::vector<http::Operation> dimension_operations(const DetectDependencies& d);
std::vector<http::Operation> violation_operations(const DetectDependencies& d);
std::vector<http::Operation> metric_value_operations(const DetectDependencies& d);
std::vector<http::Operation> training_operations(const DetectDependencies& d);
std::vector<http::Operation> detect_operations(const DetectDependencies& d);

// For Options::taggable: "securityprofile", "custommetric", "dimension".
std::map<std::string, ResourceExists> detect_taggable(const pipeline::DetectTables& tables);

// For Options::group_deleted: no profile stays attached to a target that is gone.
void detach_target(state::Transaction& change, const pipeline::DetectTables& tables,
                   const std::string& target);

// --- shared by those files ---

inline constexpr StringRule kResourceName{.min = 1, .max = 128, .chars = &kNameChars};
inline constexpr CharSet kRequestTokenChars("a-zA-Z0-9_-");
inline constexpr StringRule kRequestToken{.min = 1, .max = 64, .chars = &kRequestTokenChars};
inline constexpr size_t kDetectPageDefault = 25;

using DetectRun = ApiResult<json::object> (*)(const DetectDependencies&, const http::Call&,
                                              const json::object&);
struct DetectRoute {
  Route route;  // its `run` is not used
  DetectRun run;
};
std::vector<http::Operation> detect_operations_of(const DetectDependencies& d,
                                                  const std::vector<DetectRoute>& routes);

// Not a control character: of [\p{Graph}\x20]* and [^\p{Cntrl}]*.
Status check_printable(std::string_view text);

inline Page read_detect_page(Input& in, std::string_view operation) {
  return in.page(operation, "nextToken", "maxResults", kDetectPageDefault, kPageMax);
}
// A time of a query string: ISO 8601, or seconds since the epoch.
Timestamp read_time(Input& in, std::string_view name);

}  // namespace fleetward::api::iot
