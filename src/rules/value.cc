#include "rules/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/text.h"

namespace fleetward::rules {
namespace {

constexpr double kInt64End = 9223372036854775808.0;  // 2^63

bool is_whole(double d) {
  return d == std::trunc(d) && d >= -kInt64End && d < kInt64End;
}

// ^-?\d+(\.\d+)?((?i)E-?\d+)?$
bool is_decimal_text(std::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i > begin;
  };
  const auto skip = [&](char c) {
    const bool there = i < text.size() && to_lower(text[i]) == c;
    if (there) ++i;
    return there;
  };
  skip('-');
  if (!digits()) return false;
  if (skip('.') && !digits()) return false;
  if (skip('e')) {
    skip('-');
    if (!digits()) return false;
  }
  return i == text.size();
}

bool equal_arrays(const json::array& a, const json::array& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), equal);
}

bool equal_objects(const json::object& a, const json::object& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&](const auto& member) {
    const json::value* other = b.if_contains(member.key());
    return other != nullptr && equal(member.value(), *other);
  });
}

}  // namespace

std::string_view to_string(SqlVersion version) {
  switch (version) {
    case SqlVersion::k2015:
      return "2015-10-08";
    case SqlVersion::k2016:
      return "2016-03-23";
    case SqlVersion::kBeta:
      return "beta";
  }
  return "";
}

std::optional<SqlVersion> parse_sql_version(std::string_view text) {
  for (const SqlVersion version : {SqlVersion::k2015, SqlVersion::k2016, SqlVersion::kBeta}) {
    if (text == to_string(version)) return version;
  }
  return std::nullopt;
}

std::optional<Number> number_of(const json::value& v, bool whole_is_int) {
  switch (v.kind()) {
    case boost::json::kind::int64:
      return Number::integer(v.get_int64());
    case boost::json::kind::uint64:
      return Number::decimal(static_cast<double>(v.get_uint64()));
    case boost::json::kind::double_: {
      const double d = v.get_double();
      if (whole_is_int && is_whole(d)) return Number::integer(static_cast<int64_t>(d));
      return Number::decimal(d);
    }
    default:
      return std::nullopt;
  }
}

std::optional<Number> to_decimal(const Value& v, bool whole_is_int) {
  if (v.is_undefined()) return std::nullopt;
  const json::string* text = v.get().if_string();
  if (text == nullptr) return number_of(v.get(), whole_is_int);
  const std::string_view digits = *text;
  if (!is_decimal_text(digits)) return std::nullopt;
  double d = 0;
  const auto r = std::from_chars(digits.data(), digits.data() + digits.size(), d);
  if (r.ec != std::errc()) return std::nullopt;
  return Number::decimal(d);
}

std::optional<bool> to_boolean(const Value& v) {
  if (const bool* b = v.if_bool()) return *b;
  if (const json::string* s = v.if_string()) {
    if (equal_ignoring_case(*s, "true")) return true;
    if (equal_ignoring_case(*s, "false")) return false;
  }
  return std::nullopt;
}

std::optional<std::string> to_text(const Value& v) {
  if (v.is_undefined() || v.get().is_null()) return std::nullopt;
  if (const json::string* s = v.get().if_string()) return std::string(*s);
  return json::serialize(v.get());
}

Value from_number(Number n) {
  return n.is_int ? Value(json::value(n.i)) : from_double(n.d);
}

Value from_double(double d) {
  if (!std::isfinite(d)) return {};
  return Value(json::value(d));
}

Value from_whole(double d) {
  if (is_whole(d)) return Value(json::value(static_cast<int64_t>(d)));
  return from_double(d);
}

bool equal(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_int64() && b.is_int64()) return a.get_int64() == b.get_int64();
    if (a.is_uint64() && b.is_uint64()) return a.get_uint64() == b.get_uint64();
    return a.to_number<double>() == b.to_number<double>();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case boost::json::kind::null:
      return true;
    case boost::json::kind::bool_:
      return a.get_bool() == b.get_bool();
    case boost::json::kind::string:
      return a.get_string() == b.get_string();
    case boost::json::kind::array:
      return equal_arrays(a.get_array(), b.get_array());
    case boost::json::kind::object:
      return equal_objects(a.get_object(), b.get_object());
    default:
      return false;
  }
}

size_t weight(const json::value& v) {
  size_t total = sizeof(json::value);
  if (const json::string* s = v.if_string()) {
    total += s->size();
  } else if (const json::array* a = v.if_array()) {
    for (const json::value& element : *a) total += weight(element);
  } else if (const json::object* o = v.if_object()) {
    for (const auto& member : *o) total += member.key().size() + weight(member.value());
  }
  return total;
}

}  // namespace fleetward::rules
