// Functions that tell about the message: topic(), clientid(), timestamp(), MQTT 5 properties, ...
#include "core/encoding.h"
#include "rules/function.h"

namespace fleetward::rules {
namespace {

Value text_or_undefined(Scope& scope, std::string_view text) {
  return text.empty() ? Value() : new_text(scope, text);
}

Value topic(Scope& scope, Arguments a) {
  const std::string_view whole = scope.event().topic;
  if (a.empty()) return new_text(scope, whole);
  const auto wanted = truncated_argument(a[0]);
  if (!wanted || *wanted < 1) return {};
  std::string_view rest = whole;
  for (int64_t level = 1;; ++level) {
    const size_t slash = rest.find('/');
    if (level == *wanted) return new_text(scope, rest.substr(0, slash));
    if (slash == std::string_view::npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

Value clientid(Scope& scope, Arguments) {
  return new_text(scope, scope.event().client_id.empty() ? "n/a" : scope.event().client_id);
}

Value principal(Scope& scope, Arguments) {
  return text_or_undefined(scope, scope.event().principal);
}

Value sourceip(Scope& scope, Arguments) {
  return text_or_undefined(scope, scope.event().source_address);
}

Value accountid(Scope& scope, Arguments) {
  return text_or_undefined(scope, scope.event().account);
}

Value timestamp(Scope& scope, Arguments) {
  return Value(json::value(scope.event().now.ms));
}

Value traceid(Scope& scope, Arguments) {
  return scope.event().client_id.empty() ? Value() : new_text(scope, trace_id(scope.event()));
}

Value sql_version(Scope& scope, Arguments) {
  return new_text(scope, to_string(scope.version()));
}

Value newuuid(Scope& scope, Arguments) {
  Event drawn;
  drawn.entropy[0] = scope.random();
  drawn.entropy[1] = scope.random();
  return new_text(scope, trace_id(drawn));
}

Value rand(Scope& scope, Arguments) {
  return from_double(static_cast<double>(scope.random() >> 11) * 0x1.0p-53);
}

Value get_mqtt_property(Scope& scope, Arguments a) {
  const json::string* name = a[0].if_string();
  if (name == nullptr) return {};
  const Event& event = scope.event();
  if (*name == "content_type") return text_or_undefined(scope, event.content_type);
  if (*name == "response_topic") return text_or_undefined(scope, event.response_topic);
  if (*name == "correlation_data") return text_or_undefined(scope, to_base64(event.correlation_data));
  if (*name == "format_indicator") {
    return new_text(scope, event.payload_is_utf8 ? "UTF8_DATA" : "UNSPECIFIED_BYTES");
  }
  return {};
}

Value get_user_properties(Scope& scope, Arguments a) {
  const auto* properties = scope.event().user_properties;
  if (properties == nullptr || properties->empty()) return {};
  const json::string* wanted = a.empty() ? nullptr : a[0].if_string();
  if (!a.empty() && wanted == nullptr) return {};
  json::array out;
  for (const auto& [key, value] : *properties) {
    if (!scope.charge(key.size() + value.size())) return {};
    if (wanted == nullptr) {
      json::object pair;
      pair.emplace(key, value);
      out.push_back(std::move(pair));
    } else if (*wanted == std::string_view(key)) {
      out.emplace_back(json::string(value));
    }
  }
  return out.empty() ? Value() : Value(json::value(std::move(out)));
}

constexpr Function kFunctions[] = {
    {"accountid", 0, 0, false, accountid, nullptr},
    {"clientid", 0, 0, false, clientid, nullptr},
    {"get_mqtt_property", 1, 1, true, get_mqtt_property, nullptr},
    {"get_user_properties", 0, 1, true, get_user_properties, nullptr},
    {"newuuid", 0, 0, false, newuuid, nullptr},
    {"principal", 0, 0, false, principal, nullptr},
    {"rand", 0, 0, false, rand, nullptr},
    {"sourceip", 0, 0, true, sourceip, nullptr},
    {"sql_version", 0, 0, false, sql_version, nullptr},
    {"timestamp", 0, 0, false, timestamp, nullptr},
    {"topic", 0, 1, false, topic, nullptr},
    {"traceid", 0, 0, false, traceid, nullptr},
};

}  // namespace

std::span<const Function> message_functions() {
  return kFunctions;
}

}  // namespace fleetward::rules
