#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/node.h"
#include "rules/value.h"

namespace re2 {
class RE2;
}

namespace fleetward::rules {

using Arguments = std::span<Value>;

// A function of the AWS IoT SQL reference. Bad arguments give Undefined: a call never fails.
struct Function {
  std::string_view name;  // lower case
  uint8_t args_min = 0;
  uint8_t args_max = 0;
  bool since_2016 = false;
  Value (*call)(Scope& scope, Arguments arguments) = nullptr;
  // Instead of `call`: the second argument is a regular expression, compiled when the rule is if it is a
  // literal.
  Value (*call_with_regex)(Scope& scope, Arguments arguments, const re2::RE2& regex) = nullptr;
};

inline constexpr uint8_t kAnyCount = 255;

// By name, in any case; nullptr if there is none.
const Function* find_function(std::string_view name);
// A function that AWS documents and this release refuses; its reason, or empty.
std::string_view missing_function(std::string_view lower_case_name);

// The parts of the table, by file.
std::span<const Function> message_functions();
std::span<const Function> math_functions();
std::span<const Function> string_functions();
std::span<const Function> data_functions();
std::span<const Function> time_functions();

// --- helpers of the functions

// Text of the argument, or nullopt.
inline std::optional<std::string> text_argument(const Value& v) {
  return to_text(v);
}
std::optional<double> double_argument(const Value& v);
// Truncated toward zero; nullopt if not a number or out of 64 bits.
std::optional<int64_t> truncated_argument(const Value& v);
// Rounded down.
std::optional<int64_t> floored_argument(const Value& v);

// UTF-8 by character.
size_t character_count(std::string_view text);
// The byte offset of character `index`, or text.size().
size_t byte_offset(std::string_view text, size_t index);

// Compiles within kRegexBytesMax and kRegexMemoryMax; null and `error` filled if it cannot.
std::unique_ptr<re2::RE2> compile_regex(std::string_view pattern, std::string* error);

}  // namespace fleetward::rules
