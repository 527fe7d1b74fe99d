#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "detect/address.h"

namespace fleetward::detect {

// What kind of value a metric has; the names are the keys of AWS's MetricValue.
enum class ValueKind : uint8_t { kCount, kCidrs, kPorts, kNumber, kNumbers, kStrings };
// "count", "cidrs", "ports", "number", "numbers", "strings".
std::string_view to_string(ValueKind kind);

// A value that lives elsewhere (in a Report, in a decoded record). Which member counts is told by `kind`.
struct ValueView {
  ValueKind kind = ValueKind::kCount;
  uint64_t count = 0;
  double number = 0;
  std::span<const IpAddress> addresses;
  std::span<const uint16_t> ports;
  std::span<const double> numbers;
  std::span<const std::string_view> strings;
};

// A value that owns its parts.
struct Value {
  ValueKind kind = ValueKind::kCount;
  uint64_t count = 0;
  double number = 0;
  std::vector<IpAddress> addresses;
  std::vector<uint16_t> ports;
  std::vector<double> numbers;
  std::vector<std::string> strings;

  static Value of_count(uint64_t count);
  static Value copy(const ValueView& view);
};

// {"count": 3}, {"cidrs": ["192.0.2.1"]}, ...
json::object to_json(const Value& value);

// The compact binary form in the log: u8 kind, then
//   count:   varint
//   cidrs:   addresses (address_bytes.h)
//   ports:   varint n, n times u16 little-endian
//   number:  its eight bytes, little-endian
//   numbers: varint n, n times eight bytes
//   strings: varint n, n times (varint bytes, text)
// encode_value appends; decode_value takes it off the front of `bytes`, kCorrupt if it is not one.
void encode_value(const ValueView& value, std::string& out);
Result<Value> decode_value(std::string_view& bytes);
// Steps over one encoded value; empty (and `bytes` unchanged) if it is not one.
std::string_view take_encoded_value(std::string_view& bytes);

}  // namespace fleetward::detect
