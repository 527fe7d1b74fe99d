#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fleetward::detect {

// MetricDimension of AWS: which messages count. kIn: those whose topic a filter of the dimension matches;
// kNotIn: the others.
enum class DimensionOperator : uint8_t { kIn, kNotIn };
std::string_view to_string(DimensionOperator op);  // "IN", "NOT_IN"
std::optional<DimensionOperator> parse_dimension_operator(std::string_view text);

// A dimension as a behaviour refers to it; an empty name stands for none.
struct MetricDimension {
  std::string name;
  DimensionOperator op = DimensionOperator::kIn;

  bool empty() const { return name.empty(); }
  // Tells dimensions apart inside the engine and its stored states; 0 for none.
  uint64_t key() const;
  auto operator<=>(const MetricDimension&) const = default;
};

// A metric with a dimension is another series of values than the same metric without. This is its name in
// plans, kept values, exports and queries: "aws:num-messages-sent", "aws:num-messages-sent|IN|telemetry"
// ('|' cannot occur in a name).
std::string series_name(std::string_view metric, const MetricDimension& dimension);

// The parts of such a name; `dimension` is empty for a metric without. Views of the name.
struct SeriesParts {
  std::string_view metric, dimension;
  DimensionOperator op = DimensionOperator::kIn;
};
SeriesParts split_series(std::string_view series);

}  // namespace fleetward::detect
