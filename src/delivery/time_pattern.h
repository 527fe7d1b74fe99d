#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/time.h"

namespace fleetward::delivery {

// An instant as the clocks of one time zone show it.
struct LocalTime {
  int year = 1970;
  int month = 1;        // 1..12
  int day = 1;          // 1..31
  int day_of_year = 1;  // 1..366
  int weekday = 0;      // 0 = Sunday
  int hour = 0, minute = 0, second = 0, ms = 0;
  int offset_minutes = 0;  // east of UTC
  std::string zone_id;     // "Asia/Kolkata"
  std::string zone_name;   // "IST"
};

// A zone of the system's time zone database (package tzdata). A value; any thread.
class Zone {
 public:
  Zone() = default;  // UTC
  // Empty or "UTC": UTC. kInvalidArgument if there is no such zone.
  static Result<Zone> find(std::string_view iana_name);
  LocalTime at(Timestamp time) const;

 private:
  std::string name_ = "UTC";
  const void* zone_ = nullptr;  // lives as long as the process; nullptr: UTC
};

// The pattern language of Java's DateTimeFormatter, which S3 prefixes of delivery streams use: G u y M L d D
// Q q E a H h K k m s S A n N z V O X x Z, quoted text, and other characters as they are. Texts are English.
// The week fields (Y w W e c F), B, p and optional sections are refused.
// Source: java.time.format.DateTimeFormatter.
class TimePattern {
 public:
  // kInvalidArgument with the letter that is wrong.
  static Result<TimePattern> parse(std::string_view pattern);
  std::string format(const LocalTime& time) const;

 private:
  struct Piece {
    char letter = 0;  // 0: text as it is
    int count = 0;
    std::string text;
  };
  std::vector<Piece> pieces_;
};

}  // namespace fleetward::delivery
