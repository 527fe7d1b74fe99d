#include "rules/java_time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace fleetward::rules {
namespace {

constexpr size_t kPatternBytesMax = 128;
constexpr std::string_view kLetters = "GyuYMdDEaHhKkmsSzZX";
constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                      "May",       "June",     "July",     "August",
                                                      "September", "October",  "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void pad(std::string& out, int64_t value, size_t width) {
  const std::string digits = std::to_string(value);
  if (digits.size() < width) out.append(width - digits.size(), '0');
  out += digits;
}

struct Civil {
  int year = 0;
  unsigned month = 1, day = 1, weekday = 0;
  int day_of_year = 1;
  int hour = 0, minute = 0, second = 0, millisecond = 0;
};

Civil civil_of(int64_t local_ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> at{milliseconds(local_ms)};
  const auto midnight = floor<days>(at);
  const year_month_day date(midnight);
  const hh_mm_ss time(at - midnight);
  Civil out;
  out.year = static_cast<int>(date.year());
  out.month = static_cast<unsigned>(date.month());
  out.day = static_cast<unsigned>(date.day());
  out.weekday = weekday(midnight).c_encoding();
  out.day_of_year = static_cast<int>((midnight - sys_days(date.year() / January / 1)).count()) + 1;
  out.hour = static_cast<int>(time.hours().count());
  out.minute = static_cast<int>(time.minutes().count());
  out.second = static_cast<int>(time.seconds().count());
  out.millisecond = static_cast<int>(time.subseconds().count());
  return out;
}

void offset_to(std::string& out, char letter, size_t count, int32_t minutes) {
  if (letter == 'X' && minutes == 0) {
    out += 'Z';
    return;
  }
  if (letter == 'z' && minutes == 0) {
    out += "UTC";
    return;
  }
  const bool colon = letter == 'z' || count >= (letter == 'Z' ? 2U : 3U);
  const int32_t positive = std::abs(minutes);
  out += minutes < 0 ? '-' : '+';
  pad(out, positive / 60, 2);
  if (letter == 'X' && count == 1 && positive % 60 == 0) return;
  if (colon) out += ':';
  pad(out, positive % 60, 2);
}

int twelve_hour(int hour) {
  return hour % 12 == 0 ? 12 : hour % 12;
}

// --- reading

struct Reader {
  std::string_view rest;

  std::optional<int64_t> number(size_t digits_min, size_t digits_max) {
    size_t n = 0;
    while (n < rest.size() && n < digits_max && rest[n] >= '0' && rest[n] <= '9') ++n;
    if (n < digits_min) return std::nullopt;
    int64_t value = 0;
    std::from_chars(rest.data(), rest.data() + n, value);
    rest.remove_prefix(n);
    return value;
  }
  bool literal(std::string_view text) {
    if (!rest.starts_with(text)) return false;
    rest.remove_prefix(text.size());
    return true;
  }
  // The index of the name at the front; full names or their first three letters.
  template <size_t N>
  std::optional<size_t> name(const std::array<std::string_view, N>& names, bool full) {
    for (size_t i = 0; i < N; ++i) {
      if (literal(full ? names[i] : names[i].substr(0, 3))) return i;
    }
    return std::nullopt;
  }
  std::optional<int32_t> offset() {
    if (literal("UTC") || literal("GMT") || literal("Z")) return 0;
    const bool minus = rest.starts_with('-');
    if (!literal("+") && !literal("-")) return std::nullopt;
    const auto hours = number(2, 2);
    if (!hours) return std::nullopt;
    literal(":");
    const auto minutes = number(2, 2);
    const int64_t total = *hours * 60 + minutes.value_or(0);
    return static_cast<int32_t>(minus ? -total : total);
  }
};

struct Fields {
  int64_t year = 1970, month = 1, day = 1, day_of_year = 0;
  int64_t hour = 0, minute = 0, second = 0, millisecond = 0;
  std::optional<bool> afternoon;
  bool half_day = false;
  int32_t offset = 0;
};

