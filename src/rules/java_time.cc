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

struct Cursor {
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

bool read_fraction(Cursor& in, size_t count, Fields& out) {
  const size_t before = in.rest.size();
  const auto value = in.number(count, count);
  if (!value) return false;
  double ms = static_cast<double>(*value) * 1000.0;
  for (size_t digits = before - in.rest.size(); digits > 0; --digits) ms /= 10.0;
  out.millisecond = static_cast<int64_t>(ms);
  return true;
}

bool read_field(Cursor& in, char letter, size_t count, Fields& out) {
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

Result<TimeReader> TimeReader::parse(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return fail(ErrorCode::kLimitExceeded,
                "a time pattern has at most " + std::to_string(kPatternBytesMax) + " characters");
  }
  TimeReader out;
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

std::optional<int64_t> TimeReader::read(std::string_view text) const {
  Cursor in{text};
  Fields fields;
  for (const Part& part : parts_) {
    const bool good =
        part.letter == 0 ? in.literal(part.literal) : read_field(in, part.letter, part.count, fields);
    if (!good) return std::nullopt;
  }
  if (!in.rest.empty()) return std::nullopt;
  return epoch_of(fields);
}

Result<std::string> from_joda(std::string_view pattern) {
  if (pattern.size() > kPatternBytesMax) {
    return fail(ErrorCode::kLimitExceeded,
                "a time pattern has at most " + std::to_string(kPatternBytesMax) + " characters");
  }
  std::string out;
  bool quoted = false;
  for (size_t i = 0; i < pattern.size();) {
    const char c = pattern[i];
    const size_t count = std::min(pattern.find_first_not_of(c, i), pattern.size()) - i;
    if (c == '\'' && count % 2 == 1) quoted = !quoted;
    if (quoted || !is_letter(c)) {
      out.append(count, c);
    } else if (c == 'Z') {
      out += count == 1 ? "xx" : count == 2 ? "xxx" : "VV";  // +0100, +01:00, Europe/Berlin
    } else if (c == 'Y') {
      out.append(count, 'y');
    } else if (std::string_view("GyMdDEaHhKkmsSz").find(c) != std::string_view::npos) {
      out.append(c == 'z' ? std::min<size_t>(count, 3) : count, c);
    } else {
      return fail(ErrorCode::kUnimplemented, std::string("the letter '") + c + "' in a time pattern");
    }
    i += count;
  }
  return out;
}

std::optional<int32_t> parse_zone_offset(std::string_view zone) {
  if (zone == "UTC" || zone == "GMT" || zone == "Z" || zone == "Etc/UTC") return 0;
  if (zone.starts_with("UTC") || zone.starts_with("GMT")) zone.remove_prefix(3);
  Cursor in{zone};
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
