#include "app/config_key_list.h"

#include <charconv>
#include <limits>

namespace fleetward::app {
namespace {

struct Unit {
  std::string_view suffix;
  int64_t factor;
};
constexpr Unit kTimeUnits[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kSizeUnits[] = {{"B", 1}, {"KiB", kKiB}, {"MiB", kMiB}, {"GiB", kGiB}};

template <size_t N>
std::optional<int64_t> parse_quantity(std::string_view text, const Unit (&units)[N]) {
  int64_t number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end.ec != std::errc() || number < 0) return std::nullopt;
  const std::string_view suffix = text.substr(static_cast<size_t>(end.ptr - text.data()));
  for (const Unit& unit : units) {
    if (unit.suffix != suffix) continue;
    if (number > std::numeric_limits<int64_t>::max() / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

template <size_t N>
std::string print_quantity(int64_t value, const Unit (&units)[N]) {
  const Unit* best = &units[0];
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) best = &unit;
  }
  return std::to_string(value / best->factor) + std::string(best->suffix);
}

}  // namespace

std::optional<int64_t> parse_duration(std::string_view text) {
  return parse_quantity(text, kTimeUnits);
}
std::optional<int64_t> parse_size(std::string_view text) {
  return parse_quantity(text, kSizeUnits);
}
std::string print_duration(Duration value) {
  return print_quantity(value.count(), kTimeUnits);
}
std::string print_size(int64_t bytes) {
  return print_quantity(bytes, kSizeUnits);
}
std::string print_texts(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out += (out.size() == 1 ? "\"" : ", \"") + text + '"';
  return out + "]";
}

}  // namespace fleetward::app
