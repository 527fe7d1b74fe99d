#include "detect/report.h"

#include "detect/address_bytes.h"
#include "detect/bytes.h"
#include "detect/report_sources.h"

namespace fleetward::detect {
namespace {

constexpr uint8_t kReportVersion = 2;  // of the form in the log

}  // namespace

std::string_view to_string(Rejection::Code code) {
  switch (code) {
    case Rejection::Code::kInvalidPayload:
      return "InvalidPayload";
    case Rejection::Code::kMissingHeader:
      return "MissingHeader";
    case Rejection::Code::kThrottled:
      return "Throttled";
  }
  return "";
}

ValueView Report::value(Builtin metric) const {
  ValueView view;
  view.kind = info_of(metric).kind;
  switch (metric) {
    case Builtin::kDestinationIpAddresses:
      view.addresses = destinations;
      break;
    case Builtin::kListeningTcpPorts:
      view.ports = tcp_ports;
      break;
    case Builtin::kListeningUdpPorts:
      view.ports = udp_ports;
      break;
    default:
      view.count = counts[static_cast<size_t>(metric)];
  }
  return view;
}

ValueView Report::value(const CustomReading& reading) const {
  ValueView view;
  view.kind = reading.kind;
  view.number = reading.number;
  if (reading.kind == ValueKind::kNumbers)
    view.numbers = std::span(numbers).subspan(reading.first, reading.count);
  if (reading.kind == ValueKind::kStrings)
    view.strings = std::span(strings).subspan(reading.first, reading.count);
  if (reading.kind == ValueKind::kCidrs) {
    view.addresses = std::span(addresses).subspan(reading.first, reading.count);
  }
  return view;
}

void Report::clear() {
  id = 0;
  version = {};
  present = 0;
  dropped = 0;
  for (uint64_t& count : counts) count = 0;
  destinations.clear();
  tcp_ports.clear();
  udp_ports.clear();
  customs.clear();
  numbers.clear();
  strings.clear();
  addresses.clear();
  text.clear();
}

struct ReportParser::Impl {
  explicit Impl(ReportLimits bounds) : limits(bounds), json(limits), cbor(limits) {}
  ReportLimits limits;
  internal::JsonReports json;
  internal::CborReports cbor;
};

ReportParser::ReportParser(ReportLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
ReportParser::~ReportParser() = default;
ReportParser::ReportParser(ReportParser&&) noexcept = default;

tl::expected<void, Rejection> ReportParser::parse(ReportFormat format, std::string_view payload,
                                                  Report& out) {
  out.clear();
  if (payload.size() > impl_->limits.bytes_max) {
    return tl::unexpected(Rejection{
        Rejection::Code::kInvalidPayload,
        "Malformed metrics report: more than " + std::to_string(impl_->limits.bytes_max) + " bytes", 0});
  }
  out.text.reserve(payload.size());  // no string of a document is longer than it was encoded
  return format == ReportFormat::kJson ? impl_->json.parse(payload, out) : impl_->cbor.parse(payload, out);
}

void encode_report(const Report& report, std::string& out) {
  out.push_back(static_cast<char>(kReportVersion));
  bytes::put_varint(out, static_cast<uint64_t>(report.id));
  bytes::put_string(out, report.version);
  bytes::put_varint(out, report.present);
  for (size_t i = 0; i < kDeviceSideMetrics; ++i) {
    const auto metric = static_cast<Builtin>(i);
    if (!report.has(metric)) continue;
    if (i < kDeviceCountMetrics) {
      bytes::put_varint(out, report.counts[i]);
    } else {
      encode_value(report.value(metric), out);
    }
  }
  bytes::put_varint(out, report.customs.size());
  for (const CustomReading& reading : report.customs) {
    bytes::put_string(out, reading.name);
    encode_value(report.value(reading), out);
  }
}

namespace {

struct ReportDecoder {
  bytes::Reader in;
  Report& out;

  void list(ValueKind kind, CustomReading& reading) {
    if (kind == ValueKind::kNumbers) {
      reading.first = static_cast<uint32_t>(out.numbers.size());
      reading.count = static_cast<uint32_t>(in.count(8));
      for (uint32_t i = 0; i < reading.count; ++i) out.numbers.push_back(in.f64());
    } else if (kind == ValueKind::kStrings) {
      reading.first = static_cast<uint32_t>(out.strings.size());
      reading.count = static_cast<uint32_t>(in.count(1));
      for (uint32_t i = 0; in.ok && i < reading.count; ++i) out.strings.push_back(in.string());
      if (!in.ok) reading.count = 0;
    } else {
      reading.first = static_cast<uint32_t>(out.addresses.size());
      bytes::read_addresses(in, out.addresses);
      reading.count = static_cast<uint32_t>(out.addresses.size()) - reading.first;
    }
  }
  void ports(std::vector<uint16_t>& into) {
    into.resize(in.count(2));
    const std::string_view raw = in.take(into.size() * 2);
    if (!raw.empty()) std::memcpy(into.data(), raw.data(), raw.size());
  }
  bool expect(ValueKind kind) {
    if (in.u8() != static_cast<uint8_t>(kind)) in.ok = false;
    return in.ok;
  }
  void builtins() {
    for (size_t i = 0; i < kDeviceSideMetrics && in.ok; ++i) {
      const auto metric = static_cast<Builtin>(i);
      if (!out.has(metric)) continue;
      if (i < kDeviceCountMetrics) {
        out.counts[i] = in.varint();
      } else if (!expect(info_of(metric).kind)) {
        return;
      } else if (metric == Builtin::kDestinationIpAddresses) {
        bytes::read_addresses(in, out.destinations);
      } else {
        ports(metric == Builtin::kListeningTcpPorts ? out.tcp_ports : out.udp_ports);
      }
    }
  }
  void customs() {
    for (size_t left = in.count(3); in.ok && left > 0; --left) {
      CustomReading reading;
      reading.name = in.string();
      const uint8_t kind = in.u8();
      reading.kind = static_cast<ValueKind>(kind);
      if (custom_type_name(reading.kind).empty()) in.ok = false;
      if (!in.ok) return;
      if (reading.kind == ValueKind::kNumber) {
        reading.number = in.f64();
      } else {
        list(reading.kind, reading);
      }
      out.customs.push_back(reading);
    }
  }
};

}  // namespace

Status decode_report(std::string_view bytes, Report& out) {
  out.clear();
  out.text.assign(bytes.begin(), bytes.end());  // the views point into the report's own copy
  ReportDecoder decoder{{std::string_view(out.text.data(), out.text.size())}, out};
  bytes::Reader& in = decoder.in;
  if (in.u8() != kReportVersion) return fail(ErrorCode::kCorrupt, "a stored report of an unknown version");
  out.id = static_cast<int64_t>(in.varint());
  out.version = in.string();
  const uint64_t present = in.varint();
  if (present >> kDeviceSideMetrics != 0) in.ok = false;
  out.present = static_cast<uint16_t>(in.ok ? present : 0);
  decoder.builtins();
  decoder.customs();
  if (!in.ok || out.id <= 0 || !in.rest.empty()) {
    out.clear();
    return fail(ErrorCode::kCorrupt, "a stored report does not parse");
  }
  return {};
}

}  // namespace fleetward::detect
