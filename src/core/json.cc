#include "core/json.h"

#include <charconv>
#include <cmath>

#include <boost/json/stream_parser.hpp>

namespace fleetward::json {
namespace {

void number_to(double d, std::string& out) {
  if (!std::isfinite(d)) {
    out += "null";
    return;
  }
  char buffer[40];
  if (d == std::trunc(d) && std::fabs(d) < 9007199254740992.0) {
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, static_cast<int64_t>(d));
    out.append(buffer, end.ptr);
    return;
  }
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, d);
  out.append(buffer, end.ptr);
}

template <typename Integer>
void integer_to(Integer n, std::string& out) {
  char buffer[24];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, n);
  out.append(buffer, end.ptr);
}

}  // namespace

Result<value> parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes_max) {
    return fail(ErrorCode::kLimitExceeded, "JSON text of " + std::to_string(text.size()) +
                                               " bytes is over the limit of " +
                                               std::to_string(limits.bytes_max));
  }
  boost::json::parse_options options;
  options.max_depth = limits.depth_max;
  boost::json::stream_parser parser({}, options);
  boost::json::error_code ec;
  const size_t consumed = parser.write_some(text.data(), text.size(), ec);
  if (!ec && consumed < text.size()) {
    const size_t rest = text.find_first_not_of(" \t\r\n", consumed);
    if (rest != std::string_view::npos) {
      return fail(ErrorCode::kMalformed,
                  "unexpected text after the JSON value at byte " + std::to_string(rest));
    }
  }
  if (!ec) parser.finish(ec);
  if (ec == boost::json::error::too_deep) {
    return fail(ErrorCode::kLimitExceeded, "JSON nested deeper than " + std::to_string(limits.depth_max));
  }
  if (ec) {
    return fail(ErrorCode::kMalformed,
                "invalid JSON at byte " + std::to_string(consumed) + ": " + ec.message());
  }
  return parser.release();
}

void quote_to(std::string_view text, std::string& out) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<uint8_t>(c) < 0x20) {
          out += "\\u00";
          out += kHex[c >> 4];
          out += kHex[c & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void serialize_to(const value& v, std::string& out) {
  switch (v.kind()) {
    case boost::json::kind::null:
      out += "null";
      break;
    case boost::json::kind::bool_:
      out += v.get_bool() ? "true" : "false";
      break;
    case boost::json::kind::int64:
      integer_to(v.get_int64(), out);
      break;
    case boost::json::kind::uint64:
      integer_to(v.get_uint64(), out);
      break;
    case boost::json::kind::double_:
      number_to(v.get_double(), out);
      break;
    case boost::json::kind::string:
      quote_to(v.get_string(), out);
      break;
    case boost::json::kind::array: {
      out += '[';
      bool first = true;
      for (const value& element : v.get_array()) {
        if (!first) out += ',';
        first = false;
        serialize_to(element, out);
      }
      out += ']';
      break;
    }
    case boost::json::kind::object: {
      out += '{';
      bool first = true;
      for (const auto& member : v.get_object()) {
        if (!first) out += ',';
        first = false;
        quote_to(member.key(), out);
        out += ':';
        serialize_to(member.value(), out);
      }
      out += '}';
      break;
    }
  }
}

std::string serialize(const value& v) {
  std::string out;
  serialize_to(v, out);
  return out;
}

const value* find(const object& o, std::string_view name) {
  return o.if_contains(name);
}

std::string_view string_or(const object& o, std::string_view name, std::string_view fallback) {
  const value* v = o.if_contains(name);
  if (v == nullptr || !v->is_string()) return fallback;
  return v->get_string();
}

int64_t int_or(const object& o, std::string_view name, int64_t fallback) {
  const value* v = o.if_contains(name);
  return v != nullptr && v->is_int64() ? v->get_int64() : fallback;
}

bool bool_or(const object& o, std::string_view name, bool fallback) {
  const value* v = o.if_contains(name);
  return v != nullptr && v->is_bool() ? v->get_bool() : fallback;
}

const object* find_object(const object& o, std::string_view name) {
  const value* v = o.if_contains(name);
  return v == nullptr ? nullptr : v->if_object();
}

const array* find_array(const object& o, std::string_view name) {
  const value* v = o.if_contains(name);
  return v == nullptr ? nullptr : v->if_array();
}

}  // namespace fleetward::json
