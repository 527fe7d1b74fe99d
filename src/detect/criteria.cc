#include <algorithm>
#include <cmath>

#include "detect/profile.h"

namespace fleetward::detect {
namespace {

auto invalid(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

bool is_list(ValueKind kind) {
  return kind != ValueKind::kCount && kind != ValueKind::kNumber;
}

bool present(const json::object& document, std::string_view name) {
  const json::value* value = json::find(document, name);
  return value != nullptr && !value->is_null();
}

// A JSON number as a double; nullopt for anything else.
std::optional<double> number_in(const json::value& value) {
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  if (value.is_double()) return value.get_double();
  return std::nullopt;
}

Result<int> datapoints(const json::object& document, std::string_view name) {
  const json::value* value = json::find(document, name);
  if (value == nullptr || value->is_null()) return 1;
  const auto number = number_in(*value);
  if (!number || *number != std::floor(*number) || *number < 1 || *number > kConsecutiveDatapointsMax) {
    return invalid(std::string(name) + " must be a whole number from 1 to " +
                   std::to_string(kConsecutiveDatapointsMax));
  }
  return static_cast<int>(*number);
}

Result<int> duration(const json::object& document, std::string_view metric, const MetricInfo* builtin,
                     ValueKind kind) {
  const json::value* value = json::find(document, "durationSeconds");
  if (value == nullptr || value->is_null()) return 0;
  if (is_list(kind) || (builtin != nullptr && !builtin->duration_allowed)) {
    return invalid("durationSeconds cannot be used with the metric " + std::string(metric));
  }
  const auto number = number_in(*value);
  for (const int allowed : kDurations) {
    if (number && *number == allowed) return allowed;
  }
  return invalid("durationSeconds must be 300, 600, 900, 1800 or 3600");
}

template <typename T>
bool compare(Operator op, T value, T threshold) {
  switch (op) {
    case Operator::kLessThan:
      return value < threshold;
    case Operator::kLessThanEquals:
      return value <= threshold;
    case Operator::kGreaterThan:
      return value > threshold;
    default:
      return value >= threshold;
  }
}

// in-*: every element is in the set; not-in-*: none is.
template <typename List, typename Contains>
bool quantify(bool in, const List& list, Contains contains) {
  return std::all_of(list.begin(), list.end(), [&](const auto& element) { return contains(element) == in; });
}

template <typename Set, typename T>
bool sorted_contains(const Set& set, const T& value) {
  const auto it = std::lower_bound(set.begin(), set.end(), value);
  return it != set.end() && *it == value;
}

}  // namespace

Result<Criteria> Criteria::parse(const json::object& document, std::string_view metric,
                                 const MetricInfo* builtin, ValueKind kind) {
  if (present(document, "mlDetectionConfig")) {
    return fail(ErrorCode::kUnimplemented,
                "mlDetectionConfig (ML Detect) is not implemented in this release");
  }
  Criteria out;
  out.kind_ = kind;
  const std::string_view op_text = json::string_or(document, "comparisonOperator");
  if (op_text.empty()) return invalid("comparisonOperator is required");
  const auto op = parse_operator(op_text);
  if (!op) return invalid("comparisonOperator '" + std::string(op_text) + "' does not exist");
  if (!(builtin != nullptr ? builtin->allows(*op) : custom_allows(kind, *op))) {
    return invalid("comparisonOperator " + std::string(op_text) + " cannot be used with the metric " +
                   std::string(metric));
  }
  out.op_ = *op;
  auto seconds = duration(document, metric, builtin, kind);
  if (!seconds) return fail(seconds.error());
  out.duration_seconds_ = *seconds;
  auto to_alarm = datapoints(document, "consecutiveDatapointsToAlarm");
  if (!to_alarm) return fail(to_alarm.error());
  auto to_clear = datapoints(document, "consecutiveDatapointsToClear");
  if (!to_clear) return fail(to_clear.error());
  out.to_alarm_ = *to_alarm;
  out.to_clear_ = *to_clear;
  if (present(document, "statisticalThreshold")) {
    if (present(document, "value")) return invalid("statisticalThreshold excludes value");
    const bool allowed = builtin != nullptr ? builtin->statistical_allowed : kind == ValueKind::kNumber;
    if (!allowed) {
      return invalid("statisticalThreshold cannot be used with the metric " + std::string(metric));
    }
    const json::object* threshold = json::find_object(document, "statisticalThreshold");
    if (threshold == nullptr) return invalid("statisticalThreshold must be an object");
    if (auto ok = out.parse_statistic(*threshold); !ok) return fail(ok.error());
    if (out.duration_seconds_ == 0) out.duration_seconds_ = kStatisticalDurationSeconds;
    out.text_ = std::string(op_text) + " " + std::string(out.statistic_->name);
    return out;
  }
  const json::object* value = json::find_object(document, "value");
  if (value == nullptr) return invalid("value is required");
  if (auto ok = out.parse_value(*value, kind); !ok) return fail(ok.error());
  out.text_ = std::string(op_text) + " " + json::serialize(value->begin()->value());
  return out;
}

Status Criteria::parse_statistic(const json::object& threshold) {
  const std::string_view name = json::string_or(threshold, "statistic");
  const auto* const it = std::find_if(std::begin(kStatistics), std::end(kStatistics),
                                      [&](const Statistic& statistic) { return statistic.name == name; });
  if (it == std::end(kStatistics)) {
    return invalid(
        "statisticalThreshold.statistic must be one of p0, p0.1, p0.01, p1, p10, p50, p90, p99, "
        "p99.9, p99.99 and p100");
  }
  statistic_ = it;
  return {};
}

Status Criteria::parse_value(const json::object& document, ValueKind kind) {
  const std::string key(to_string(kind));
  const json::value* value = json::find(document, key);
  if (value == nullptr || document.size() != 1) {
    return invalid("value must hold exactly the member '" + key + "'");
  }
  value_elements_ = 1;
  if (is_list(kind)) {
    if (!value->is_array()) return invalid("value." + key + " must be a list");
    value_elements_ = value->get_array().size();
    return parse_list(value->get_array(), kind);
  }
  const auto number = number_in(*value);
  if (!number || !std::isfinite(*number)) return invalid("value." + key + " must be a number");
  number_ = *number;
  if (kind == ValueKind::kNumber) return {};
  if (*number < 0 || *number != std::floor(*number) || *number >= 9.2e18) {
    return invalid("value.count must be a whole number from 0");
  }
  count_ = value->is_uint64()  ? value->get_uint64()
           : value->is_int64() ? static_cast<uint64_t>(value->get_int64())
                               : static_cast<uint64_t>(*number);
  return {};
}

Status Criteria::parse_list(const json::array& list, ValueKind kind) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = "value." + std::string(to_string(kind)) + "." + std::to_string(i + 1);
    if (kind == ValueKind::kPorts || kind == ValueKind::kNumbers) {
      const auto number = number_in(list[i]);
      if (!number || !std::isfinite(*number)) return invalid(path + " must be a number");
      if (kind == ValueKind::kNumbers) {
        numbers_.push_back(*number);
        continue;
      }
      if (*number < 0 || *number > 65535 || *number != std::floor(*number)) {
        return invalid(path + " must be a whole number from 0 to 65535");
      }
      ports_.push_back(static_cast<uint16_t>(*number));
      continue;
    }
    if (!list[i].is_string()) return invalid(path + " must be a string");
    texts.emplace_back(std::string_view(list[i].get_string()));
    if (kind == ValueKind::kCidrs && !CidrSet::parse({texts.back()})) {
      return invalid(path + " is not an address or a CIDR: " + texts.back());
    }
  }
  std::sort(numbers_.begin(), numbers_.end());
  std::sort(ports_.begin(), ports_.end());
  if (kind == ValueKind::kStrings) {
    strings_ = std::move(texts);
    std::sort(strings_.begin(), strings_.end());
  }
  if (kind == ValueKind::kCidrs) {
    auto set = CidrSet::parse(texts);
    if (!set) return fail(set.error());
    cidrs_ = std::move(*set);
  }
  return {};
}