bool read_fraction(Reader& in, size_t count, Fields& out) {
  const size_t before = in.rest.size();
  const auto value = in.number(count, count);
  if (!value) return false;
  double ms = static_cast<double>(*value) * 1000.0;
  for (size_t digits = before - in.rest.size(); digits > 0; --digits) ms /= 10.0;
  out.millisecond = static_cast<int64_t>(ms);
  return true;
}

bool read_field(Reader& in, char letter, size_t count, Fields& out) {
  const auto take = [&](int64_t& field, size_t digits_max = 2) {
    const auto value = in.number(std::min(count, digits_max), std::max(count, digits_max));
    if (value) field = *value;
    return value.has_value();
  };
  switch (letter) {
    case 'y':
    case 'u':
    case 'Y':
      if (count != 2) return take(out.year, 4);
      if (!take(out.year)) return false;
      out.year += 2000;
      return true;
    case 'M': {
      if (count <= 2) return take(out.month);
      const auto month = in.name(kMonths, count > 3);
      if (month) out.month = static_cast<int64_t>(*month) + 1;
      return month.has_value();
    }
    case 'd':
      return take(out.day);
    case 'D':
      return take(out.day_of_year, 3);
    case 'E':
      return in.name(kDays, count > 3).has_value();
    case 'a':
      out.afternoon = in.rest.starts_with('P') || in.rest.starts_with('p');
      return in.literal("AM") || in.literal("PM") || in.literal("am") || in.literal("pm");
    case 'H':
    case 'k':
      return take(out.hour);
    case 'h':
    case 'K':
      out.half_day = true;
      return take(out.hour);
    case 'm':
      return take(out.minute);
    case 's':
      return take(out.second);
    case 'S':
      return read_fraction(in, count, out);
    case 'G':
      return in.literal("AD");
    default: {
      const auto offset = in.offset();
      if (offset) out.offset = *offset;
      return offset.has_value();
    }
  }
}

std::optional<int64_t> epoch_of(Fields f) {
  using namespace std::chrono;
  if (f.hour == 24) f.hour = 0;  // 'k' counts from 1 to 24
  if (f.half_day) f.hour = f.hour % 12 + (f.afternoon.value_or(false) ? 12 : 0);
  if (f.hour > 23 || f.minute > 59 || f.second > 59 || f.year > 9999) return std::nullopt;
  const year_month_day date{year(static_cast<int>(f.year)), month(static_cast<unsigned>(f.month)),
                            day(static_cast<unsigned>(f.day))};
  if (!date.ok()) return std::nullopt;
  auto midnight = sys_days(date);
  if (f.day_of_year > 366) return std::nullopt;
  if (f.day_of_year > 0) midnight = sys_days(date.year() / January / 1) + days(f.day_of_year - 1);
  const auto at = midnight + hours(f.hour) + minutes(f.minute) + seconds(f.second) +
                  milliseconds(f.millisecond) - minutes(f.offset);
  return duration_cast<milliseconds>(at.time_since_epoch()).count();
}

}  // namespace

Result<TimePattern> TimePattern::parse(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return fail(ErrorCode::kLimitExceeded,
                "a time pattern has at most " + std::to_string(kPatternBytesMax) + " characters");
  }
  TimePattern out;
  const auto add_literal = [&](char c) {
    if (out.parts_.empty() || out.parts_.back().letter != 0) out.parts_.emplace_back();
    out.parts_.back().literal += c;
  };
  bool quoted = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\'') {
      if (pattern.substr(i, 2) == "''") {
        add_literal('\'');
        ++i;
      } else {
        quoted = !quoted;
      }
    } else if (quoted || !is_letter(c)) {
      add_literal(c);
    } else if (kLetters.find(c) == std::string_view::npos) {
      return fail(ErrorCode::kUnimplemented, std::string("the letter '") + c + "' in a time pattern");
    } else if (!out.parts_.empty() && out.parts_.back().letter == c && i > 0 && pattern[i - 1] == c) {
      ++out.parts_.back().count;
    } else {
      out.parts_.push_back({c, 1, {}});
    }
  }
  if (quoted) return fail(ErrorCode::kMalformed, "a quote in a time pattern has no end");
  return out;
}

