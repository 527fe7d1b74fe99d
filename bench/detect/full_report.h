#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

// The full report and the profile that benchmarks of Detect share: twelve metrics (the ten of the device side
// with lists of ordinary length, two custom ones) in about 1.7 KB of JSON with long names, as the AWS IoT
// Device SDKs send them; ten behaviours judge it, and all twelve metrics are kept.
namespace fleetward::bench {

inline constexpr const char* kCustomNumber = "rssi";
inline constexpr const char* kCustomStrings = "units";

// Every hundredth thing sends more than the profile's "out" allows, and is in alarm.
inline constexpr uint64_t kViolatingEach = 100;

// `exported`: three of the metrics are exported, too.
inline std::string full_profile(bool exported) {
  const std::string flag = exported ? R"("exportMetric":true,)" : "";
  std::string out =
      R"({"securityProfileName":"baseline","behaviors":[
 {"name":"out","metric":"aws:all-bytes-out",)" +
      flag + R"("criteria":{"comparisonOperator":"less-than","value":{"count":100000},"durationSeconds":900}},
 {"name":"in","metric":"aws:all-bytes-in",)" +
      flag +
      R"("criteria":{"comparisonOperator":"less-than","value":{"count":10000000},"durationSeconds":300}},
 {"name":"pout","metric":"aws:all-packets-out","criteria":{"comparisonOperator":"less-than","value":{"count":100000}}},
 {"name":"pin","metric":"aws:all-packets-in","criteria":{"comparisonOperator":"less-than","value":{"count":100000}}},
 {"name":"ntcp","metric":"aws:num-listening-tcp-ports","criteria":{"comparisonOperator":"less-than","value":{"count":20}}},
 {"name":"tcp","metric":"aws:listening-tcp-ports","criteria":{"comparisonOperator":"in-port-set","value":{"ports":[22,80,111,443,1883,5355,8080,8443,8883,9100]}}},
 {"name":"udp","metric":"aws:listening-udp-ports","criteria":{"comparisonOperator":"not-in-port-set","value":{"ports":[53,1900]}}},
 {"name":"dst","metric":"aws:destination-ip-addresses","criteria":{"comparisonOperator":"in-cidr-set","value":{"cidrs":["203.0.113.0/24","198.51.100.0/24","10.0.0.0/8"]}}},
 {"name":"rssi","metric":"rssi",)" +
      flag +
      R"("criteria":{"comparisonOperator":"greater-than","value":{"number":-100},"consecutiveDatapointsToAlarm":3}},
 {"name":"units","metric":"units","criteria":{"comparisonOperator":"in-set","value":{"strings":["sshd","agent","cron","ntpd"]}}}],
 "additionalMetricsToRetainV2":[{"metric":"aws:num-listening-udp-ports"},{"metric":"aws:num-established-tcp-connections"}],
 "alertTargets":{"SNS":{"alertTargetArn":"arn:aws:sns:us-east-1:123456789012:t","roleArn":"arn:aws:iam::123456789012:role/r"}})";
  if (exported) {
    out +=
        R"(,"metricsExportConfig":{"mqttTopic":"$aws/rules/export/x","roleArn":"arn:aws:iam::123456789012:role/export"})";
  }
  return out + "}";
}

// xorshift.
struct Random {
  uint64_t state = 88172645463325252ULL;
  uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
  uint64_t below(uint64_t bound) { return next() % bound; }
};

// Traffic and ephemeral ports are new in each report; a thing's listening ports and the hosts that it talks
// to are its own.
inline std::string full_report(uint64_t thing, uint64_t id, Random& random) {
  std::string out = R"({"header":{"report_id":)" + std::to_string(id) +
                    R"(,"version":"1.0"},"metrics":{"listening_tcp_ports":{"ports":[)";
  const int tcp_ports[] = {22, 80, 111, 443, 5355, 8080, 8443, 9100};
  for (const int port : tcp_ports) {
    out += R"({"interface":"eth0","port":)" + std::to_string(port) + "},";
  }
  out.back() = ']';
  out += R"(,"total":8},"listening_udp_ports":{"ports":[)";
  const int udp_ports[] = {68, 123, 5353, 5683};
  for (const int port : udp_ports) {
    out += R"({"interface":"eth0","port":)" + std::to_string(port) + "},";
  }
  out.back() = ']';
  out += R"(,"total":4},"tcp_connections":{"established_connections":{"connections":[)";
  for (uint64_t i = 0; i < 12; ++i) {
    out += R"({"local_interface":"eth0","local_port":)" + std::to_string(32'768 + random.below(28'000)) +
           R"(,"remote_addr":"203.0.113.)" + std::to_string(1 + (thing * 7 + i * 11) % 250) + R"(:8883"},)";
  }
  out.back() = ']';
  const bool violating = thing % kViolatingEach == 0;
  out += R"(,"total":12}},"network_stats":{"bytes_in":)" + std::to_string(4000 + random.below(60'000)) +
         R"(,"bytes_out":)" + std::to_string(violating ? 200'000 : 900 + random.below(20'000)) +
         R"(,"packets_in":)" + std::to_string(40 + random.below(300)) + R"(,"packets_out":)" +
         std::to_string(20 + random.below(200)) + R"(}},"custom_metrics":{"rssi":[{"number":-)" +
         std::to_string(60 + random.below(30)) +
         R"(.5}],"units":[{"string_list":["sshd","agent","cron"]}]}})";
  return out;
}

// "pump-0000017" in `out`.
inline void thing_name(uint64_t thing, std::string& out) {
  char text[32];
  out.assign(text, static_cast<size_t>(std::snprintf(text, sizeof text, "pump-%07llu",
                                                     static_cast<unsigned long long>(thing))));
}

}  // namespace fleetward::bench