bool Criteria::conforms(const ValueView& value) const {
  switch (op_) {
    case Operator::kInCidrSet:
    case Operator::kNotInCidrSet:
      return quantify(op_ == Operator::kInCidrSet, value.addresses,
                      [&](const IpAddress& address) { return cidrs_.contains(address); });
    case Operator::kInPortSet:
    case Operator::kNotInPortSet:
      return quantify(op_ == Operator::kInPortSet, value.ports,
                      [&](uint16_t port) { return sorted_contains(ports_, port); });
    case Operator::kInSet:
    case Operator::kNotInSet:
      if (kind_ == ValueKind::kNumbers) {
        return quantify(op_ == Operator::kInSet, value.numbers,
                        [&](double number) { return sorted_contains(numbers_, number); });
      }
      return quantify(op_ == Operator::kInSet, value.strings,
                      [&](std::string_view text) { return sorted_contains(strings_, text); });
    default:
      return kind_ == ValueKind::kNumber ? compare(op_, value.number, number_)
                                         : compare(op_, value.count, count_);
  }
}

bool Criteria::conforms_to(double value, double threshold) const {
  return compare(op_, value, threshold);
}

bool Criteria::conforms_scaled(uint64_t count, uint64_t factor) const {
  const bool overflows = count_ > UINT64_MAX / factor;
  return compare(op_, count, overflows ? UINT64_MAX : count_ * factor);
}

}  // namespace fleetward::detect
