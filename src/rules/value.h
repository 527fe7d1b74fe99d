#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/json.h"

// The values of the SQL language (AWS IoT SQL reference, "Data types"): JSON's, and Undefined.
namespace fleetward::rules {

enum class SqlVersion { k2015, k2016, kBeta };
// "2015-10-08", "2016-03-23", "beta".
std::string_view to_string(SqlVersion version);
std::optional<SqlVersion> parse_sql_version(std::string_view text);

// A value or Undefined. It either owns its JSON or borrows it from the message's payload or the plan's
// literals, which outlive the run: reading a field of a large payload copies nothing.
class Value {
 public:
  Value() = default;                                                           // Undefined
  Value(json::value owned) : owned_(std::move(owned)), kind_(Kind::kOwned) {}  // NOLINT: values convert
  static Value borrow(const json::value& v) {
    Value out;
    out.borrowed_ = &v;
    out.kind_ = Kind::kBorrowed;
    return out;
  }
  static Value string(std::string_view text) { return Value(json::value(json::string(text))); }

  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_borrowed() const { return kind_ == Kind::kBorrowed; }
  // Not for Undefined.
  const json::value& get() const { return kind_ == Kind::kOwned ? owned_ : *borrowed_; }
  json::value take() && { return kind_ == Kind::kOwned ? std::move(owned_) : *borrowed_; }

  bool is_null() const { return !is_undefined() && get().is_null(); }
  const json::array* if_array() const { return is_undefined() ? nullptr : get().if_array(); }
  const json::object* if_object() const { return is_undefined() ? nullptr : get().if_object(); }
  const json::string* if_string() const { return is_undefined() ? nullptr : get().if_string(); }
  const bool* if_bool() const { return is_undefined() ? nullptr : get().if_bool(); }

 private:
  enum class Kind : uint8_t { kUndefined, kOwned, kBorrowed };
  json::value owned_;
  const json::value* borrowed_ = nullptr;
  Kind kind_ = Kind::kUndefined;
};

// A number of the language. AWS computes with 34 decimal digits; this engine with 64-bit integers and IEEE
// doubles (docs/decisions/041): an Int operation that overflows continues as a Decimal.
struct Number {
  bool is_int = true;
  int64_t i = 0;
  double d = 0;

  static Number integer(int64_t v) { return {true, v, static_cast<double>(v)}; }
  static Number decimal(double v) { return {false, 0, v}; }
};

// nullopt for what is no number. `whole_is_int`: since 2016-03-23, 10.0 is an Int.
std::optional<Number> number_of(const json::value& v, bool whole_is_int);
// As number_of, and strings that match ^-?\d+(\.\d+)?((?i)E-?\d+)?$ count as Decimal.
std::optional<Number> to_decimal(const Value& v, bool whole_is_int);
// true/false, or a string that says so in any case.
std::optional<bool> to_boolean(const Value& v);
// Digits, true/false, the string itself, compact JSON of arrays and objects; nullopt for Null and Undefined.
std::optional<std::string> to_text(const Value& v);

// A Decimal that is not finite is Undefined.
Value from_number(Number n);
Value from_double(double d);
// An Int if it fits in 64 bits, else a Decimal.
Value from_whole(double d);

// `=` of two defined values: numbers numerically, arrays in order, objects in any order, different types
// false.
bool equal(const json::value& a, const json::value& b);

// About how many bytes a copy of `v` costs.
size_t weight(const json::value& v);

}  // namespace fleetward::rules
