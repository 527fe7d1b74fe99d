#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fleetward::detect {

// The distribution of a set of numbers, to be merged from parts and asked for percentiles: exact up to
// kExactMax numbers, beyond that an equi-depth summary.
//
// The numbers come in runs; a full run is sorted and reduced to weighted points: its kTail smallest and
// largest as they are, of the rest every n-th. Runs add up, and are reduced once more when they are encoded.
// Both reductions cost a rank error of at most 1 / (2 * kMiddle) of all numbers, and merging costs none:
// 0.05% in all; a percentile that falls into the tails is exact. This is the one-way merging of equi-depth
// summaries of Agarwal, Cormode, Huang, Phillips, Wei and Yi, "Mergeable Summaries" (PODS 2012), section 3.1.
// No randomness: the same numbers in the same order give the same summary.
//
// A value type; finite numbers only. Memory grows with the number of full runs (about 60 KiB each).
class Quantiles {
 public:
  static constexpr size_t kExactMax = 10'000;
  static constexpr size_t kRun = 65'536;
  static constexpr size_t kTail = 1'000;
  static constexpr size_t kMiddle = 2'000;

  void add(double value);
  // Takes over what `other` holds.
  void merge(Quantiles other);

  uint64_t size() const { return size_; }
  double min() const;  // of at least one number
  // The nearest-rank percentile, 0 to 100: the smallest number that at least `percent` of all do not exceed.
  // Of at least one number. Not const: sorts what came since.
  double percentile(double percent);

  // Appends. At most 8 + 10 * max(kExactMax, 2 * kTail + kMiddle) bytes, each a number and its weight.
  void encode(std::string& out);
  // Takes it off the front of `bytes`; kCorrupt.
  static Result<Quantiles> decode(std::string_view& bytes);

 private:
  struct Point {
    double value = 0;
    uint64_t weight = 1;
  };
  void sort();
  static std::vector<Point> reduce(const std::vector<Point>& sorted);

  std::vector<double> run_;    // latest numbers, as they came
  std::vector<Point> points_;  // of earlier runs and other parts
  bool sorted_ = true;         // points_
  uint64_t size_ = 0;
};

}  // namespace fleetward::detect
