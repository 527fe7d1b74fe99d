#include <exception>

#include <date/tz.h>

#include "delivery/time_pattern.h"

namespace fleetward::delivery {

Result<Zone> Zone::find(std::string_view iana_name) {
  Zone out;
  if (iana_name.empty() || iana_name == "UTC") return out;
  try {
    out.zone_ = date::locate_zone(std::string(iana_name));
  } catch (const std::exception&) {
    return fail(ErrorCode::kInvalidArgument, "unknown time zone '" + std::string(iana_name) + "'");
  }
  out.name_ = iana_name;
  return out;
}

LocalTime Zone::at(Timestamp time) const {
  const date::sys_time<std::chrono::milliseconds> instant{std::chrono::milliseconds(time.ms)};
  LocalTime out;
  out.zone_id = out.zone_name = name_;
  std::chrono::seconds offset{0};
  if (zone_ != nullptr) {
    const auto info = static_cast<const date::time_zone*>(zone_)->get_info(instant);
    offset = info.offset;
    out.zone_name = info.abbrev;
  }
  const auto local = instant + offset;
  const auto days = date::floor<date::days>(local);
  const date::year_month_day ymd{days};
  out.year = static_cast<int>(ymd.year());
  out.month = static_cast<int>(static_cast<unsigned>(ymd.month()));
  out.day = static_cast<int>(static_cast<unsigned>(ymd.day()));
  out.day_of_year = static_cast<int>((days - date::sys_days{ymd.year() / 1 / 1}).count()) + 1;
  out.weekday = static_cast<int>(date::weekday{days}.c_encoding());
  const auto ms_of_day = static_cast<int>((local - days).count());
  out.ms = ms_of_day % 1000;
  out.second = ms_of_day / 1000 % 60;
  out.minute = ms_of_day / 60'000 % 60;
  out.hour = ms_of_day / 3'600'000;
  out.offset_minutes = static_cast<int>(offset.count() / 60);
  return out;
}

}  // namespace fleetward::delivery
