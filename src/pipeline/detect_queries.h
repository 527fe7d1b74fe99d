#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "detect/value.h"
#include "log/log.h"

namespace fleetward::pipeline {

// What an operator said of a violation (PutVerificationStateOnViolation).
struct Verification {
  std::string state = "UNKNOWN";  // FALSE_POSITIVE, BENIGN_POSITIVE, TRUE_POSITIVE, UNKNOWN
  std::string description;
};

struct ViolationFilter {
  std::string thing, profile;            // empty: any
  std::string criteria;                  // STATIC, STATISTICAL, MACHINE_LEARNING; empty: any
  std::optional<bool> suppressed;        // of the behaviour
  std::string verification;              // empty: any
  Timestamp from{0}, to{INT64_MAX / 2};  // of events, both inclusive
};

// One answer of a listing. `next` continues after the last entry; empty if there is no more.
template <typename T>
struct QueryPage {
  std::vector<T> entries;
  std::string next;
};

struct MetricPoint {
  Timestamp time;
  detect::Value value;
};

// Reads what the detect stage wrote. Thread safe. A listing's `after` is the `next` of the page before (or
// empty); what is written between two pages neither repeats nor hides an entry that was there. For a rare
// filter it may read a lot, bounded by kScannedMax entries per call (then the page is short and continues).
class DetectQueries {
 public:
  DetectQueries(log::Log& log, uint32_t partitions) : log_(log), partitions_(partitions) {}

  // Documents of open violations, those that began last first: violationId, thingName, securityProfileName,
  // behavior, violationStartTime, lastViolationValue, lastViolationTime, verificationState[Description];
  // times in milliseconds.
  Result<QueryPage<json::object>> active(const ViolationFilter& filter, std::string_view after,
                                         size_t count_max) const;
  // Documents of events, newest first: as above with metricValue, violationEventType, violationEventTime.
  Result<QueryPage<json::object>> events(const ViolationFilter& filter, std::string_view after,
                                         size_t count_max) const;
  // Values of one series of a thing in [from, to], oldest first. kCorrupt if a chunk of its history is
  // damaged.
  Result<QueryPage<MetricPoint>> values(std::string_view thing, std::string_view series, Timestamp from,
                                        Timestamp to, std::string_view after, size_t count_max) const;
  // Whether detect keeps state of the thing.
  Result<bool> knows_thing(std::string_view thing) const;

  // kNotFound if there is no such violation, open or ended within its time of keeping.
  Status verify(std::string_view violation, const Verification& verification, Timestamp now);

  static constexpr size_t kScannedMax = 20'000;
  static constexpr size_t kChunkBytesMax = 64 << 20;  // decompressed for one page of values, or little more

 private:
  bool matches(const ViolationFilter& filter, const json::object& document) const;
  Result<Verification> verification_of(std::string_view violation) const;
  Result<bool> admit(const ViolationFilter& filter, json::object& document) const;
  Status add_last_value(uint32_t partition, json::object& document) const;
  // Newest first over all partitions, or that of the filter's thing. The entries of one are [begin, end).
  struct Span {
    uint32_t partition = 0;
    std::string begin, end;
  };
  Result<QueryPage<json::object>> newest_first(const ViolationFilter& filter, std::string_view after,
                                               size_t count_max, bool active) const;
  Span span_of(uint32_t partition, const ViolationFilter& filter, std::string_view after, bool active) const;

  log::Log& log_;
  uint32_t partitions_;
};

}  // namespace fleetward::pipeline
