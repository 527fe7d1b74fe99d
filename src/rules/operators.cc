#include "rules/operators.h"

#include <algorithm>
#include <cmath>

#include "rules/function.h"

namespace fleetward::rules {
namespace {

using ast::Operator;

Value boolean(bool b) {
  return Value(json::value(b));
}

// Both are Ints here. nullopt: does not fit in 64 bits, compute as Decimal.
std::optional<int64_t> integer_arithmetic(Operator op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool overflow = false;
  switch (op) {
    case Operator::kAdd:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case Operator::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case Operator::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case Operator::kDivide:
      overflow = a == INT64_MIN && b == -1;
      if (!overflow) out = a / b;
      break;
    default:
      return std::nullopt;
  }
  if (overflow) return std::nullopt;
  return out;
}

double decimal_arithmetic(Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd:
      return a + b;
    case Operator::kSubtract:
      return a - b;
    case Operator::kMultiply:
      return a * b;
    default:
      return a / b;
  }
}

}  // namespace

Value logical(Operator op, const Value& a, const Value& b) {
  const auto x = to_boolean(a), y = to_boolean(b);
  if (!x || !y) return {};
  return boolean(op == Operator::kAnd ? *x && *y : *x || *y);
}

Value negate_logical(const Value& a) {
  const auto x = to_boolean(a);
  return x ? boolean(!*x) : Value();
}

Value compare(Operator op, const Value& a, const Value& b) {
  if (a.is_undefined() || b.is_undefined()) return {};
  if (op == Operator::kEqual || op == Operator::kNotEqual) {
    return boolean(equal(a.get(), b.get()) == (op == Operator::kEqual));
  }
  const auto x = to_decimal(a, true), y = to_decimal(b, true);
  if (!x || !y) return {};
  const bool ints = x->is_int && y->is_int;
  const int order = ints ? (x->i < y->i ? -1 : x->i > y->i) : (x->d < y->d ? -1 : x->d > y->d);
  switch (op) {
    case Operator::kLess:
      return boolean(order < 0);
    case Operator::kLessEqual:
      return boolean(order <= 0);
    case Operator::kGreater:
      return boolean(order > 0);
    default:
      return boolean(order >= 0);
  }
}

Value arithmetic(Scope& scope, Operator op, const Value& a, const Value& b) {
  if (op == Operator::kModulo) return modulo(scope, a, b);
  if (op == Operator::kAdd && (a.if_string() != nullptr || b.if_string() != nullptr)) {
    auto x = to_text(a);
    const auto y = to_text(b);
    if (!x || !y) return {};
    return new_text(scope, x->append(*y));
  }
  const auto x = to_decimal(a, scope.whole_is_int()), y = to_decimal(b, scope.whole_is_int());
  if (!x || !y) return {};
  if (op == Operator::kDivide && y->d == 0) return {};
  if (x->is_int && y->is_int) {
    if (const auto whole = integer_arithmetic(op, x->i, y->i)) return Value(json::value(*whole));
  }
  return from_double(decimal_arithmetic(op, x->d, y->d));
}

Value modulo(Scope& scope, const Value& a, const Value& b) {
  const auto x = to_decimal(a, scope.whole_is_int()), y = to_decimal(b, scope.whole_is_int());
  if (!x || !y || y->d == 0) return {};
  if (x->is_int && y->is_int) return Value(json::value(y->i == -1 ? int64_t{0} : x->i % y->i));
  return from_double(std::fmod(x->d, y->d));
}

Value negate(Scope& scope, const Value& a) {
  const auto x = to_decimal(a, scope.whole_is_int());
  if (!x) return {};
  if (x->is_int && x->i != INT64_MIN) return Value(json::value(-x->i));
  return from_double(-x->d);
}

Value is_in(const Value& element, const Value& list) {
  const json::array* array = list.if_array();
  if (element.is_undefined() || array == nullptr) return {};
  return boolean(std::any_of(array->begin(), array->end(),
                             [&](const json::value& candidate) { return equal(candidate, element.get()); }));
}

Value element_of(Value container, const Value& key) {
  if (container.is_undefined() || key.is_undefined()) return {};
  if (container.if_object() != nullptr) {
    const json::string* name = key.if_string();
    return name == nullptr ? Value() : member_of(std::move(container), *name);
  }
  const auto index = truncated_argument(key);
  if (!index || *index < 0) return {};
  const auto at = static_cast<size_t>(*index);
  if (const json::string* text = container.if_string()) {
    const size_t begin = byte_offset(*text, at);
    if (begin == text->size()) return {};
    const std::string_view rest = std::string_view(*text).substr(begin);
    return Value::string(rest.substr(0, byte_offset(rest, 1)));
  }
  const json::array* array = container.if_array();
  if (array == nullptr || at >= array->size()) return {};
  if (container.is_borrowed()) return Value::borrow((*array)[at]);
  json::value owner = std::move(container).take();
  return Value(std::move(owner.get_array()[at]));
}

}  // namespace fleetward::rules
