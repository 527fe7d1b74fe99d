#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "detect/report.h"

// Internal to report_json.cc and report_cbor.cc: how a document becomes a Report, whatever the encoding.
namespace fleetward::detect::internal {

// What a number looks like to the walk.
struct Number {
  bool whole = false;  // exactly an integer; then negative and magnitude hold it
  bool negative = false;
  uint64_t magnitude = 0;
  double value = 0;  // always set
};

inline Number number_of(double value) {
  Number out;
  out.value = value;
  constexpr double kExactMax = 9007199254740992.0;  // 2^53
  if (std::isfinite(value) && std::abs(value) <= kExactMax && value == std::floor(value)) {
    out.whole = true;
    out.negative = value < 0;
    out.magnitude = static_cast<uint64_t>(std::abs(value));
  }
  return out;
}

// Node is a handle on one value of a parsed, well-formed document:
//   bool number(Number&), bool string(std::string_view&);
//   bool members(F), F(std::string_view key, Node) -> bool; false if it is no object or F answered false;
//   bool elements(F), F(Node) -> bool; likewise for arrays; bool is_object(), bool is_array().
template <typename Node>
class ReportWalk {
 public:
  ReportWalk(const ReportLimits& limits, Report& out) : limits_(limits), out_(out) {}

  tl::expected<void, Rejection> run(Node root) {
    bool header = false, metrics = false, customs = false;
    const bool ok = root.is_object() ? root.members([&](std::string_view key, Node node) {
      if (is(key, "header", "hed")) return header = true, read_header(node);
      if (is(key, "metrics", "met")) return metrics = true, read_metrics(node);
      if (is(key, "custom_metrics", "cmet")) return customs = true, read_customs(node);
      return true;
    })
                                     : refuse("the report is not an object");
    if (ok && !header) {
      return reject(Rejection::Code::kMissingHeader, "the report has no header");
    }
    if (!ok) return reject(Rejection::Code::kInvalidPayload, why_);
    if (out_.id == 0) return reject(Rejection::Code::kInvalidPayload, "header.report_id is missing");
    if (out_.version.empty()) return reject(Rejection::Code::kInvalidPayload, "header.version is missing");
    if (!metrics && !customs) {
      return reject(Rejection::Code::kInvalidPayload, "neither metrics nor custom_metrics is there");
    }
    return {};
  }

 private:
  tl::expected<void, Rejection> reject(Rejection::Code code, const std::string& why) {
    return tl::unexpected(Rejection{code, "Malformed metrics report: " + why, out_.id});
  }

  static bool is(std::string_view key, std::string_view name, std::string_view short_name) {
    return key == name || key == short_name;
  }
  bool refuse(std::string why) {
    if (why_.empty()) why_ = std::move(why);
    return false;
  }
  bool refuse(const char* where, const char* what) { return refuse(std::string(where) + " " + what); }

  // Copies into the report's block, whose capacity was reserved for every string of the document.
  bool keep(std::string_view text, std::string_view& kept) {
    if (text.size() > limits_.string_bytes_max || out_.text.capacity() - out_.text.size() < text.size()) {
      return refuse("a string is longer than " + std::to_string(limits_.string_bytes_max) + " bytes");
    }
    const size_t at = out_.text.size();
    out_.text.insert(out_.text.end(), text.begin(), text.end());
    kept = std::string_view(out_.text.data() + at, text.size());
    return true;
  }

  template <typename F>
  bool object(Node node, const char* where, F each) {
    return node.is_object() ? node.members(each) : refuse(where, "is not an object");
  }
  template <typename F>
  bool list(Node node, const char* where, F each) {
    if (!node.is_array()) return refuse(where, "is not a list");
    size_t count = 0;
    return node.elements([&](Node element) {
      if (++count > limits_.list_elements_max) {
        return refuse(std::string(where) + " has more than " + std::to_string(limits_.list_elements_max) +
                      " elements");
      }
      return each(element);
    });
  }
  bool whole(Node node, const char* where, uint64_t min, uint64_t max, uint64_t& out) {
    Number number;
    if (!node.number(number)) return refuse(where, "is not a number");
    if (!number.whole) return refuse(where, "is not a whole number");
    if (number.negative && number.magnitude != 0) return refuse(where, "is negative");
    if (number.magnitude < min || number.magnitude > max) return refuse(where, "is out of range");
    out = number.magnitude;
    return true;
  }
  static constexpr uint64_t kLongMax = std::numeric_limits<int64_t>::max();

