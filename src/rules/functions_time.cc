// Dates: parse_time() prints, time_to_epoch() reads.
#include "rules/function.h"
#include "rules/java_time.h"

namespace fleetward::rules {
namespace {

Value parse_time(Scope& scope, Arguments a) {
  const json::string* pattern = a[0].if_string();
  const auto ms = truncated_argument(a[1]);
  if (pattern == nullptr || !ms) return {};
  std::optional<int32_t> offset = 0;
  if (a.size() > 2) {
    const json::string* zone = a[2].if_string();
    offset = zone == nullptr ? std::nullopt : parse_zone_offset(*zone);
  }
  const auto compiled = TimePattern::parse(*pattern);
  if (!compiled || !offset) return {};
  const auto text = compiled->format(*ms, *offset);
  return text ? new_text(scope, *text) : Value();
}

Value time_to_epoch(Scope&, Arguments a) {
  const auto text = text_argument(a[0]);
  const json::string* pattern = a[1].if_string();
  if (!text || pattern == nullptr) return {};
  const auto compiled = TimePattern::parse(*pattern);
  if (!compiled) return {};
  const auto ms = compiled->read(*text);
  return ms ? Value(json::value(*ms)) : Value();
}

constexpr Function kFunctions[] = {
    {"parse_time", 2, 3, true, parse_time, nullptr},
    {"time_to_epoch", 2, 2, true, time_to_epoch, nullptr},
};

}  // namespace

std::span<const Function> time_functions() {
  return kFunctions;
}

}  // namespace fleetward::rules
