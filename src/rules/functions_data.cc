// Functions on structures and on what may be missing: get, isUndefined, encode, transform, ...
#include <cmath>

#include "core/encoding.h"
#include "rules/function.h"
#include "rules/limits.h"
#include "rules/operators.h"

namespace fleetward::rules {
namespace {

bool is_base64(const Value& scheme) {
  const json::string* name = scheme.if_string();
  return name != nullptr && *name == "base64";
}

Value encode(Scope& scope, Arguments a) {
  const auto text = text_argument(a[0]);
  if (!text || !is_base64(a[1])) return {};
  return new_text(scope, to_base64(*text));
}

// What decodes to a JSON text becomes that value, anything else a string; what does not decode is Null.
Value decode(Scope& scope, Arguments a) {
  if (!is_base64(a[1])) return {};
  const json::string* text = a[0].if_string();
  if (text == nullptr || !scope.charge(text->size())) return Value(json::value(nullptr));
  auto bytes = from_base64(*text);
  if (!bytes) return Value(json::value(nullptr));
  if (auto parsed = json::parse(*bytes, {bytes->size(), kPayloadDepthMax})) return Value(std::move(*parsed));
  if (!is_utf8(*bytes)) return Value(json::value(nullptr));
  return Value::string(*bytes);
}

Value get(Scope&, Arguments a) {
  return element_of(std::move(a[0]), a[1]);
}

Value get_or_default(Scope&, Arguments a) {
  return a[0].is_undefined() || a[0].is_null() ? std::move(a[1]) : std::move(a[0]);
}

Value is_null(Scope&, Arguments a) {
  return Value(json::value(a[0].is_null()));
}

Value is_undefined(Scope&, Arguments a) {
  return Value(json::value(a[0].is_undefined()));
}

Value nanvl(Scope&, Arguments a) {
  const bool missing = a[0].is_undefined() || a[0].is_null() ||
                       (a[0].get().is_double() && std::isnan(a[0].get().get_double()));
  return missing ? std::move(a[1]) : std::move(a[0]);
}

// transform("enrichArray", object, array): each object of the array with the object's members added.
Value transform(Scope& scope, Arguments a) {
  const json::string* mode = a[0].if_string();
  const json::object* extra = a[1].if_object();
  const json::array* rows = a[2].if_array();
  if (mode == nullptr || *mode != "enrichArray" || extra == nullptr || rows == nullptr) return {};
  const size_t extra_bytes = weight(a[1].get());
  size_t total = 0;
  json::array out;
  for (const json::value& row : *rows) {
    const json::object* members = row.if_object();
    if (members == nullptr) return {};
    const size_t bytes = weight(row) + extra_bytes;
    total += bytes;
    if (total > 8 * kTransformBytesMax || !scope.charge(bytes)) return {};
    json::object merged = *members;
    for (const auto& member : *extra) merged.insert_or_assign(member.key(), member.value());
    out.push_back(std::move(merged));
  }
  if (json::serialize(out).size() > kTransformBytesMax) return {};
  return Value(json::value(std::move(out)));
}

constexpr Function kFunctions[] = {
    {"decode", 2, 2, true, decode, nullptr},   {"encode", 2, 2, true, encode, nullptr},
    {"get", 2, 2, false, get, nullptr},        {"get_or_default", 2, 2, true, get_or_default, nullptr},
    {"isnull", 1, 1, false, is_null, nullptr}, {"isundefined", 1, 1, true, is_undefined, nullptr},
    {"nanvl", 2, 2, false, nanvl, nullptr},    {"transform", 3, 3, true, transform, nullptr},
};

}  // namespace

std::span<const Function> data_functions() {
  return kFunctions;
}

}  // namespace fleetward::rules
