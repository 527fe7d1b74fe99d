#include "api/iot/detect.h"

#include <cmath>

#include "core/text.h"

namespace fleetward::api::iot {

std::vector<http::Operation> detect_operations_of(const DetectDependencies& d,
                                                  const std::vector<DetectRoute>& routes) {
  std::vector<Route> plain;
  for (const DetectRoute& route : routes) plain.push_back(route.route);
  std::vector<http::Operation> operations = operations_of(d.iot, plain);
  for (size_t i = 0; i < operations.size(); ++i) {
    operations[i].run = [d, run = routes[i].run](const http::Call& call, const json::object& arguments) {
      return run(d, call, arguments);
    };
  }
  return operations;
}

std::vector<http::Operation> detect_operations(const DetectDependencies& d) {
  std::vector<http::Operation> out;
  for (auto part :
       {security_profile_operations, profile_target_operations, custom_metric_operations,
        dimension_operations, violation_operations, metric_value_operations, training_operations}) {
    for (http::Operation& operation : part(d)) out.push_back(std::move(operation));
  }
  return out;
}

std::map<std::string, ResourceExists> detect_taggable(const pipeline::DetectTables& tables) {
  return {{"securityprofile",
           [tables](const state::Snapshot& snapshot, std::string_view name) {
             return snapshot.get(tables.profiles).find(name) != nullptr;
           }},
          {"custommetric",
           [tables](const state::Snapshot& snapshot, std::string_view name) {
             return snapshot.get(tables.custom_metrics).find(name) != nullptr;
           }},
          {"dimension", [tables](const state::Snapshot& snapshot, std::string_view name) {
             return snapshot.get(tables.dimensions).find(name) != nullptr;
           }}};
}

Status check_printable(std::string_view text) {
  for (const char c : text) {
    if ((c >= 0 && c < 0x20) || c == 0x7f) {
      return fail(ErrorCode::kInvalidArgument, "Member must not hold control characters");
    }
  }
  return {};
}

Timestamp read_time(Input& in, std::string_view name) {
  const std::string text = in.string(name, {.min = 1, .max = 64});
  if (!in.ok()) return {};
  if (const auto time = parse_iso8601(text)) return *time;
  const auto seconds = parse_number<double>(text);
  if (!seconds || !(std::abs(*seconds) < 1e11)) {
    in.fail(name, "must be a time: ISO 8601, or seconds since the epoch");
    return {};
  }
  return {std::llround(*seconds * 1000)};
}

}  // namespace fleetward::api::iot
