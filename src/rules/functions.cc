#include <algorithm>
#include <cmath>
#include <unordered_map>

#include <re2/re2.h>

#include "core/text.h"
#include "rules/function.h"
#include "rules/limits.h"

namespace fleetward::rules {
namespace {

using Table = std::unordered_map<std::string_view, const Function*>;

const Table& table() {
  static const Table kTable = [] {
    Table out;
    for (const auto part :
         {message_functions(), math_functions(), string_functions(), data_functions(), time_functions()}) {
      for (const Function& function : part) out.emplace(function.name, &function);
    }
    return out;
  }();
  return kTable;
}

struct Missing {
  std::string_view name, reason;
};
constexpr Missing kMissing[] = {
    {"aws_lambda", "it calls AWS Lambda"},
    {"get_dynamodb", "it reads Amazon DynamoDB"},
    {"get_registry_data", "it reads the registry"},
    {"get_secret", "it reads AWS Secrets Manager"},
    {"get_thing_shadow", "it reads a device shadow"},
    {"machinelearning_predict", "it calls Amazon Machine Learning"},
    {"md2", "MD2 is in no maintained library"},
};

}  // namespace

const Function* find_function(std::string_view name) {
  const auto found = table().find(to_lower(name));
  return found == table().end() ? nullptr : found->second;
}

std::string_view missing_function(std::string_view lower_case_name) {
  for (const Missing& missing : kMissing) {
    if (missing.name == lower_case_name) return missing.reason;
  }
  return {};
}

std::optional<double> double_argument(const Value& v) {
  const auto n = to_decimal(v, true);
  if (!n) return std::nullopt;
  return n->d;
}

namespace {

std::optional<int64_t> whole(double d) {
  if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0)) return std::nullopt;
  return static_cast<int64_t>(d);
}

}  // namespace

std::optional<int64_t> truncated_argument(const Value& v) {
  const auto n = to_decimal(v, true);
  if (!n) return std::nullopt;
  return n->is_int ? std::optional(n->i) : whole(std::trunc(n->d));
}

std::optional<int64_t> floored_argument(const Value& v) {
  const auto n = to_decimal(v, true);
  if (!n) return std::nullopt;
  return n->is_int ? std::optional(n->i) : whole(std::floor(n->d));
}

size_t character_count(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(),
                                           [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

size_t byte_offset(std::string_view text, size_t index) {
  size_t at = 0;
  while (at < text.size() && index > 0) {
    ++at;
    while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) ++at;
    --index;
  }
  return at;
}

std::unique_ptr<re2::RE2> compile_regex(std::string_view pattern, std::string* error) {
  if (pattern.size() > kRegexBytesMax) {
    if (error != nullptr) *error = "longer than " + std::to_string(kRegexBytesMax) + " bytes";
    return nullptr;
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(static_cast<int64_t>(kRegexMemoryMax));
  auto regex = std::make_unique<re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
  if (regex->ok()) return regex;
  if (error != nullptr) *error = regex->error();
  return nullptr;
}

}  // namespace fleetward::rules
