#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

// The date patterns of parse_time() and time_to_epoch(). What prints is delivery/time_pattern.h.
namespace fleetward::rules {

// Reads a text by a pattern of Java's DateTimeFormatter, in English: G y u Y M d D E a H h K k m s S z Z X,
// quoted text, and anything that is no letter.
class TimeReader {
 public:
  // kUnimplemented for another letter, naming it; kLimitExceeded over 128 characters; kMalformed for an open
  // quote.
  static Result<TimeReader> parse(std::string_view pattern);

  // Milliseconds since the epoch; nullopt if the text does not fit or is no date. Without a zone in the text:
  // UTC.
  std::optional<int64_t> read(std::string_view text) const;

 private:
  struct Part {
    char letter = 0;  // 0: literal text
    size_t count = 0;
    std::string literal;
  };
  std::vector<Part> parts_;
};

// A pattern of Joda-Time as the pattern of DateTimeFormatter that prints the same. kUnimplemented for the
// fields that the printer does not have (weeks, centuries), naming the letter; kLimitExceeded over 128
// characters.
Result<std::string> from_joda(std::string_view pattern);

// "UTC", "GMT", "Z", "+hh:mm", "-hhmm", "UTC+h"; nullopt for named zones and nonsense.
std::optional<int32_t> parse_zone_offset(std::string_view zone);

}  // namespace fleetward::rules
