#include "core/time.h"

#include <cstdio>
#include <ctime>

namespace fleetward {
namespace {

std::tm utc(Timestamp t) {
  std::time_t seconds = t.ms / 1000;
  if (t.ms % 1000 < 0) --seconds;
  std::tm out{};
  gmtime_r(&seconds, &out);
  return out;
}

template <size_t N>
std::string format(Timestamp t, const char (&pattern)[N]) {
  const std::tm tm = utc(t);
  char buffer[64];
  return {buffer, std::strftime(buffer, sizeof buffer, pattern, &tm)};
}

}  // namespace

std::string to_iso8601(Timestamp t) {
  int millis = static_cast<int>(t.ms % 1000);
  if (millis < 0) millis += 1000;
  char tail[8];
  std::snprintf(tail, sizeof tail, ".%03dZ", millis);
  return format(t, "%Y-%m-%dT%H:%M:%S") + tail;
}

std::string to_iso8601_basic(Timestamp t) {
  return format(t, "%Y%m%dT%H%M%SZ");
}

std::string to_http_date(Timestamp t) {
  return format(t, "%a, %d %b %Y %H:%M:%S GMT");
}

Timestamp SystemClock::now() const {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count()};
}

}  // namespace fleetward
