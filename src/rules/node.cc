#include "rules/node.h"

namespace fleetward::rules {

uint64_t Scope::random() {
  // SplitMix64 over the message's own entropy: a run is repeatable, two messages differ.
  uint64_t z = event().entropy[0] ^ (event().entropy[1] + 0x9E3779B97F4A7C15ULL * ++random_count_);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

Value member_of(Value base, std::string_view name) {
  const json::object* object = base.if_object();
  const json::value* found = object == nullptr ? nullptr : object->if_contains(name);
  if (found == nullptr) return {};
  if (base.is_borrowed()) return Value::borrow(*found);
  json::value owner = std::move(base).take();
  return Value(std::move(*owner.get_object().if_contains(name)));
}

json::value copy_out(Scope& scope, Value value) {
  if (value.is_undefined()) return nullptr;
  if (value.is_borrowed() && !scope.charge(weight(value.get()))) return nullptr;
  return std::move(value).take();
}

Value new_text(Scope& scope, std::string_view text) {
  if (!scope.charge(text.size())) return {};
  return Value::string(text);
}

}  // namespace fleetward::rules
