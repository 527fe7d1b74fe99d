#include "broker/topics.h"

#include <array>
#include <vector>

#include "mqtt/topic.h"

namespace fleetward::broker {
namespace {

constexpr std::string_view kShadows = "device shadows are not implemented";
constexpr std::string_view kJobs = "jobs are not implemented";
constexpr std::string_view kStreams = "MQTT file streams are not implemented";
constexpr std::string_view kTunnels = "secure tunnelling is not implemented";
constexpr std::string_view kProvisioning = "fleet provisioning is not implemented";
constexpr std::string_view kReserved = "a reserved topic that does not exist";

std::vector<std::string_view> split(std::string_view topic) {
  std::vector<std::string_view> out;
  for (mqtt::Levels levels(topic); !levels.done(); levels.next()) out.push_back(levels.level());
  return out;
}

// The service named by the fourth level of `$aws/things/<thing>/<service>`, if it is one that is missing.
std::optional<std::string_view> missing_service(std::string_view service) {
  if (service == "shadow") return kShadows;
  if (service == "jobs") return kJobs;
  if (service == "streams") return kStreams;
  if (service == "tunnels") return kTunnels;
  return std::nullopt;
}

std::optional<std::string_view> missing_branch(std::string_view branch) {
  if (branch == "certificates" || branch == "provisioning-templates") return kProvisioning;
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> publish_refusal(std::string_view topic) {
  if (is_ordinary_topic(topic)) return std::nullopt;
  const auto levels = split(topic);
  if (levels[0] != "$aws" || levels.size() < 3) return kReserved;
  if (levels[1] == "rules") return levels[2].empty() ? std::optional(kReserved) : std::nullopt;
  if (const auto missing = missing_branch(levels[1])) return missing;
  if (levels[1] != "things" || levels.size() < 4 || levels[2].empty()) return kReserved;
  if (const auto missing = missing_service(levels[3])) return missing;
  const bool report = levels.size() == 6 && levels[3] == "defender" && levels[4] == "metrics" &&
                      (levels[5] == "json" || levels[5] == "cbor");
  return report ? std::nullopt : std::optional(kReserved);
}

std::optional<std::string_view> subscribe_refusal(std::string_view filter) {
  if (is_ordinary_topic(filter)) return std::nullopt;
  const auto levels = split(filter);
  if (levels[0] != "$aws" || levels.size() < 2) return kReserved;
  if (levels[1] == "rules") return "nobody may subscribe to Basic Ingest topics";
  if (levels[1] == "#" || levels[1] == "+" || levels[1] == "events") return std::nullopt;
  if (const auto missing = missing_branch(levels[1])) return missing;
  if (levels[1] != "things") return kReserved;
  if (levels.size() < 4) return std::nullopt;  // "$aws/things/#"
  if (const auto missing = missing_service(levels[3])) return missing;
  return levels[3] == "defender" || levels[3] == "+" || levels[3] == "#" ? std::nullopt
                                                                         : std::optional(kReserved);
}

}  // namespace fleetward::broker
