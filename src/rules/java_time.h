#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fleetward::rules {

// The date patterns of parse_time() and time_to_epoch(): the letters that Joda-Time and Java's
// DateTimeFormatter share in meaning, in English. G y u Y M d D E a H h K k m s S z Z X, quoted text, and
// anything that is no letter.
class TimePattern {
 public:
  // kUnimplemented for another letter, naming it; kLimitExceeded over 128 characters; kMalformed for an open
  // quote.
  static Result<TimePattern> parse(std::string_view pattern);

  // `offset_minutes` of the zone the text shows. nullopt outside the years 0..9999.
  std::optional<std::string> format(int64_t epoch_ms, int32_t offset_minutes) const;
  // nullopt if the text does not fit or is no date. Without a zone in the text: UTC.
  std::optional<int64_t> read(std::string_view text) const;

 private:
  struct Part {
    char letter = 0;  // 0: literal text
    size_t count = 0;
    std::string literal;
  };
  std::vector<Part> parts_;
};

// "UTC", "GMT", "Z", "+hh:mm", "-hhmm", "UTC+h"; nullopt for named zones and nonsense.
std::optional<int32_t> parse_zone_offset(std::string_view zone);

}  // namespace fleetward::rules
