// Arithmetic functions.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "rules/function.h"
#include "rules/operators.h"

namespace fleetward::rules {
namespace {

// One double in, one double out; results that are not real numbers are Undefined.
template <double (*Compute)(double)>
Value unary(Scope&, Arguments a) {
  const auto x = double_argument(a[0]);
  return x ? from_double(Compute(*x)) : Value();
}
template <double (*Compute)(double, double)>
Value binary(Scope&, Arguments a) {
  const auto x = double_argument(a[0]), y = double_argument(a[1]);
  return x && y ? from_double(Compute(*x, *y)) : Value();
}
// A whole number out.
template <double (*Compute)(double)>
Value whole(Scope&, Arguments a) {
  const auto n = to_decimal(a[0], true);
  if (!n) return {};
  return n->is_int ? Value(json::value(n->i)) : from_whole(Compute(n->d));
}
template <int64_t (*Compute)(int64_t, int64_t)>
Value bitwise(Scope&, Arguments a) {
  const auto x = floored_argument(a[0]), y = floored_argument(a[1]);
  return x && y ? Value(json::value(Compute(*x, *y))) : Value();
}

double plain_acos(double x) {
  return std::acos(x);
}
double plain_asin(double x) {
  return std::asin(x);
}
double plain_atan(double x) {
  return std::atan(x);
}
double plain_atan2(double y, double x) {
  return std::atan2(y, x);
}
double plain_cos(double x) {
  return std::cos(x);
}
double plain_cosh(double x) {
  return std::cosh(x);
}
double plain_exp(double x) {
  return std::exp(x);
}
double plain_ln(double x) {
  return std::log(x);
}
double plain_log10(double x) {
  return std::log10(x);
}
double plain_power(double x, double y) {
  return std::pow(x, y);
}
double plain_sin(double x) {
  return std::sin(x);
}
double plain_sinh(double x) {
  return std::sinh(x);
}
double plain_sqrt(double x) {
  return std::sqrt(x);
}
double plain_tan(double x) {
  return std::tan(x);
}
double plain_tanh(double x) {
  return std::tanh(x);
}
double plain_ceil(double x) {
  return std::ceil(x);
}
double plain_floor(double x) {
  return std::floor(x);
}
// Halves away from zero, as the service's examples show (the table says otherwise).
double plain_round(double x) {
  return std::round(x);
}
int64_t bits_and(int64_t a, int64_t b) {
  return a & b;
}
int64_t bits_or(int64_t a, int64_t b) {
  return a | b;
}
int64_t bits_xor(int64_t a, int64_t b) {
  return a ^ b;
}

Value abs(Scope& scope, Arguments a) {
  const auto n = to_decimal(a[0], scope.whole_is_int());
  if (!n) return {};
  if (n->is_int && n->i != INT64_MIN) return Value(json::value(std::abs(n->i)));
  return from_double(std::fabs(n->d));
}

Value bitnot(Scope&, Arguments a) {
  const auto x = floored_argument(a[0]);
  return x ? Value(json::value(~*x)) : Value();
}

Value mod(Scope& scope, Arguments a) {
  return modulo(scope, a[0], a[1]);
}

Value sign(Scope&, Arguments a) {
  const auto n = to_decimal(a[0], true);
  return n ? Value(json::value(int64_t{n->d > 0} - int64_t{n->d < 0})) : Value();
}

// On the decimal digits of the shortest form, so that trunc(4.35, 2) is 4.35 although the double is below it.
Value trunc(Scope&, Arguments a) {
  const auto n = to_decimal(a[0], true);
  const auto wanted = truncated_argument(a[1]);
  if (!n || !wanted) return {};
  if (n->is_int) return Value(json::value(n->i));
  const auto decimals = static_cast<size_t>(std::clamp<int64_t>(*wanted, 0, 34));
  char digits[400];
  const auto printed = std::to_chars(digits, digits + sizeof digits, n->d, std::chars_format::fixed);
  if (printed.ec != std::errc()) return {};
  std::string_view text(digits, static_cast<size_t>(printed.ptr - digits));
  if (const size_t point = text.find('.'); point != std::string_view::npos) {
    text = text.substr(0, decimals == 0 ? point : point + 1 + decimals);
  }
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return decimals == 0 ? from_whole(out) : from_double(out);
}

constexpr Function kFunctions[] = {
    {"abs", 1, 1, false, abs, nullptr},
    {"acos", 1, 1, false, unary<plain_acos>, nullptr},
    {"asin", 1, 1, false, unary<plain_asin>, nullptr},
    {"atan", 1, 1, false, unary<plain_atan>, nullptr},
    {"atan2", 2, 2, false, binary<plain_atan2>, nullptr},
    {"bitand", 2, 2, false, bitwise<bits_and>, nullptr},
    {"bitnot", 1, 1, false, bitnot, nullptr},
    {"bitor", 2, 2, false, bitwise<bits_or>, nullptr},
    {"bitxor", 2, 2, false, bitwise<bits_xor>, nullptr},
    {"ceil", 1, 1, false, whole<plain_ceil>, nullptr},
    {"cos", 1, 1, false, unary<plain_cos>, nullptr},
    {"cosh", 1, 1, false, unary<plain_cosh>, nullptr},
    {"exp", 1, 1, false, unary<plain_exp>, nullptr},
    {"floor", 1, 1, false, whole<plain_floor>, nullptr},
    {"ln", 1, 1, false, unary<plain_ln>, nullptr},
    {"log", 1, 1, false, unary<plain_log10>, nullptr},
    {"mod", 2, 2, false, mod, nullptr},
    {"power", 2, 2, false, binary<plain_power>, nullptr},
    {"remainder", 2, 2, false, mod, nullptr},
    {"round", 1, 1, false, whole<plain_round>, nullptr},
    {"sign", 1, 1, false, sign, nullptr},
    {"sin", 1, 1, false, unary<plain_sin>, nullptr},
    {"sinh", 1, 1, false, unary<plain_sinh>, nullptr},
    {"sqrt", 1, 1, false, unary<plain_sqrt>, nullptr},
    {"tan", 1, 1, false, unary<plain_tan>, nullptr},
    {"tanh", 1, 1, false, unary<plain_tanh>, nullptr},
    {"trunc", 2, 2, false, trunc, nullptr},
};

}  // namespace

std::span<const Function> math_functions() {
  return kFunctions;
}

}  // namespace fleetward::rules
