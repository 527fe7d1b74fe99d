#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "alerts/retry.h"
#include "core/result.h"
#include "core/time.h"

namespace fleetward::alerts {

inline constexpr size_t kTargetsMax = 32;

// Where violation events go besides SNS: a destination of the server's configuration ([[alerts.targets]]),
// which AWS does not have. Members below `timeout` are of the kinds named.
struct Target {
  enum class Kind { kMqtt, kWebhook, kSyslog } kind = Kind::kMqtt;
  std::string name;  // 1..64 of [a-zA-Z0-9_-]
  std::vector<std::string> profiles{
      "*"};  // patterns of security profiles' names: '*' any characters, '?' one
  std::vector<std::string> events{"in-alarm", "alarm-cleared", "alarm-invalidated"};
  size_t queue_max = 10'000;  // deliveries that wait; beyond, the newest are dropped and counted
  Duration retry_first{5'000}, retry_max{3'600'000};
  Duration give_up_after{72 * 3'600'000LL};
  Duration timeout{15'000};  // of one attempt; webhook, syslog

  // mqtt
  std::string topic;  // with ${thing} and ${profile}
  int qos = 1;
  // webhook
  std::string url;
  std::string secret, secret_file;  // one of them
  bool allow_http = false;
  // syslog
  enum class Transport { kTls, kTcp, kUdp } transport = Transport::kTls;
  bool octet_counting = true;  // else a line feed ends each message; tcp
  std::string address;         // host:port
  std::string hostname;        // empty: the machine's
  std::string app_name = "fleetward";
  std::string structured_data_id = "violation@32473";
  std::string facility = "local0", severity = "warning";
  std::string certificate_file, key_file;  // of the client; tls
  // webhook, syslog: PEM of the only authorities to trust; empty: the system's
  std::string ca_file;

  // Made by prepare(): the secrets' bytes.
  std::vector<std::string> keys;

  // Does it want this event of that profile?
  bool wants(std::string_view profile, std::string_view event) const;
  RetryPolicy retry() const;
};

// Checks a whole target and reads its secret, whose file must be there, as must be the PEM files. The error
// says what is wrong with which member, under its name in the configuration file. kInvalidArgument.
Status prepare(Target& target);

// "host:port", "[v6]:port" -> without brackets. kInvalidArgument.
struct HostPort {
  std::string host, port;
};
Result<HostPort> parse_address(std::string_view address);

// The topic of an event. A thing that is not registered is named by its client id: what a topic name may not
// have there ('/', '+', '#', control characters) becomes '_'.
std::string topic_for(const Target& target, std::string_view thing, std::string_view profile);

}  // namespace fleetward::alerts
