#pragma once

#include <atomic>
#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace fleetward {

using Duration = std::chrono::milliseconds;

// A wall-clock instant, milliseconds since the Unix epoch (UTC). A value type; 0 means "never".
struct Timestamp {
  int64_t ms = 0;

  auto operator<=>(const Timestamp&) const = default;
  Timestamp operator+(Duration d) const { return {ms + d.count()}; }
  Timestamp operator-(Duration d) const { return {ms - d.count()}; }
  Duration operator-(Timestamp other) const { return Duration{ms - other.ms}; }
  // Seconds since the epoch with fraction, as AWS JSON protocols print times.
  double seconds() const { return static_cast<double>(ms) / 1000.0; }
};

// "2026-11-24T07:00:00.000Z"
std::string to_iso8601(Timestamp t);
// "20261124T070000Z", the form SigV4 uses.
std::string to_iso8601_basic(Timestamp t);
// "Tue, 24 Nov 2026 07:00:00 GMT", the HTTP date form.
std::string to_http_date(Timestamp t);

// Where time comes from. Only the rim of the program holds one; pure code is handed Timestamps. Thread safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() const = 0;
};

class SystemClock final : public Clock {
 public:
  Timestamp now() const override;
};

// For tests: stands still until told to move.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp start = {1767225600000}) : ms_(start.ms) {}
  Timestamp now() const override { return {ms_.load()}; }
  void advance(Duration d) { ms_ += d.count(); }
  void set(Timestamp t) { ms_ = t.ms; }

 private:
  std::atomic<int64_t> ms_;
};

}  // namespace fleetward