std::optional<std::string> TimePattern::format(int64_t epoch_ms, int32_t offset_minutes) const {
  constexpr int64_t kYear0 = -62167219200000, kYear10000 = 253402300800000;
  if (epoch_ms < kYear0 + 86'400'000 || epoch_ms >= kYear10000 - 86'400'000) return std::nullopt;
  const Civil t = civil_of(epoch_ms + int64_t{offset_minutes} * 60'000);
  std::string out;
  for (const Part& part : parts_) {
    switch (part.letter) {
      case 0:
        out += part.literal;
        break;
      case 'G':
        out += "AD";
        break;
      case 'y':
      case 'u':
      case 'Y':
        pad(out, part.count == 2 ? t.year % 100 : t.year, part.count);
        break;
      case 'M':
        if (part.count <= 2) {
          pad(out, t.month, part.count);
        } else {
          out += part.count == 3 ? kMonths[t.month - 1].substr(0, 3) : kMonths[t.month - 1];
        }
        break;
      case 'd':
        pad(out, t.day, part.count);
        break;
      case 'D':
        pad(out, t.day_of_year, part.count);
        break;
      case 'E':
        out += part.count <= 3 ? kDays[t.weekday].substr(0, 3) : kDays[t.weekday];
        break;
      case 'a':
        out += t.hour < 12 ? "AM" : "PM";
        break;
      case 'H':
        pad(out, t.hour, part.count);
        break;
      case 'k':
        pad(out, t.hour == 0 ? 24 : t.hour, part.count);
        break;
      case 'h':
        pad(out, twelve_hour(t.hour), part.count);
        break;
      case 'K':
        pad(out, t.hour % 12, part.count);
        break;
      case 'm':
        pad(out, t.minute, part.count);
        break;
      case 's':
        pad(out, t.second, part.count);
        break;
      case 'S': {
        std::string digits;
        pad(digits, t.millisecond, 3);
        digits.resize(part.count, '0');
        out += digits;
        break;
      }
      default:
        offset_to(out, part.letter, part.count, offset_minutes);
    }
  }
  return out;
}

std::optional<int64_t> TimePattern::read(std::string_view text) const {
  Reader in{text};
  Fields fields;
  for (const Part& part : parts_) {
    const bool good =
        part.letter == 0 ? in.literal(part.literal) : read_field(in, part.letter, part.count, fields);
    if (!good) return std::nullopt;
  }
  if (!in.rest.empty()) return std::nullopt;
  return epoch_of(fields);
}

std::optional<int32_t> parse_zone_offset(std::string_view zone) {
  if (zone == "UTC" || zone == "GMT" || zone == "Z" || zone == "Etc/UTC") return 0;
  if (zone.starts_with("UTC") || zone.starts_with("GMT")) zone.remove_prefix(3);
  Reader in{zone};
  const bool minus = zone.starts_with('-');
  if (!in.literal("+") && !in.literal("-")) return std::nullopt;
  const auto hours = in.number(1, 2);
  if (!hours || *hours > 18) return std::nullopt;
  int64_t minutes = 0;
  if (!in.rest.empty()) {
    in.literal(":");
    const auto read = in.number(2, 2);
    if (!read || *read > 59 || !in.rest.empty()) return std::nullopt;
    minutes = *read;
  }
  const int64_t total = *hours * 60 + minutes;
  return static_cast<int32_t>(minus ? -total : total);
}

}  // namespace fleetward::rules
