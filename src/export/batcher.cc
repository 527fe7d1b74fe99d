#include "export/batcher.h"

#include <algorithm>
#include <cstdio>

#include <xxhash.h>

#include "core/json.h"

namespace fleetward::exporting {
namespace {

using detect::ExportClass;

constexpr std::string_view kHead = R"({"version":"1.0","metrics":[)";
constexpr std::string_view kTail = "]}";

std::string id_of(std::string_view seed, const std::string& topic, const std::string& role,
                  const std::string& series, size_t number) {
  std::string text(seed);
  for (const std::string& part : {topic, role, series, std::to_string(number)}) text += '\0' + part;
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  char out[33];
  std::snprintf(out, sizeof out, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return out;
}

// {"name":..,"operator":..}: AWS's schema says `name` here, where the API says dimensionName.
std::string dimension_member(const detect::SeriesParts& parts) {
  if (parts.dimension.empty()) return {};
  std::string out = R"(,"dimension":{"name":)";
  json::quote_to(parts.dimension, out);
  out += R"(,"operator":")" + std::string(to_string(parts.op)) + "\"}";
  return out;
}

std::string_view suffix_of(ExportClass combine) {
  switch (combine) {
    case ExportClass::kSizeMin:
      return "-min";
    case ExportClass::kSizeMax:
      return "-max";
    case ExportClass::kSizeTotal:
      return "-total";
    default:
      return "";
  }
}

}  // namespace

void Batcher::add(const Point& point) {
  const detect::SeriesParts parts = detect::split_series(point.series);
  std::string name(parts.metric);
  if (options_.size_names == BatchOptions::SizeNames::kSuffixes) {
    name += suffix_of(point.combine);
  } else if (point.combine == ExportClass::kSizeMin || point.combine == ExportClass::kSizeMax) {
    return;
  }
  std::string_view bytes = point.value;
  auto value = detect::decode_value(bytes);
  if (!value) return;  // read_record checked its form
  Group& group = groups_[{std::string(point.topic), std::string(point.role_arn), std::string(point.series)}];
  if (group.profile.empty()) {
    group.profile = point.profile;
    group.dimension = dimension_member(parts);
  }
  ++points_;
  bytes_ += sizeof(Element) + point.thing.size() + point.value.size() + name.size();
  if (point.combine != ExportClass::kAsIs) {
    const auto [it, fresh] =
        group.combined.try_emplace(name + '\0' + std::string(point.thing), group.elements.size());
    if (!fresh) return combine(group.elements[it->second], point.combine, std::move(*value), point.time);
  }
  group.elements.push_back(
      {std::move(name), std::string(point.thing), point.version, point.time, std::move(*value)});
}

void Batcher::combine(Element& into, ExportClass how, detect::Value value, Timestamp time) {
  into.time = std::max(into.time, time);
  switch (how) {
    case ExportClass::kSum:
    case ExportClass::kSizeTotal:
      into.value.count += value.count;
      break;
    case ExportClass::kSizeMin:
      into.value.count = std::min(into.value.count, value.count);
      break;
    case ExportClass::kSizeMax:
      into.value.count = std::max(into.value.count, value.count);
      break;
    case ExportClass::kUnion:
      for (const detect::IpAddress& address : value.addresses) {
        auto& known = into.value.addresses;
        if (std::find(known.begin(), known.end(), address) == known.end()) known.push_back(address);
      }
      break;
    default:
      into.value = std::move(value);
  }
}

std::string Batcher::render(const Element& element, const Group& group) const {
  std::string out = R"({"name":)";
  json::quote_to(element.name, out);
  out += R"(,"thing":)";
  json::quote_to(element.thing, out);
  out += R"(,"value":)";
  json::serialize_to(detect::to_json(element.value), out);
  out += R"(,"version":)" + std::to_string(element.version);
  const bool seconds = options_.timestamp_unit == BatchOptions::TimestampUnit::kSeconds;
  out += R"(,"timestamp":)" + std::to_string(seconds ? element.time.ms / 1000 : element.time.ms);
  return out + group.dimension + "}";
}

void Batcher::cut(const GroupKey& key, const Group& group, std::string_view seed, std::vector<Payload>& out,
                  size_t& oversize) const {
  const auto& [topic, role, series] = key;
  Payload payload;
  size_t number = 0;
  const auto close = [&] {
    if (payload.elements == 0) return;
    payload.batch_id = id_of(seed, topic, role, series, number++);
    payload.topic = topic;
    payload.role_arn = role;
    payload.profile = group.profile;
    payload.series = series;
    payload.body += kTail;
    out.push_back(std::move(payload));
    payload = Payload();
  };
  for (const Element& element : group.elements) {
    const std::string text = render(element, group);
    if (kHead.size() + text.size() + kTail.size() >= options_.payload_bytes_max) {
      ++oversize;
      continue;
    }
    if (payload.body.size() + 1 + text.size() + kTail.size() >= options_.payload_bytes_max) close();
    payload.body += payload.elements == 0 ? kHead : ",";
    payload.body += text;
    ++payload.elements;
  }
  close();
}

std::vector<Payload> Batcher::finish(std::string_view seed, size_t& oversize) {
  std::vector<Payload> out;
  for (const auto& [key, group] : groups_) cut(key, group, seed, out, oversize);
  groups_.clear();
  bytes_ = points_ = 0;
  return out;
}

}  // namespace fleetward::exporting
