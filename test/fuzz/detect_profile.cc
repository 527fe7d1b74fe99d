// Members of security profiles as the API takes them: what is accepted can be stored, read back the same, and
// run.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/json.h"
#include "detect/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward;
  const auto document = json::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!document || !document->is_object()) return 0;
  const json::object& members = document->get_object();
  auto profiles = std::make_shared<detect::Profiles>();
  profiles->custom_metrics = {{"n", detect::ValueKind::kNumber},
                              {"l", detect::ValueKind::kNumbers},
                              {"s", detect::ValueKind::kStrings},
                              {"i", detect::ValueKind::kCidrs}};
  const detect::AccountLookup lookup{
      [&](std::string_view name) -> std::optional<detect::ValueKind> {
        const auto it = profiles->custom_metrics.find(name);
        return it == profiles->custom_metrics.end() ? std::nullopt : std::optional(it->second);
      },
      [](std::string_view name) { return name == "d"; }};
  detect::SecurityProfile profile;
  profile.name = "p";
  if (const json::array* list = json::find_array(members, "behaviors")) {
    auto parsed = detect::parse_behaviors(*list, lookup);
    if (parsed.has_value() && !detect::validate_behaviors(*list, lookup).empty()) __builtin_trap();
    if (!parsed) return 0;
    profile.behaviors = std::move(*parsed);
  }
  if (const json::array* list = json::find_array(members, "additionalMetricsToRetainV2")) {
    auto parsed = detect::parse_retain_v2(*list, lookup);
    if (!parsed) return 0;
    profile.retain_v2 = std::move(*parsed);
  }
  if (const json::object* config = json::find_object(members, "metricsExportConfig")) {
    auto parsed = detect::parse_export_config(*config);
    if (!parsed) return 0;
    profile.export_config = std::move(*parsed);
  }
  if (const json::object* targets = json::find_object(members, "alertTargets")) {
    auto parsed = detect::parse_alert_targets(*targets);
    if (!parsed) return 0;
    profile.alert_target = std::move(*parsed);
  }
  const json::object stored = detect::to_json(profile);
  auto read = detect::profile_from_json(stored);
  if (!read || detect::to_json(*read) != stored) __builtin_trap();
  profiles->profiles.push_back(std::make_shared<const detect::SecurityProfile>(std::move(*read)));
  (void)detect::compile_plan(*profiles, {0}, detect::EngineOptions{});
  return 0;
}
