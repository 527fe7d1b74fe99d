#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"

// What a simulated device observes of itself and reports. Pure and deterministic: the same seed, device and
// sequence of calls give the same reports.
namespace fleetward::app::simulate {

// A named misbehaviour; the metric it disturbs is in attack_info().
enum class Attack : uint8_t {
  kNone,
  kAuthFailures,
  kPortScan,
  kOpenPorts,
  kExfiltration,
  kWeakSignal,
  kMessageFlood,
  kLargeMessages,
  kConnectStorm,
  kMalformedReports,
  kSilence,
};
struct AttackInfo {
  Attack attack;
  std::string_view name;  // as given to --attack
  std::string_view what;  // one line for --help
};
// In the order of the enumeration, without kNone.
const std::vector<AttackInfo>& attack_infos();
std::string_view to_string(Attack attack);
// kInvalidArgument, listing the names, if there is none of this name.
Result<Attack> parse_attack(std::string_view name);

enum class ReportFormat : uint8_t { kJson, kCbor };

struct Connection {
  std::string remote_address;  // "203.0.113.7:8883"
  uint16_t local_port = 0;
};

// One device report: the device metrics and the custom metrics.
struct Report {
  int64_t report_id = 0;
  std::vector<uint16_t> listening_tcp_ports, listening_udp_ports;
  std::vector<Connection> connections;
  size_t connections_total = 0;  // may exceed the list, which a real agent samples
  uint64_t bytes_in = 0, bytes_out = 0, packets_in = 0, packets_out = 0;
  double signal_dbm = 0;                 // custom metric `number`
  std::vector<double> core_loads;        // custom metric `number_list`
  std::vector<std::string> units;        // custom metric `string_list`
  std::vector<std::string> dns_servers;  // custom metric `ip_list`
};

// Names of the custom metrics; an empty one is left out of the report.
struct CustomMetricNames {
  std::string signal = "mobilerssi";
  std::string core_loads, units, dns_servers;
};

// Long names, as the AWS samples use. `kCbor` is the same structure in CBOR.
std::string encode_report(const Report& report, ReportFormat format, const CustomMetricNames& names);

// A report that the service must reject: the custom metric is not an array.
std::string encode_malformed_report(const Report& report, ReportFormat format,
                                    const CustomMetricNames& names);

// What the service answered to a report.
struct ReportAnswer {
  int64_t report_id = 0;  // 0: not told
  bool accepted = false;
  std::string error;  // "InvalidPayload: Malformed metrics report"
};
ReportAnswer decode_answer(std::string_view payload, ReportFormat format);

class DeviceModel {
 public:
  // `index` tells the devices of one seed apart.
  DeviceModel(uint64_t seed, uint64_t index);

  // The next report. Its id is the Unix time in seconds, or one more than the last if that is not larger.
  Report next_report(Timestamp now, Attack attack);
  // Where in its interval this device reports: [0, 1).
  double phase() const { return phase_; }
  // An ordinary message: a small JSON document; several kilobytes under kLargeMessages.
  std::string next_telemetry(Timestamp now, Attack attack);

 private:
  double uniform(double low, double high);

  std::mt19937_64 random_;
  double phase_ = 0;
  double signal_dbm_;  // where this device's signal drifts around
  int64_t last_report_id_ = 0;
};

}  // namespace fleetward::app::simulate
