#include "detect/series.h"

#include <xxhash.h>

namespace fleetward::detect {

std::string_view to_string(DimensionOperator op) {
  return op == DimensionOperator::kIn ? "IN" : "NOT_IN";
}

std::optional<DimensionOperator> parse_dimension_operator(std::string_view text) {
  if (text == "IN") return DimensionOperator::kIn;
  if (text == "NOT_IN") return DimensionOperator::kNotIn;
  return std::nullopt;
}

uint64_t MetricDimension::key() const {
  if (empty()) return 0;
  const uint64_t hash = XXH3_64bits_withSeed(name.data(), name.size(), static_cast<uint64_t>(op) + 1);
  return hash == 0 ? 1 : hash;
}

std::string series_name(std::string_view metric, const MetricDimension& dimension) {
  std::string out(metric);
  if (dimension.empty()) return out;
  out += '|';
  out += to_string(dimension.op);
  out += '|';
  out += dimension.name;
  return out;
}

SeriesParts split_series(std::string_view series) {
  const size_t first = series.find('|');
  if (first == std::string_view::npos) return {series, {}, DimensionOperator::kIn};
  const std::string_view rest = series.substr(first + 1);
  const size_t second = rest.find('|');
  const auto op = parse_dimension_operator(rest.substr(0, second));
  if (!op || second == std::string_view::npos) return {series, {}, DimensionOperator::kIn};
  return {series.substr(0, first), rest.substr(second + 1), *op};
}

}  // namespace fleetward::detect
