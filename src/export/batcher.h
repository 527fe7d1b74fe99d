#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "detect/series.h"
#include "detect/value.h"
#include "export/export_record.h"

namespace fleetward::exporting {

// What AWS's schema leaves open, each one switch.
struct BatchOptions {
  // Payloads stay below this many bytes (an MQTT message of AWS IoT is at most 128 KB).
  size_t payload_bytes_max = 128 * 1024;
  // Unit of `metrics[].timestamp`, which the schema does not state. Device replies and notifications of the
  // same service use milliseconds.
  enum class TimestampUnit { kMilliseconds, kSeconds } timestamp_unit = TimestampUnit::kMilliseconds;
  // aws:message-byte-size has a minimum, a maximum and a total, for which the schema has one `count`.
  // kSuffixes makes three elements "aws:message-byte-size-min", "-max" and "-total" (three of one name would
  // be taken for versions of one value); kTotal one element of the plain name.
  enum class SizeNames { kSuffixes, kTotal } size_names = SizeNames::kSuffixes;
};

// One message to publish.
struct Payload {
  std::string batch_id;  // 32 hex digits: the same for the same records of the log
  std::string topic, role_arn;
  std::string profile;  // for aws:SourceArn
  std::string series;   // detect::series_name
  size_t elements = 0;
  std::string body;
};

// Gathers the datapoints of an interval and renders them: per (topic, role, series) a list of elements, each
// one thing's value at one time; counters of a thing add up, see detect::ExportClass. One thread.
class Batcher {
 public:
  explicit Batcher(BatchOptions options) : options_(options) {}

  void add(const Point& point);
  size_t bytes() const { return bytes_; }  // of memory, roughly
  size_t points() const { return points_; }
  bool empty() const { return groups_.empty(); }

  // The payloads, in an order that depends on the points alone, and starts anew. `seed` names the batch (its
  // partition and offsets) and goes into the ids. Elements that alone reach payload_bytes_max are left out
  // and counted in `oversize`.
  std::vector<Payload> finish(std::string_view seed, size_t& oversize);

 private:
  struct Element {
    std::string name, thing;
    uint32_t version = 1;
    Timestamp time;
    detect::Value value;
  };
  struct Group {
    std::string profile;
    std::string dimension;  // the member as it is rendered, or empty
    std::vector<Element> elements;
    std::unordered_map<std::string, size_t> combined;  // "name\0thing" -> its element
  };
  using GroupKey = std::tuple<std::string, std::string, std::string>;  // topic, role, series

  void combine(Element& into, detect::ExportClass how, detect::Value value, Timestamp time);
  std::string render(const Element& element, const Group& group) const;
  void cut(const GroupKey& key, const Group& group, std::string_view seed, std::vector<Payload>& out,
           size_t& oversize) const;

  BatchOptions options_;
  std::map<GroupKey, Group> groups_;
  size_t bytes_ = 0, points_ = 0;
};

}  // namespace fleetward::exporting
