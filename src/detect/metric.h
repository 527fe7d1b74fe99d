#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "detect/value.h"

namespace fleetward::detect {

// How a data point is compared with a behaviour's value (AWS: comparisonOperator).
enum class Operator : uint8_t {
  kLessThan,
  kLessThanEquals,
  kGreaterThan,
  kGreaterThanEquals,
  kInCidrSet,
  kNotInCidrSet,
  kInPortSet,
  kNotInPortSet,
  kInSet,
  kNotInSet,
};
std::string_view to_string(Operator op);  // "less-than"
std::optional<Operator> parse_operator(std::string_view text);

// The built-in metrics, in the order of the table. Device-side ones first: they index a report's counts. The
// numbers are in what is stored (report.h, history.h).
enum class Builtin : uint8_t {
  kAllBytesOut,
  kAllBytesIn,
  kAllPacketsOut,
  kAllPacketsIn,
  kNumListeningTcpPorts,
  kNumListeningUdpPorts,
  kNumEstablishedTcpConnections,
  kDestinationIpAddresses,
  kListeningTcpPorts,
  kListeningUdpPorts,
  kMessageByteSize,
  kNumMessagesSent,
  kNumMessagesReceived,
  kNumAuthorizationFailures,
  kSourceIpAddress,
  kNumConnectionAttempts,
  kNumDisconnects,
  kDisconnectDuration,
};
inline constexpr size_t kBuiltinCount = 18;
inline constexpr size_t kDeviceCountMetrics = 7;  // the first ones, kAllBytesOut...
inline constexpr size_t kDeviceSideMetrics = 10;  // the first ones; the rest is observed by the service

// One row of the table of metrics: what the documentation says of each (AWS IoT Device Defender Developer
// Guide, cloud-side and device-side metrics).
struct MetricInfo {
  Builtin id;
  std::string_view name;  // "aws:all-bytes-out"
  ValueKind kind;
  std::string_view unit;
  bool cloud_side;
  bool duration_allowed;  // criteria.durationSeconds
  bool accumulates;       // values of a window are added up; else the latest stands
  bool dimension_allowed;
  bool statistical_allowed, ml_allowed;
  uint16_t operators;       // bit (1 << Operator)
  std::string_view source;  // what is measured, for the reference

  bool allows(Operator op) const { return (operators >> static_cast<int>(op) & 1) != 0; }
};

std::span<const MetricInfo, kBuiltinCount> builtin_metrics();
const MetricInfo& info_of(Builtin id);
const MetricInfo* find_builtin(std::string_view name);  // nullptr if there is none

// The types of custom metrics ("number", "number-list", "string-list", "ip-address-list") and their values.
std::string_view custom_type_name(ValueKind kind);
std::optional<ValueKind> parse_custom_type(std::string_view text);
// Operators a custom metric of this kind allows.
bool custom_allows(ValueKind kind, Operator op);

inline constexpr int kDurations[] = {300, 600, 900, 1800, 3600};  // durationSeconds

// docs/reference/metrics.md, from the table.
std::string metrics_reference_markdown();

}  // namespace fleetward::detect
