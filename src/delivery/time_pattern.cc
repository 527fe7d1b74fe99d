#include "delivery/time_pattern.h"

#include <array>
#include <cstdlib>

namespace fleetward::delivery {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                      "May",       "June",     "July",     "August",
                                                      "September", "October",  "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 4> kQuarters = {"1st quarter", "2nd quarter", "3rd quarter",
                                                       "4th quarter"};

// The most letters of each kind that make sense in one run; 0: the letter is refused.
int count_max(char letter) {
  switch (letter) {
    case 'G':
    case 'M':
    case 'L':
    case 'Q':
    case 'q':
    case 'E':
    case 'X':
    case 'x':
    case 'Z':
      return 5;
    case 'z':
    case 'O':
      return 4;
    case 'u':
    case 'y':
    case 'S':
    case 'n':
    case 'N':
    case 'A':
      return 9;
    case 'd':
    case 'H':
    case 'h':
    case 'K':
    case 'k':
    case 'm':
    case 's':
    case 'V':
      return 2;
    case 'D':
      return 3;
    case 'a':
      return 1;
    default:
      return 0;
  }
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string padded(int64_t n, int width) {
  std::string digits = std::to_string(std::llabs(n));
  if (digits.size() < static_cast<size_t>(width)) {
    digits.insert(0, static_cast<size_t>(width) - digits.size(), '0');
  }
  return n < 0 ? "-" + digits : digits;
}

// Texts of 1..5 letters: number, number, short, full, narrow.
std::string month_text(const LocalTime& t, int count) {
  const std::string_view name = kMonths[static_cast<size_t>(t.month - 1)];
  if (count <= 2) return padded(t.month, count);
  return std::string(name.substr(0, count == 3 ? 3 : count == 5 ? 1 : name.size()));
}

std::string quarter_text(const LocalTime& t, int count) {
  const int quarter = (t.month - 1) / 3 + 1;
  if (count <= 2) return padded(quarter, count);
  if (count == 3) return "Q" + std::to_string(quarter);
  if (count == 5) return std::to_string(quarter);
  return std::string(kQuarters[static_cast<size_t>(quarter - 1)]);
}

std::string year_text(int year, int count) {
  return count == 2 ? padded(year % 100, 2) : padded(year, count);
}

std::string fraction(int ms, int count) {
  return padded(int64_t{ms} * 1'000'000, 9).substr(0, static_cast<size_t>(count));
}

enum class OffsetForm { kHoursMinutesIfAny, kHoursMinutes, kColon };

std::string offset_text(int minutes, OffsetForm form) {
  const int absolute = std::abs(minutes);
  std::string out(1, minutes < 0 ? '-' : '+');
  out += padded(absolute / 60, 2);
  if (form == OffsetForm::kHoursMinutesIfAny && absolute % 60 == 0) return out;
  if (form == OffsetForm::kColon) out += ':';
  return out + padded(absolute % 60, 2);
}

// "GMT", "GMT+8", "GMT+5:30"; long: "GMT+08:00".
std::string localized_offset(int minutes, bool full) {
  if (minutes == 0) return "GMT";
  if (full) return "GMT" + offset_text(minutes, OffsetForm::kColon);
  const int absolute = std::abs(minutes);
  std::string out = minutes < 0 ? "GMT-" : "GMT+";
  out += std::to_string(absolute / 60);
  if (absolute % 60 != 0) out += ":" + padded(absolute % 60, 2);
  return out;
}

std::string zone_text(char letter, int count, const LocalTime& t) {
  constexpr std::array kForms = {OffsetForm::kHoursMinutesIfAny, OffsetForm::kHoursMinutes,
                                 OffsetForm::kColon, OffsetForm::kHoursMinutes, OffsetForm::kColon};
  const OffsetForm form = kForms[static_cast<size_t>(count - 1)];
  switch (letter) {
    case 'X':
      return t.offset_minutes == 0 ? "Z" : offset_text(t.offset_minutes, form);
    case 'x':
      return offset_text(t.offset_minutes, form);
    case 'O':
      return localized_offset(t.offset_minutes, count == 4);
    case 'Z':
      if (count == 4) return localized_offset(t.offset_minutes, true);
      if (count == 5) return t.offset_minutes == 0 ? "Z" : offset_text(t.offset_minutes, OffsetForm::kColon);
      return offset_text(t.offset_minutes, OffsetForm::kHoursMinutes);
    case 'V':
      return t.zone_id;
    default:
      return t.zone_name;
  }
}

std::string clock_text(char letter, int count, const LocalTime& t) {
  const int64_t ms_of_day = ((int64_t{t.hour} * 60 + t.minute) * 60 + t.second) * 1000 + t.ms;
  switch (letter) {
    case 'a':
      return t.hour < 12 ? "AM" : "PM";
    case 'H':
      return padded(t.hour, count);
    case 'k':
      return padded(t.hour == 0 ? 24 : t.hour, count);
    case 'K':
      return padded(t.hour % 12, count);
    case 'h':
      return padded(t.hour % 12 == 0 ? 12 : t.hour % 12, count);
    case 'm':
      return padded(t.minute, count);
    case 's':
      return padded(t.second, count);
    case 'S':
      return fraction(t.ms, count);
    case 'A':
      return padded(ms_of_day, count);
    case 'n':
      return padded(int64_t{t.ms} * 1'000'000, count);
    default:
      return padded(ms_of_day * 1'000'000, count);
  }
}

std::string letter_text(char letter, int count, const LocalTime& t) {
  switch (letter) {
    case 'G':
      return count == 4 ? "Anno Domini" : count == 5 ? "A" : "AD";
    case 'u':
    case 'y':
      return year_text(t.year, count);
    case 'M':
    case 'L':
      return month_text(t, count);
    case 'Q':
    case 'q':
      return quarter_text(t, count);
    case 'd':
      return padded(t.day, count);
    case 'D':
      return padded(t.day_of_year, count);
    case 'E': {
      const std::string_view name = kDays[static_cast<size_t>(t.weekday)];
      return std::string(name.substr(0, count == 4 ? name.size() : count == 5 ? 1 : 3));
    }
    case 'X':
    case 'x':
    case 'Z':
    case 'O':
    case 'V':
    case 'z':
      return zone_text(letter, count, t);
    default:
      return clock_text(letter, count, t);
  }
}

// Quoted text from the quote at `begin`; answers the place after it, npos if it does not end. Two quotes
// stand for one, within quoted text and on their own.
size_t quoted_text(std::string_view pattern, size_t begin, std::string& out) {
  for (size_t i = begin + 1; i < pattern.size(); ++i) {
    if (pattern[i] != '\'') {
      out += pattern[i];
    } else if (i + 1 < pattern.size() && pattern[i + 1] == '\'') {
      out += pattern[i++];
    } else {
      if (i == begin + 1) out = "'";
      return i + 1;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Result<TimePattern> TimePattern::parse(std::string_view pattern) {
  TimePattern out;
  const auto text = [&](std::string_view piece) {
    if (out.pieces_.empty() || out.pieces_.back().letter != 0) out.pieces_.emplace_back();
    out.pieces_.back().text += piece;
  };
  for (size_t i = 0; i < pattern.size();) {
    const char c = pattern[i];
    if (is_letter(c)) {
      size_t end = i;
      while (end < pattern.size() && pattern[end] == c) ++end;
      const int count = static_cast<int>(end - i);
      const int max = count_max(c);
      if (max == 0) {
        return fail(ErrorCode::kInvalidArgument, "the pattern letter '" + std::string(1, c) +
                                                     "' is not supported in a timestamp expression");
      }
      if (count > max || (c == 'V' && count != 2) || (c == 'O' && count != 1 && count != 4)) {
        return fail(ErrorCode::kInvalidArgument,
                    "wrong number of pattern letters '" + std::string(1, c) + "' in a timestamp expression");
      }
      out.pieces_.push_back({c, count, {}});
      i = end;
    } else if (c == '\'') {
      std::string quoted;
      const size_t end = quoted_text(pattern, i, quoted);
      if (end == std::string_view::npos) {
        return fail(ErrorCode::kInvalidArgument, "a quote is not closed in a timestamp expression");
      }
      text(quoted);
      i = end;
    } else if (c == '[' || c == ']' || c == '{' || c == '}' || c == '#') {
      return fail(ErrorCode::kInvalidArgument,
                  "the character '" + std::string(1, c) + "' is reserved in a timestamp expression");
    } else {
      text(pattern.substr(i, 1));
      ++i;
    }
  }
  return out;
}

std::string TimePattern::format(const LocalTime& time) const {
  std::string out;
  for (const Piece& piece : pieces_) {
    out += piece.letter == 0 ? piece.text : letter_text(piece.letter, piece.count, time);
  }
  return out;
}

}  // namespace fleetward::delivery
