#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "core/result.h"
#include "core/time.h"
#include "detect/config.h"

namespace fleetward::exporting {

// One exported datapoint as it travels in the log. Views point into the record.
struct Point {
  std::string_view topic, role_arn, profile;
  std::string_view series, thing;  // detect::series_name
  detect::ExportClass combine = detect::ExportClass::kAsIs;
  uint32_t version = 1;
  Timestamp time;
  std::string_view value;  // detect::encode_value
};

// Gathers points into one record of the log stream "exports":
//   [form][count of destinations]([topic][role][profile])* then per point
//   [destination][class][version][time ms][series][thing][value], numbers as varints, texts counted.
class RecordWriter {
 public:
  void add(const Point& point);
  bool empty() const { return points_.empty(); }
  size_t bytes() const { return points_.size(); }
  std::string finish();  // and starts anew

 private:
  std::map<std::tuple<std::string, std::string, std::string>, uint64_t> destinations_;
  std::string points_;
};

// Calls each(point) in order. kCorrupt.
Status read_record(std::string_view record, const std::function<void(const Point&)>& each);

}  // namespace fleetward::exporting
