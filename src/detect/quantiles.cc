#include "detect/quantiles.h"

#include <algorithm>
#include <cmath>

#include "detect/bytes.h"

namespace fleetward::detect {

void Quantiles::add(double value) {
  run_.push_back(value);
  ++size_;
  if (run_.size() < kRun) return;
  std::sort(run_.begin(), run_.end());
  std::vector<Point> points(run_.size());
  std::transform(run_.begin(), run_.end(), points.begin(), [](double number) { return Point{number, 1}; });
  const std::vector<Point> reduced = reduce(points);
  points_.insert(points_.end(), reduced.begin(), reduced.end());
  sorted_ = false;
  run_.clear();
}

void Quantiles::merge(Quantiles other) {
  other.sort();
  sort();
  const auto middle = static_cast<std::ptrdiff_t>(points_.size());
  points_.insert(points_.end(), other.points_.begin(), other.points_.end());
  std::inplace_merge(points_.begin(), points_.begin() + middle, points_.end(),
                     [](const Point& a, const Point& b) { return a.value < b.value; });
  size_ += other.size_;
}

void Quantiles::sort() {
  if (run_.empty() && sorted_) return;
  for (const double number : run_) points_.push_back({number, 1});
  run_.clear();
  std::sort(points_.begin(), points_.end(), [](const Point& a, const Point& b) { return a.value < b.value; });
  sorted_ = true;
}

double Quantiles::min() const {
  double least = HUGE_VAL;
  for (const double number : run_) least = std::min(least, number);
  for (const Point& point : points_) least = std::min(least, point.value);
  return least;
}

double Quantiles::percentile(double percent) {
  sort();
  const double wanted = std::ceil(percent / 100 * static_cast<double>(size_) - 1e-9);
  const auto rank = static_cast<uint64_t>(std::clamp(wanted, 1.0, static_cast<double>(size_)));
  uint64_t passed = 0;
  for (const Point& point : points_) {
    passed += point.weight;
    if (passed >= rank) return point.value;
  }
  return points_.back().value;
}

// The tails stay; what is between them becomes kMiddle groups of about equal weight, each with its median.
std::vector<Quantiles::Point> Quantiles::reduce(const std::vector<Point>& sorted) {
  if (sorted.size() <= 2 * kTail + kMiddle) return sorted;
  const auto tail = static_cast<std::ptrdiff_t>(kTail);
  std::vector<Point> out(sorted.begin(), sorted.begin() + tail);
  uint64_t total = 0;
  for (auto it = sorted.begin() + tail; it != sorted.end() - tail; ++it) total += it->weight;
  uint64_t passed = 0, group = 0,
           group_end = 0;  // of group `group`: weights (passed at its begin, group_end]
  uint64_t group_begin = 0;
  double median = 0;
  bool median_known = false;
  for (auto it = sorted.begin() + tail; it != sorted.end() - tail; ++it) {
    if (passed >= group_end) {
      if (passed > group_begin) out.push_back({median, passed - group_begin});
      group_begin = passed;
      while (group_end <= passed) group_end = total * ++group / kMiddle;
      median_known = false;
    }
    passed += it->weight;
    if (!median_known && 2 * (passed - group_begin) >= group_end - group_begin) {
      median = it->value;
      median_known = true;
    }
  }
  if (passed > group_begin) out.push_back({median, passed - group_begin});
  out.insert(out.end(), sorted.end() - tail, sorted.end());
  return out;
}

void Quantiles::encode(std::string& out) {
  sort();
  const bool exact = points_.size() == size_ && size_ <= kExactMax;
  const std::vector<Point> points = exact ? points_ : reduce(points_);
  bytes::put_varint(out, points.size());
  for (const Point& point : points) {
    bytes::put_double(out, point.value);
    bytes::put_varint(out, point.weight);
  }
}

Result<Quantiles> Quantiles::decode(std::string_view& bytes) {
  bytes::Reader in{bytes};
  Quantiles out;
  const size_t count = in.count(9);
  out.points_.reserve(count);
  for (size_t i = 0; in.ok && i < count; ++i) {
    const double value = in.f64();
    const uint64_t weight = in.varint();
    const bool in_order = out.points_.empty() || out.points_.back().value <= value;
    if (!std::isfinite(value) || weight == 0 || weight > UINT32_MAX || !in_order) in.ok = false;
    out.points_.push_back({value, weight});
    out.size_ += weight;
  }
  if (!in.ok) return fail(ErrorCode::kCorrupt, "a stored distribution does not parse");
  bytes = in.rest;
  return out;
}

}  // namespace fleetward::detect