  bool count(Node node, const char* where, Builtin metric) {
    if (!whole(node, where, 0, kLongMax, out_.counts[static_cast<int>(metric)])) return false;
    return present(metric);
  }
  bool present(Builtin metric) {
    out_.present = static_cast<uint16_t>(out_.present | 1U << static_cast<int>(metric));
    return true;
  }

  bool read_header(Node node) {
    return object(node, "header", [&](std::string_view key, Node value) {
      if (is(key, "report_id", "rid")) {
        uint64_t id = 0;
        if (!whole(value, "header.report_id", 1, kLongMax, id)) return false;
        out_.id = static_cast<int64_t>(id);
      } else if (is(key, "version", "v")) {
        std::string_view text;
        if (!value.string(text)) return refuse("header.version", "is not a string");
        if (!is_version(text)) return refuse("header.version", "is not Major.Minor");
        return keep(text, out_.version);
      }
      return true;
    });
  }
  static bool is_version(std::string_view text) {
    const size_t dot = text.find('.');
    const auto digits = [](std::string_view part) {
      return !part.empty() && part.size() <= 9 &&
             std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    };
    return dot != std::string_view::npos && digits(text.substr(0, dot)) && digits(text.substr(dot + 1));
  }

  bool read_metrics(Node node) {
    return object(node, "metrics", [&](std::string_view key, Node value) {
      if (is(key, "tcp_connections", "tc")) return read_tcp_connections(value);
      if (is(key, "listening_tcp_ports", "tp")) {
        return read_ports(value, "metrics.listening_tcp_ports", "metrics.listening_tcp_ports.total",
                          Builtin::kNumListeningTcpPorts, Builtin::kListeningTcpPorts, out_.tcp_ports);
      }
      if (is(key, "listening_udp_ports", "up")) {
        return read_ports(value, "metrics.listening_udp_ports", "metrics.listening_udp_ports.total",
                          Builtin::kNumListeningUdpPorts, Builtin::kListeningUdpPorts, out_.udp_ports);
      }
      if (is(key, "network_stats", "ns")) return read_network(value);
      return true;
    });
  }

  bool read_network(Node node) {
    return object(node, "metrics.network_stats", [&](std::string_view key, Node value) {
      if (is(key, "bytes_in", "bi")) {
        return count(value, "metrics.network_stats.bytes_in", Builtin::kAllBytesIn);
      }
      if (is(key, "bytes_out", "bo")) {
        return count(value, "metrics.network_stats.bytes_out", Builtin::kAllBytesOut);
      }
      if (is(key, "packets_in", "pi")) {
        return count(value, "metrics.network_stats.packets_in", Builtin::kAllPacketsIn);
      }
      if (is(key, "packets_out", "po")) {
        return count(value, "metrics.network_stats.packets_out", Builtin::kAllPacketsOut);
      }
      return true;
    });
  }

  bool read_ports(Node node, const char* where, const char* total, Builtin count_metric, Builtin list_metric,
                  std::vector<uint16_t>& ports) {
    return object(node, where, [&](std::string_view key, Node value) {
      if (is(key, "total", "t")) return count(value, total, count_metric);
      if (!is(key, "ports", "pts")) return true;
      ports.clear();
      present(list_metric);
      return list(value, where, [&](Node entry) {
        return object(entry, where, [&](std::string_view name, Node field) {
          if (is(name, "port", "pt")) {
            uint64_t port = 0;
            if (!whole(field, where, 1, 65535, port)) return false;
            ports.push_back(static_cast<uint16_t>(port));
          } else if (is(name, "interface", "if")) {
            std::string_view text;
            if (!field.string(text)) return refuse(where, "has an interface that is not a string");
          }
          return true;
        });
      });
    });
  }

  bool read_tcp_connections(Node node) {
    return object(node, "metrics.tcp_connections", [&](std::string_view key, Node value) {
      return !is(key, "established_connections", "ec") || read_established(value);
    });
  }
  bool read_established(Node node) {
    constexpr const char* kWhere = "metrics.tcp_connections.established_connections";
    return object(node, kWhere, [&](std::string_view key, Node value) {
      if (is(key, "total", "t")) {
        return count(value, "metrics.tcp_connections.established_connections.total",
                     Builtin::kNumEstablishedTcpConnections);
      }
      if (!is(key, "connections", "cs")) return true;
      out_.destinations.clear();
      present(Builtin::kDestinationIpAddresses);
      return list(value, kWhere, [&](Node entry) { return read_connection(entry, kWhere); });
    });
  }
  bool read_connection(Node node, const char* where) {
    bool remote = false;
    const bool ok = object(node, where, [&](std::string_view key, Node value) {
      if (is(key, "remote_addr", "rad")) {
        std::string_view text;
        if (!value.string(text)) return refuse(where, "has a remote_addr that is not a string");
        IpAddress address;
        uint16_t port = 0;
        if (!IpAddress::parse_endpoint(text, address, port)) {
          return refuse(where, "has a remote_addr that is not address:port");
        }
        out_.destinations.push_back(address);
        remote = true;
      } else if (is(key, "local_port", "lp")) {
        uint64_t port = 0;
        return whole(value, "local_port of a connection", 0, 65535, port);
      } else if (is(key, "local_interface", "li")) {
        std::string_view text;
        if (!value.string(text)) return refuse(where, "has a local_interface that is not a string");
      }
      return true;
    });
    return ok && (remote || refuse(where, "has a connection without remote_addr"));
  }

