#include "export/export_record.h"

#include <vector>

#include "detect/bytes.h"

namespace fleetward::exporting {
namespace {

constexpr uint8_t kForm = 1;

}  // namespace

void RecordWriter::add(const Point& point) {
  const auto [it, fresh] = destinations_.try_emplace(
      std::tuple(std::string(point.topic), std::string(point.role_arn), std::string(point.profile)),
      destinations_.size());
  detect::bytes::put_varint(points_, it->second);
  points_.push_back(static_cast<char>(point.combine));
  detect::bytes::put_varint(points_, point.version);
  detect::bytes::put_varint(points_, static_cast<uint64_t>(point.time.ms));
  detect::bytes::put_string(points_, point.series);
  detect::bytes::put_string(points_, point.thing);
  points_.append(point.value);
}

std::string RecordWriter::finish() {
  std::string out;
  out.push_back(static_cast<char>(kForm));
  detect::bytes::put_varint(out, destinations_.size());
  std::vector<const std::tuple<std::string, std::string, std::string>*> ordered(destinations_.size());
  for (const auto& [destination, index] : destinations_) ordered[index] = &destination;
  for (const auto* destination : ordered) {
    detect::bytes::put_string(out, std::get<0>(*destination));
    detect::bytes::put_string(out, std::get<1>(*destination));
    detect::bytes::put_string(out, std::get<2>(*destination));
  }
  out += points_;
  destinations_.clear();
  points_.clear();
  return out;
}

Status read_record(std::string_view record, const std::function<void(const Point&)>& each) {
  detect::bytes::Reader in{record};
  if (in.u8() != kForm) return fail(ErrorCode::kCorrupt, "an export record of an unknown form");
  struct Destination {
    std::string_view topic, role_arn, profile;
  };
  std::vector<Destination> destinations(in.count(3));
  for (Destination& destination : destinations) {
    destination = {in.string(), in.string(), in.string()};
  }
  while (in.ok && !in.rest.empty()) {
    const uint64_t index = in.varint();
    const uint8_t combine = in.u8();
    Point point;
    point.version = static_cast<uint32_t>(in.varint());
    point.time.ms = static_cast<int64_t>(in.varint());
    point.series = in.string();
    point.thing = in.string();
    point.value = detect::take_encoded_value(in.rest);
    if (!in.ok || point.value.empty() || index >= destinations.size() ||
        combine > static_cast<uint8_t>(detect::ExportClass::kSizeTotal)) {
      in.ok = false;
      break;
    }
    point.combine = static_cast<detect::ExportClass>(combine);
    point.topic = destinations[index].topic;
    point.role_arn = destinations[index].role_arn;
    point.profile = destinations[index].profile;
    each(point);
  }
  if (!in.ok) return fail(ErrorCode::kCorrupt, "an export record does not parse");
  return {};
}

}  // namespace fleetward::exporting
