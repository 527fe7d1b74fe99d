#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/json.h"
#include "detect/engine.h"

namespace fleetward::fuzz {

// An engine with behaviours of every kind of value, for every thing.
inline detect::Engine engine_for_all() {
  constexpr std::string_view kProfile = R"({"securityProfileName":"p","behaviors":[
    {"name":"a","metric":"aws:all-bytes-out","criteria":{"comparisonOperator":"less-than","value":{"count":5},"durationSeconds":900}},
    {"name":"b","metric":"aws:listening-tcp-ports","criteria":{"comparisonOperator":"in-port-set","value":{"ports":[22]}}},
    {"name":"c","metric":"aws:destination-ip-addresses","criteria":{"comparisonOperator":"in-cidr-set","value":{"cidrs":["10.0.0.0/8"]}}},
    {"name":"d","metric":"m","criteria":{"comparisonOperator":"less-than","value":{"number":5}}},
    {"name":"e","metric":"aws:message-byte-size","criteria":{"comparisonOperator":"less-than","value":{"count":5}}},
    {"name":"f","metric":"aws:disconnect-duration","criteria":{"comparisonOperator":"less-than","value":{"count":5}}},
    {"name":"g","metric":"aws:num-messages-sent","criteria":{"comparisonOperator":"less-than","value":{"count":5},"durationSeconds":3600}}]})";
  auto profiles = std::make_shared<detect::Profiles>();
  auto profile = detect::profile_from_json(json::parse(kProfile)->get_object());
  if (!profile) __builtin_trap();
  profiles->profiles.push_back(std::make_shared<const detect::SecurityProfile>(std::move(*profile)));
  profiles->custom_metrics = {{"m", detect::ValueKind::kNumber}};
  detect::Engine engine{detect::EngineOptions{}};
  engine.configure(std::make_shared<const detect::Config>(
      detect::Config{1, profiles, [](std::string_view, std::vector<uint32_t>& out) { out.push_back(0); }}));
  return engine;
}

inline int one_report(detect::ReportFormat format, std::string_view payload) {
  detect::ReportParser parser;
  detect::Event event;
  if (!parser.parse(format, payload, event.report)) return 0;
  std::string stored, again;
  detect::encode_report(event.report, stored);
  detect::Event copy;
  if (!detect::decode_report(stored, copy.report)) __builtin_trap();
  detect::encode_report(copy.report, again);
  if (stored != again) __builtin_trap();
  detect::Engine engine = engine_for_all();
  detect::Effects effects;
  copy.kind = detect::Event::Kind::kReport;
  copy.thing = "thing";
  copy.time = {1'767'225'600'000};
  engine.apply(copy, 1, effects);
  std::string state;
  for (const uint32_t index : effects.changed) engine.encode_thing(index, state);
  if (!effects.changed.empty() && !engine.restore_thing("again", state)) __builtin_trap();
  return 0;
}

}  // namespace fleetward::fuzz
