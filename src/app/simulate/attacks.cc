#include "app/simulate/device_model.h"

namespace fleetward::app::simulate {

const std::vector<AttackInfo>& attack_infos() {
  static const std::vector<AttackInfo> kInfos = {
      {Attack::kAuthFailures, "auth-failures",
       "asks for topics its policy forbids (aws:num-authorization-failures)"},
      {Attack::kPortScan, "port-scan",
       "talks to hundreds of hosts (aws:destination-ip-addresses, aws:num-established-tcp-connections)"},
      {Attack::kOpenPorts, "open-ports",
       "listens on ports of known back doors (aws:listening-tcp-ports, aws:num-listening-tcp-ports)"},
      {Attack::kExfiltration, "exfiltration",
       "sends out tens of megabytes (aws:all-bytes-out, aws:all-packets-out)"},
      {Attack::kWeakSignal, "weak-signal", "loses its radio signal: the custom metric falls below -105 dBm"},
      {Attack::kMessageFlood, "message-flood", "publishes 100 messages a second (aws:num-messages-sent)"},
      {Attack::kLargeMessages, "large-messages", "publishes messages of 100 KB (aws:message-byte-size)"},
      {Attack::kConnectStorm, "connect-storm",
       "leaves and comes back twice a second (aws:num-connection-attempts, aws:num-disconnects)"},
      {Attack::kMalformedReports, "malformed-reports", "sends reports that the service rejects"},
      {Attack::kSilence, "silence", "disconnects and stays away (aws:disconnect-duration)"},
  };
  return kInfos;
}

std::string_view to_string(Attack attack) {
  for (const AttackInfo& info : attack_infos()) {
    if (info.attack == attack) return info.name;
  }
  return "none";
}

Result<Attack> parse_attack(std::string_view name) {
  std::string names;
  for (const AttackInfo& info : attack_infos()) {
    if (info.name == name) return info.attack;
    names += (names.empty() ? "" : ", ") + std::string(info.name);
  }
  return fail(ErrorCode::kInvalidArgument, "no attack '" + std::string(name) + "'; there are: " + names);
}

}  // namespace fleetward::app::simulate
