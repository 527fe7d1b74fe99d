// Dates: parse_time() prints, time_to_epoch() reads.
#include "delivery/time_pattern.h"
#include "rules/function.h"
#include "rules/java_time.h"

namespace fleetward::rules {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kYear1Ms = -62135596800000, kYear10000Ms = 253402300800000;

// The instant as the clocks of the zone show it; nullopt for an unknown zone.
std::optional<delivery::LocalTime> local_time(int64_t ms, std::string_view zone) {
  if (const auto offset = parse_zone_offset(zone)) {
    delivery::LocalTime out = delivery::Zone().at(Timestamp{ms + int64_t{*offset} * 60'000});
    out.offset_minutes = *offset;
    if (*offset != 0) out.zone_id = out.zone_name = zone;
    return out;
  }
  const auto known = delivery::Zone::find(zone);
  if (!known) return std::nullopt;
  return known->at(Timestamp{ms});
}

Value parse_time(Scope& scope, Arguments a) {
  const json::string* joda = a[0].if_string();
  const auto ms = truncated_argument(a[1]);
  const json::string* zone = a.size() > 2 ? a[2].if_string() : nullptr;
  if (joda == nullptr || !ms || (a.size() > 2 && zone == nullptr)) return {};
  if (*ms < kYear1Ms + kDayMs || *ms >= kYear10000Ms - kDayMs) return {};
  const auto local = local_time(*ms, zone == nullptr ? std::string_view("UTC") : std::string_view(*zone));
  if (!local) return {};
  const auto pattern =
      from_joda(*joda).and_then([](const std::string& p) { return delivery::TimePattern::parse(p); });
  return pattern ? new_text(scope, pattern->format(*local)) : Value();
}

Value time_to_epoch(Scope&, Arguments a) {
  const auto text = text_argument(a[0]);
  const json::string* pattern = a[1].if_string();
  if (!text || pattern == nullptr) return {};
  const auto compiled = TimeReader::parse(*pattern);
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
