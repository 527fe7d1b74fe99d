#include "detect/value.h"

#include <cmath>

#include "detect/address_bytes.h"
#include "detect/bytes.h"

namespace fleetward::detect {

std::string_view to_string(ValueKind kind) {
  switch (kind) {
    case ValueKind::kCount:
      return "count";
    case ValueKind::kCidrs:
      return "cidrs";
    case ValueKind::kPorts:
      return "ports";
    case ValueKind::kNumber:
      return "number";
    case ValueKind::kNumbers:
      return "numbers";
    case ValueKind::kStrings:
      return "strings";
  }
  return "";
}

Value Value::of_count(uint64_t count) {
  Value value;
  value.count = count;
  return value;
}

Value Value::copy(const ValueView& view) {
  Value value;
  value.kind = view.kind;
  value.count = view.count;
  value.number = view.number;
  value.addresses.assign(view.addresses.begin(), view.addresses.end());
  value.ports.assign(view.ports.begin(), view.ports.end());
  value.numbers.assign(view.numbers.begin(), view.numbers.end());
  value.strings.assign(view.strings.begin(), view.strings.end());
  return value;
}

json::object to_json(const Value& value) {
  json::value inner;
  switch (value.kind) {
    case ValueKind::kCount:
      inner = value.count;
      break;
    case ValueKind::kNumber:
      inner = value.number;
      break;
    case ValueKind::kCidrs: {
      json::array list;
      for (const IpAddress& address : value.addresses) list.emplace_back(address.text());
      inner = std::move(list);
      break;
    }
    case ValueKind::kPorts:
      inner = json::array(value.ports.begin(), value.ports.end());
      break;
    case ValueKind::kNumbers:
      inner = json::array(value.numbers.begin(), value.numbers.end());
      break;
    case ValueKind::kStrings: {
      json::array list;
      for (const std::string& text : value.strings) list.emplace_back(text);
      inner = std::move(list);
      break;
    }
  }
  json::object out;
  out[to_string(value.kind)] = std::move(inner);
  return out;
}

void encode_value(const ValueView& value, std::string& out) {
  out.push_back(static_cast<char>(value.kind));
  switch (value.kind) {
    case ValueKind::kCount:
      bytes::put_varint(out, value.count);
      break;
    case ValueKind::kNumber:
      bytes::put_double(out, value.number);
      break;
    case ValueKind::kCidrs:
      bytes::put_addresses(out, value.addresses);
      break;
    case ValueKind::kPorts:
      bytes::put_varint(out, value.ports.size());
      static_assert(std::endian::native == std::endian::little);
      out.append(reinterpret_cast<const char*>(value.ports.data()), value.ports.size() * 2);
      break;
    case ValueKind::kNumbers:
      bytes::put_varint(out, value.numbers.size());
      for (const double number : value.numbers) bytes::put_double(out, number);
      break;
    case ValueKind::kStrings:
      bytes::put_varint(out, value.strings.size());
      for (const std::string_view text : value.strings) bytes::put_string(out, text);
      break;
  }
}

Result<Value> decode_value(std::string_view& bytes) {
  bytes::Reader reader{bytes};
  Value value;
  const uint8_t kind = reader.u8();
  if (kind > static_cast<uint8_t>(ValueKind::kStrings))
    return fail(ErrorCode::kCorrupt, "unknown value kind");
  value.kind = static_cast<ValueKind>(kind);
  switch (value.kind) {
    case ValueKind::kCount:
      value.count = reader.varint();
      break;
    case ValueKind::kNumber:
      value.number = reader.f64();
      break;
    case ValueKind::kCidrs:
      bytes::read_addresses(reader, value.addresses);
      break;
    case ValueKind::kPorts:
      value.ports.resize(reader.count(2));
      for (uint16_t& port : value.ports) {
        const std::string_view raw = reader.take(2);
        if (reader.ok) std::memcpy(&port, raw.data(), 2);
      }
      break;
    case ValueKind::kNumbers:
      value.numbers.resize(reader.count(8));
      for (double& number : value.numbers) number = reader.f64();
      break;
    case ValueKind::kStrings:
      value.strings.resize(reader.count(1));
      for (std::string& text : value.strings) text = reader.string();
      break;
  }
  if (!reader.ok) return fail(ErrorCode::kCorrupt, "a value is cut short");
  bytes = reader.rest;
  return value;
}

std::string_view take_encoded_value(std::string_view& bytes) {
  bytes::Reader reader{bytes};
  const uint8_t kind = reader.u8();
  switch (static_cast<ValueKind>(kind)) {
    case ValueKind::kCount:
      reader.varint();
      break;
    case ValueKind::kNumber:
      reader.take(8);
      break;
    case ValueKind::kCidrs: {
      size_t each = 0;
      bytes::take_addresses(reader, each);
      break;
    }
    case ValueKind::kPorts:
      reader.take(reader.count(2) * 2);
      break;
    case ValueKind::kNumbers:
      reader.take(reader.count(8) * 8);
      break;
    case ValueKind::kStrings:
      for (size_t left = reader.count(1); reader.ok && left > 0; --left) reader.string();
      break;
    default:
      reader.ok = false;
  }
  if (!reader.ok) return {};
  const std::string_view taken = bytes.substr(0, bytes.size() - reader.rest.size());
  bytes = reader.rest;
  return taken;
}

}  // namespace fleetward::detect
