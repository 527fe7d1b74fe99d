#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace fleetward::load {

// Counts of nanoseconds in buckets of under 1.6% width (64 to each power of two), as HdrHistogram does.
class Histogram {
 public:
  void add(uint64_t ns) {
    ++buckets_[index(ns)];
    ++count_;
    if (ns > max_) max_ = ns;
  }
  void merge(const Histogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    max_ = max_ > other.max_ ? max_ : other.max_;
  }
  // The upper bound of the bucket that holds the q-quantile; 0 if nothing was counted.
  uint64_t quantile(double q) const {
    if (count_ == 0) return 0;
    const auto wanted = static_cast<uint64_t>(q * static_cast<double>(count_ - 1)) + 1;
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen >= wanted) return upper(i) < max_ ? upper(i) : max_;
    }
    return max_;
  }
  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }

 private:
  static constexpr size_t kBuckets = 64 * 59;
  static size_t index(uint64_t ns) {
    if (ns < 64) return ns;
    const auto shift = static_cast<unsigned>(std::bit_width(ns)) - 7;
    return 64 * (shift + 1) + (ns >> shift) - 64;
  }
  static uint64_t upper(size_t i) {
    if (i < 64) return i;
    const auto shift = static_cast<unsigned>(i / 64 - 1);
    return ((64 + i % 64 + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0, max_ = 0;
};

}  // namespace fleetward::load
