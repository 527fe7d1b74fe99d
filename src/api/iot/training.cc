#include "api/iot/detect.h"

namespace fleetward::api::iot {
namespace {

constexpr size_t kPageSize = 10;  // and the most there may be, by the model

// A behaviour with ML criteria has a model. None can be created (Criteria::parse refuses mlDetectionConfig),
// so there is no model to tell of.
ApiResult<json::object> summaries(const DetectDependencies& d, const http::Call&,
                                  const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const auto profile = in.string_opt("securityProfileName", kResourceName);
  in.page("GetBehaviorModelTrainingSummaries", "nextToken", "maxResults", kPageSize, kPageSize);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  if (profile && d.iot.store.snapshot()->get(d.tables.profiles).find(*profile) == nullptr) {
    return not_found(kIotStyle, "The security profile " + *profile + " does not exist");
  }
  return json::object{{"summaries", json::array()}};
}

}  // namespace

std::vector<http::Operation> training_operations(const DetectDependencies& d) {
  return detect_operations_of(d, {{{"GetBehaviorModelTrainingSummaries",
                                    "GET",
                                    "/behavior-model-training/summaries",
                                    {"securityProfileName", "maxResults:int", "nextToken"},
                                    "*",
                                    nullptr},
                                   summaries}});
}

}  // namespace fleetward::api::iot
