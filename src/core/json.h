#pragma once

#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "core/result.h"

// JSON documents of the control plane and of rules. Boost.JSON keeps the order of members. (Device reports,
// the hot path, are parsed by simdjson in detect/.)
namespace fleetward::json {

using boost::json::array;
using boost::json::object;
using boost::json::string;
using boost::json::value;

struct Limits {
  size_t bytes_max = 1 << 20;
  size_t depth_max = 32;
};

// Exactly one JSON value, nothing after it but white space. kMalformed with the byte offset and the reason;
// kLimitExceeded over the bounds. A repeated member name: the last one stands (as Boost.JSON does).
Result<value> parse(std::string_view text, const Limits& limits = {});

// Compact, members in order; doubles in the shortest form that reads back equal ("0.1", "1.5", "1e+30"); a
// double that is a whole number below 2^53 prints without a fraction. NaN and infinities print as null.
std::string serialize(const value& v);
void serialize_to(const value& v, std::string& out);
// Appends `text` as a quoted JSON string.
void quote_to(std::string_view text, std::string& out);

// Typed look-ups that answer nullptr when the member is absent or of another type.
const value* find(const object& o, std::string_view name);
std::string_view string_or(const object& o, std::string_view name, std::string_view fallback = {});
int64_t int_or(const object& o, std::string_view name, int64_t fallback);
bool bool_or(const object& o, std::string_view name, bool fallback);
const object* find_object(const object& o, std::string_view name);
const array* find_array(const object& o, std::string_view name);

}  // namespace fleetward::json
