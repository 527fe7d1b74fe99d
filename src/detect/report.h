#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "detect/metric.h"
#include "detect/value.h"

// The metrics report of a device (AWS IoT Device Defender, "Sending metrics from devices").
namespace fleetward::detect {

enum class ReportFormat : uint8_t { kJson, kCbor };

// Guards of our own (AWS publishes only the broker's 128 KB): what is over them is InvalidPayload, with the
// bound in the reason.
struct ReportLimits {
  size_t bytes_max = 128 * 1024;
  size_t depth_max = 12;            // the deepest path of the schema is 6
  size_t list_elements_max = 1024;  // connections, ports, elements of a custom list
  size_t custom_metrics_max = 100;  // the account's quota of custom metrics
  size_t string_bytes_max = 1024;   // of any string that is kept
};

// One value of `custom_metrics`. Lists are ranges of the report's own lists.
struct CustomReading {
  std::string_view name;
  ValueKind kind = ValueKind::kNumber;
  double number = 0;
  uint32_t first = 0, count = 0;
};

// A report that was checked: everything in it may be used without a further check. Reused from parse to parse
// to keep its memory. Views point into `text`: movable, not copyable.
struct Report {
  Report() = default;
  Report(Report&&) = default;
  Report& operator=(Report&&) = default;
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  int64_t id = 0;            // positive
  std::string_view version;  // "1.0"
  // Presence, bit (1 << Builtin) of the device-side metrics.
  uint16_t present = 0;
  uint64_t counts[kDeviceCountMetrics] = {};
  std::vector<IpAddress> destinations;
  std::vector<uint16_t> tcp_ports, udp_ports;
  // Names with invalid characters and values that break a custom type's rules are dropped when read.
  std::vector<CustomReading> customs;
  std::vector<double> numbers;
  std::vector<std::string_view> strings;
  std::vector<IpAddress> addresses;
  // The bytes that views of this report point into: exactly one block, never reallocated while in use.
  std::vector<char> text;
  uint32_t dropped = 0;  // custom metrics that were left out

  bool has(Builtin metric) const { return (present >> static_cast<int>(metric) & 1) != 0; }
  ValueView value(Builtin metric) const;  // needs has()
  ValueView value(const CustomReading& reading) const;
  void clear();
};

// Why a report is refused; `code` is the ErrorCode of the answer on the rejected topic.
struct Rejection {
  enum class Code : uint8_t { kInvalidPayload, kMissingHeader, kThrottled } code = Code::kInvalidPayload;
  std::string message;    // "Malformed metrics report: metrics.network_stats.bytes_in is negative"
  int64_t report_id = 0;  // 0 if it could not be read
};
std::string_view to_string(Rejection::Code code);  // "InvalidPayload"

// Parses reports; keeps its buffers between calls. One per thread. Never throws. Long and short names are
// accepted for each member independently, unknown members are passed over.
class ReportParser {
 public:
  explicit ReportParser(ReportLimits limits = {});
  ~ReportParser();
  ReportParser(ReportParser&&) noexcept;

  // Fills `out` (cleared first). `payload` need not outlive the call.
  tl::expected<void, Rejection> parse(ReportFormat format, std::string_view payload, Report& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The compact form of a report in the log: u8 format (2); varint id; counted version; varint `present`; for
// each metric that is present, in the order of Builtin, a varint (counts) or a value (lists, see
// encode_value); varint custom metrics, each a counted name and a value. decode_report checks everything
// again (the log may hold bytes of another release): kCorrupt.
void encode_report(const Report& report, std::string& out);
Status decode_report(std::string_view bytes, Report& out);

}  // namespace fleetward::detect