  static bool is_metric_name(std::string_view name) {
    return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' ||
             c == '_' || c == '-';
    });
  }

  bool read_customs(Node node) {
    size_t seen = 0;
    out_.customs.clear();
    return object(node, "custom_metrics", [&](std::string_view name, Node value) {
      if (++seen > limits_.custom_metrics_max) {
        return refuse("custom_metrics has more than " + std::to_string(limits_.custom_metrics_max) +
                      " members");
      }
      if (!is_metric_name(name)) {  // cannot have been created, so it is unknown: passed over
        ++out_.dropped;
        return true;
      }
      for (const CustomReading& earlier : out_.customs) {
        if (earlier.name == name) return refuse(custom(name) + " is there twice");
      }
      return read_custom(name, value);
    });
  }
  static std::string custom(std::string_view name) { return "custom_metrics." + std::string(name); }

  bool read_custom(std::string_view name, Node node) {
    size_t elements = 0, values = 0;
    bool retain = true;
    CustomReading reading;
    const bool ok = node.is_array() && node.elements([&](Node element) {
      return ++elements == 1 && element.is_object() && element.members([&](std::string_view key, Node value) {
        return ++values == 1 && read_custom_value(name, key, value, reading, retain);
      });
    });
    if (!ok || values != 1) {
      return refuse(custom(name) +
                    " is not a list of one object with one of number, number_list, "
                    "string_list, ip_list");
    }
    if (!retain) {
      ++out_.dropped;
      return true;
    }
    if (!keep(name, reading.name)) return false;
    out_.customs.push_back(reading);
    return true;
  }

  // `retain` becomes false for a value that a custom metric of this type cannot hold (transported, but not
  // retained, as AWS has it).
  bool read_custom_value(std::string_view name, std::string_view key, Node node, CustomReading& reading,
                         bool& retain) {
    if (key == "number") {
      reading.kind = ValueKind::kNumber;
      return finite(name, node, reading.number);
    }
    const std::string where = custom(name);
    if (key == "number_list") {
      reading.kind = ValueKind::kNumbers;
      reading.first = static_cast<uint32_t>(out_.numbers.size());
      const bool ok = list(node, where.c_str(),
                           [&](Node element) { return finite(name, element, out_.numbers.emplace_back()); });
      reading.count = static_cast<uint32_t>(out_.numbers.size()) - reading.first;
      return ok;
    }
    if (key != "string_list" && key != "ip_list") return refuse(where + " has an unknown type");
    const bool addresses = key == "ip_list";
    reading.kind = addresses ? ValueKind::kCidrs : ValueKind::kStrings;
    reading.first = static_cast<uint32_t>(addresses ? out_.addresses.size() : out_.strings.size());
    const bool ok = list(node, where.c_str(), [&](Node element) {
      std::string_view text;
      if (!element.string(text)) return refuse(where + " holds something that is not a string");
      if (addresses) {
        retain = IpAddress::parse(text, out_.addresses.emplace_back()) && retain;
        return true;
      }
      const auto control = [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; };
      retain = retain && std::none_of(text.begin(), text.end(), control);
      return keep(text, out_.strings.emplace_back());
    });
    const size_t end = addresses ? out_.addresses.size() : out_.strings.size();
    reading.count = static_cast<uint32_t>(end) - reading.first;
    return ok;
  }

  bool finite(std::string_view name, Node node, double& out) {
    Number number;
    if (!node.number(number)) return refuse(custom(name) + " holds something that is not a number");
    if (!std::isfinite(number.value)) return refuse(custom(name) + " holds a number that is not finite");
    out = number.value;
    return true;
  }

  const ReportLimits& limits_;
  Report& out_;
  std::string why_;
};

}  // namespace fleetward::detect::internal
