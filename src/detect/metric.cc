#include "detect/metric.h"

#include <array>

namespace fleetward::detect {
namespace {

constexpr uint16_t bits(std::initializer_list<Operator> operators) {
  uint16_t out = 0;
  for (const Operator op : operators) out = static_cast<uint16_t>(out | 1U << static_cast<int>(op));
  return out;
}

constexpr uint16_t kNumeric = bits(
    {Operator::kLessThan, Operator::kLessThanEquals, Operator::kGreaterThan, Operator::kGreaterThanEquals});
constexpr uint16_t kLess = bits({Operator::kLessThan, Operator::kLessThanEquals});
constexpr uint16_t kCidr = bits({Operator::kInCidrSet, Operator::kNotInCidrSet});
constexpr uint16_t kPort = bits({Operator::kInPortSet, Operator::kNotInPortSet});
constexpr uint16_t kSet = bits({Operator::kInSet, Operator::kNotInSet});

constexpr bool kCloud = true, kDevice = false, kYes = true, kNo = false;

// id, name, kind, unit, side, duration, accumulates, dimension, statistical, ml, operators, source.
constexpr std::array<MetricInfo, kBuiltinCount> kTable = {{
    {Builtin::kAllBytesOut, "aws:all-bytes-out", ValueKind::kCount, "bytes", kDevice, kYes, kYes, kNo, kYes,
     kYes, kNumeric, "metrics.network_stats.bytes_out"},
    {Builtin::kAllBytesIn, "aws:all-bytes-in", ValueKind::kCount, "bytes", kDevice, kYes, kYes, kNo, kYes,
     kYes, kNumeric, "metrics.network_stats.bytes_in"},
    {Builtin::kAllPacketsOut, "aws:all-packets-out", ValueKind::kCount, "packets", kDevice, kYes, kYes, kNo,
     kYes, kYes, kNumeric, "metrics.network_stats.packets_out"},
    {Builtin::kAllPacketsIn, "aws:all-packets-in", ValueKind::kCount, "packets", kDevice, kYes, kYes, kNo,
     kYes, kYes, kNumeric, "metrics.network_stats.packets_in"},
    {Builtin::kNumListeningTcpPorts, "aws:num-listening-tcp-ports", ValueKind::kCount, "ports", kDevice, kYes,
     kNo, kNo, kYes, kYes, kNumeric, "metrics.listening_tcp_ports.total"},
    {Builtin::kNumListeningUdpPorts, "aws:num-listening-udp-ports", ValueKind::kCount, "ports", kDevice, kYes,
     kNo, kNo, kYes, kYes, kNumeric, "metrics.listening_udp_ports.total"},
    {Builtin::kNumEstablishedTcpConnections, "aws:num-established-tcp-connections", ValueKind::kCount,
     "connections", kDevice, kYes, kNo, kNo, kYes, kYes, kNumeric,
     "metrics.tcp_connections.established_connections.total"},
    {Builtin::kDestinationIpAddresses, "aws:destination-ip-addresses", ValueKind::kCidrs, "addresses",
     kDevice, kNo, kNo, kNo, kNo, kNo, kCidr,
     "address part of metrics.tcp_connections.established_connections.connections[].remote_addr"},
    {Builtin::kListeningTcpPorts, "aws:listening-tcp-ports", ValueKind::kPorts, "ports", kDevice, kNo, kNo,
     kNo, kNo, kNo, kPort, "metrics.listening_tcp_ports.ports[].port"},
    {Builtin::kListeningUdpPorts, "aws:listening-udp-ports", ValueKind::kPorts, "ports", kDevice, kNo, kNo,
     kNo, kNo, kNo, kPort, "metrics.listening_udp_ports.ports[].port"},
    {Builtin::kMessageByteSize, "aws:message-byte-size", ValueKind::kCount, "bytes", kCloud, kYes, kNo, kYes,
     kYes, kYes, kNumeric, "payload size of each message from the device"},
    {Builtin::kNumMessagesSent, "aws:num-messages-sent", ValueKind::kCount, "messages", kCloud, kYes, kYes,
     kYes, kYes, kYes, kNumeric, "messages the device published"},
    {Builtin::kNumMessagesReceived, "aws:num-messages-received", ValueKind::kCount, "messages", kCloud, kYes,
     kYes, kYes, kYes, kYes, kNumeric, "messages delivered to the device"},
    {Builtin::kNumAuthorizationFailures, "aws:num-authorization-failures", ValueKind::kCount, "failures",
     kCloud, kYes, kYes, kYes, kYes, kYes, kNumeric, "requests of the device that its policies deny"},
    {Builtin::kSourceIpAddress, "aws:source-ip-address", ValueKind::kCidrs, "addresses", kCloud, kNo, kNo,
     kYes, kNo, kNo, kCidr, "addresses the device connected from"},
    {Builtin::kNumConnectionAttempts, "aws:num-connection-attempts", ValueKind::kCount, "attempts", kCloud,
     kYes, kYes, kNo, kYes, kYes, kNumeric, "connection attempts, successful and failed"},
    {Builtin::kNumDisconnects, "aws:num-disconnects", ValueKind::kCount, "disconnects", kCloud, kYes, kYes,
     kNo, kYes, kYes, kNumeric, "disconnects"},
    {Builtin::kDisconnectDuration, "aws:disconnect-duration", ValueKind::kCount,
     "seconds (threshold in minutes)", kCloud, kNo, kNo, kNo, kNo, kNo, kLess,
     "how long the device has been disconnected"},
}};

constexpr std::string_view kOperatorNames[] = {"less-than",           "less-than-equals", "greater-than",
                                               "greater-than-equals", "in-cidr-set",      "not-in-cidr-set",
                                               "in-port-set",         "not-in-port-set",  "in-set",
                                               "not-in-set"};

std::string operator_list(uint16_t operators) {
  if (operators == kNumeric) return "numeric";
  std::string out;
  for (int i = 0; i < static_cast<int>(std::size(kOperatorNames)); ++i) {
    if ((operators >> i & 1) == 0) continue;
    if (!out.empty()) out += ", ";
    out += "`" + std::string(kOperatorNames[i]) + "`";
  }
  return out;
}

}  // namespace

std::string_view to_string(Operator op) {
  return kOperatorNames[static_cast<int>(op)];
}

std::optional<Operator> parse_operator(std::string_view text) {
  for (size_t i = 0; i < std::size(kOperatorNames); ++i) {
    if (kOperatorNames[i] == text) return static_cast<Operator>(i);
  }
  return std::nullopt;
}

std::span<const MetricInfo, kBuiltinCount> builtin_metrics() {
  return kTable;
}

const MetricInfo& info_of(Builtin id) {
  return kTable[static_cast<size_t>(id)];
}

const MetricInfo* find_builtin(std::string_view name) {
  for (const MetricInfo& info : kTable) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

std::string_view custom_type_name(ValueKind kind) {
  switch (kind) {
    case ValueKind::kNumber:
      return "number";
    case ValueKind::kNumbers:
      return "number-list";
    case ValueKind::kStrings:
      return "string-list";
    case ValueKind::kCidrs:
      return "ip-address-list";
    default:
      return "";
  }
}

std::optional<ValueKind> parse_custom_type(std::string_view text) {
  for (const ValueKind kind :
       {ValueKind::kNumber, ValueKind::kNumbers, ValueKind::kStrings, ValueKind::kCidrs}) {
    if (custom_type_name(kind) == text) return kind;
  }
  return std::nullopt;
}

bool custom_allows(ValueKind kind, Operator op) {
  uint16_t allowed = 0;
  if (kind == ValueKind::kNumber) allowed = kNumeric;
  if (kind == ValueKind::kNumbers || kind == ValueKind::kStrings) allowed = kSet;
  if (kind == ValueKind::kCidrs) allowed = kCidr;
  return (allowed >> static_cast<int>(op) & 1) != 0;
}

std::string metrics_reference_markdown() {
  std::string out =
      "# Metrics\n\n"
      "Generated from the table in `src/detect/metric.cc`. \"numeric\" stands for `less-than`, "
      "`less-than-equals`, `greater-than` and `greater-than-equals`.\n\n"
      "A behaviour states what is normal: a value that does not satisfy its criteria is a violation.\n"
      "`durationSeconds` is 300, 600, 900, 1800 or 3600. ML Detect is refused by this release.\n";
  for (const bool cloud : {true, false}) {
    out += cloud ? "\n## Cloud-side metrics\n\nObserved by the service.\n"
                 : "\n## Device-side metrics\n\nRead from the device's report.\n";
    out += "\n| Metric | Value | Unit | Operators | durationSeconds | Dimension | Measured |\n";
    out += "| --- | --- | --- | --- | --- | --- | --- |\n";
    for (const MetricInfo& info : kTable) {
      if (info.cloud_side != cloud) continue;
      out += "| `" + std::string(info.name) + "` | `" + std::string(to_string(info.kind)) + "` | " +
             std::string(info.unit) + " | " + operator_list(info.operators) + " | " +
             (info.duration_allowed ? "yes" : "no") + " | " + (info.dimension_allowed ? "yes" : "no") +
             " | " + std::string(info.source) + " |\n";
    }
  }
  out +=
      "\n## Custom metrics\n\n"
      "| Type | Key in the report | Value | Operators | durationSeconds |\n| --- | --- | --- | --- | --- |\n"
      "| `number` | `number` | `number` | numeric | yes |\n"
      "| `number-list` | `number_list` | `numbers` | `in-set`, `not-in-set` | no |\n"
      "| `string-list` | `string_list` | `strings` | `in-set`, `not-in-set` | no |\n"
      "| `ip-address-list` | `ip_list` | `cidrs` | `in-cidr-set`, `not-in-cidr-set` | no |\n";
  return out;
}

}  // namespace fleetward::detect
