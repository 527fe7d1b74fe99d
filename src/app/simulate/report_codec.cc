#include <cstdlib>
#include <memory>

#include <cbor.h>

#include "app/simulate/device_model.h"
#include "core/json.h"

namespace fleetward::app::simulate {
namespace {

json::array ports_of(const std::vector<uint16_t>& ports) {
  json::array list;
  for (const uint16_t port : ports) list.push_back(json::object{{"interface", "eth0"}, {"port", port}});
  return list;
}

json::object ports_block(const std::vector<uint16_t>& ports) {
  return {{"ports", ports_of(ports)}, {"total", ports.size()}};
}

// A whole number as an integer, as a device would write it.
json::value number(double value) {
  const auto whole = static_cast<int64_t>(value);
  if (static_cast<double>(whole) == value) return whole;
  return value;
}

json::object metrics_of(const Report& r) {
  json::array connections;
  for (const Connection& c : r.connections) {
    connections.push_back(json::object{
        {"local_interface", "eth0"}, {"local_port", c.local_port}, {"remote_addr", c.remote_address}});
  }
  return {{"listening_tcp_ports", ports_block(r.listening_tcp_ports)},
          {"listening_udp_ports", ports_block(r.listening_udp_ports)},
          {"network_stats", json::object{{"bytes_in", r.bytes_in},
                                         {"bytes_out", r.bytes_out},
                                         {"packets_in", r.packets_in},
                                         {"packets_out", r.packets_out}}},
          {"tcp_connections",
           json::object{{"established_connections",
                         json::object{{"connections", connections}, {"total", r.connections_total}}}}}};
}

json::object custom_metrics_of(const Report& r, const CustomMetricNames& names) {
  json::object custom;
  const auto add = [&](const std::string& name, std::string_view kind, json::value value) {
    if (!name.empty()) custom[name] = json::array{json::object{{kind, std::move(value)}}};
  };
  json::array loads;
  for (const double load : r.core_loads) loads.push_back(number(load));
  json::array units(r.units.begin(), r.units.end());
  json::array servers(r.dns_servers.begin(), r.dns_servers.end());
  add(names.signal, "number", number(r.signal_dbm));
  add(names.core_loads, "number_list", std::move(loads));
  add(names.units, "string_list", std::move(units));
  add(names.dns_servers, "ip_list", std::move(servers));
  return custom;
}

cbor_item_t* to_cbor(const json::value& v) {
  if (v.is_object()) {
    cbor_item_t* map = cbor_new_definite_map(v.get_object().size());
    for (const auto& member : v.get_object()) {
      const auto key = member.key();
      (void)cbor_map_add(
          map, {cbor_move(cbor_build_stringn(key.data(), key.size())), cbor_move(to_cbor(member.value()))});
    }
    return map;
  }
  if (v.is_array()) {
    cbor_item_t* array = cbor_new_definite_array(v.get_array().size());
    for (const json::value& item : v.get_array()) (void)cbor_array_push(array, cbor_move(to_cbor(item)));
    return array;
  }
  if (v.is_string()) return cbor_build_stringn(v.get_string().data(), v.get_string().size());
  if (v.is_double()) return cbor_build_float8(v.get_double());
  if (v.is_uint64()) return cbor_build_uint64(v.get_uint64());
  const int64_t n = v.is_int64() ? v.get_int64() : 0;
  return n >= 0 ? cbor_build_uint64(static_cast<uint64_t>(n))
                : cbor_build_negint64(static_cast<uint64_t>(-(n + 1)));
}

struct FreeItem {
  void operator()(cbor_item_t* item) const { cbor_decref(&item); }
};
using CborItem = std::unique_ptr<cbor_item_t, FreeItem>;

std::string serialize(const json::object& document, ReportFormat format) {
  if (format == ReportFormat::kJson) return json::serialize(document);
  const CborItem item(to_cbor(document));
  unsigned char* bytes = nullptr;
  size_t room = 0;
  const size_t size = cbor_serialize_alloc(item.get(), &bytes, &room);
  std::string out(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return out;
}

json::object document_of(const Report& report) {
  return {{"header", json::object{{"report_id", report.report_id}, {"version", "1.0"}}},
          {"metrics", metrics_of(report)}};
}

// The part of CBOR that answers are made of, as JSON.
json::value from_cbor(cbor_item_t* item) {
  switch (cbor_typeof(item)) {
    case CBOR_TYPE_UINT:
      return cbor_get_int(item);
    case CBOR_TYPE_NEGINT:
      return -1 - static_cast<int64_t>(cbor_get_int(item));
    case CBOR_TYPE_STRING:
      if (!cbor_string_is_definite(item)) return nullptr;
      return json::string(reinterpret_cast<const char*>(cbor_string_handle(item)), cbor_string_length(item));
    case CBOR_TYPE_MAP: {
      json::object object;
      const cbor_pair* pairs = cbor_map_handle(item);
      for (size_t i = 0; i < cbor_map_size(item); ++i) {
        const json::value key = from_cbor(pairs[i].key);
        if (key.is_string()) object[key.get_string()] = from_cbor(pairs[i].value);
      }
      return object;
    }
    case CBOR_TYPE_FLOAT_CTRL:
      if (cbor_float_ctrl_is_ctrl(item)) return nullptr;
      return cbor_float_get_float(item);
    default:
      return nullptr;
  }
}

json::value parse_answer(std::string_view payload, ReportFormat format) {
  if (format == ReportFormat::kJson) {
    auto parsed = json::parse(payload);
    return parsed ? std::move(*parsed) : json::value();
  }
  cbor_load_result result{};
  const CborItem item(
      cbor_load(reinterpret_cast<const unsigned char*>(payload.data()), payload.size(), &result));
  return item ? from_cbor(item.get()) : json::value();
}

}  // namespace

std::string encode_report(const Report& report, ReportFormat format, const CustomMetricNames& names) {
  json::object document = document_of(report);
  if (json::object custom = custom_metrics_of(report, names); !custom.empty())
    document["custom_metrics"] = std::move(custom);
  return serialize(document, format);
}

std::string encode_malformed_report(const Report& report, ReportFormat format,
                                    const CustomMetricNames& names) {
  json::object document = document_of(report);
  const std::string name = names.signal.empty() ? "signal" : names.signal;
  document["custom_metrics"] = json::object{{name, json::object{{"number", number(report.signal_dbm)}}}};
  return serialize(document, format);
}

ReportAnswer decode_answer(std::string_view payload, ReportFormat format) {
  ReportAnswer answer;
  const json::value document = parse_answer(payload, format);
  if (!document.is_object()) return answer;
  const json::object& members = document.get_object();
  answer.accepted = json::string_or(members, "status") == "ACCEPTED";
  if (const json::value* id = json::find(members, "reportId")) {
    if (id->is_int64()) answer.report_id = id->get_int64();
    if (id->is_uint64()) answer.report_id = static_cast<int64_t>(id->get_uint64());
  }
  if (const json::object* details = json::find_object(members, "statusDetails")) {
    answer.error = std::string(json::string_or(*details, "ErrorCode")) + ": " +
                   std::string(json::string_or(*details, "ErrorMessage"));
  }
  return answer;
}

}  // namespace fleetward::app::simulate
