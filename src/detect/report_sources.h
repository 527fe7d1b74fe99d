#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "detect/report.h"

// Internal to the room: the two encodings of a report.
namespace fleetward::detect::internal {

class JsonReports {
 public:
  explicit JsonReports(const ReportLimits& limits);
  ~JsonReports();
  tl::expected<void, Rejection> parse(std::string_view payload, Report& out);

 private:
  struct State;
  const ReportLimits& limits_;
  std::unique_ptr<State> state_;
};

// One item of a CBOR document. Containers are followed by their content; `next` is the item after it all.
struct CborItem {
  enum class Kind : uint8_t { kUnsigned, kNegative, kFloat, kText, kArray, kMap, kOther } kind = Kind::kOther;
  uint32_t next = 0;
  uint64_t integer = 0;  // kUnsigned; kNegative: the value is -1 - integer
  double real = 0;
  std::string_view text;
};

class CborReports {
 public:
  explicit CborReports(const ReportLimits& limits) : limits_(limits) {}
  tl::expected<void, Rejection> parse(std::string_view payload, Report& out);

 private:
  const ReportLimits& limits_;
  std::vector<CborItem> items_;
};

}  // namespace fleetward::detect::internal
