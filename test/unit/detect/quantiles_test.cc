#include "detect/quantiles.h"

#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace fleetward::detect {
namespace {

constexpr double kPercents[] = {0, 0.01, 0.1, 1, 10, 50, 90, 99, 99.9, 99.99, 100};

// Nearest rank by the book.
double exact(const std::vector<double>& sorted, double percent) {
  const auto n = static_cast<double>(sorted.size());
  const double rank = std::max(1.0, std::ceil(percent / 100 * n - 1e-9));
  return sorted[static_cast<size_t>(rank) - 1];
}

// How far the answer is from the wanted rank, in percent of all. 0 if the answer's ranks include it.
double rank_error(const std::vector<double>& sorted, double percent, double answer) {
  const auto [low, high] = std::equal_range(sorted.begin(), sorted.end(), answer);
  const auto n = static_cast<double>(sorted.size());
  const double wanted = std::max(1.0, std::ceil(percent / 100 * n - 1e-9));
  const double first = static_cast<double>(low - sorted.begin()) + 1;
  const double last = static_cast<double>(high - sorted.begin());
  if (first > last) return 100;  // not one of the numbers
  return std::max({0.0, first - wanted, wanted - last}) / n * 100;
}

Quantiles through_the_log(Quantiles part) {
  std::string bytes;
  part.encode(bytes);
  std::string_view rest = bytes;
  auto back = Quantiles::decode(rest);
  EXPECT_TRUE(back && rest.empty());
  return std::move(*back);
}

enum class Shape { kUniform, kLognormal, kFewValues, kSorted, kFalling };

std::vector<double> numbers(Shape shape, size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> out(count);
  for (size_t i = 0; i < count; ++i) {
    switch (shape) {
      case Shape::kUniform:
        out[i] = std::uniform_real_distribution<>(0, 1)(random);
        break;
      case Shape::kLognormal:
        out[i] = std::lognormal_distribution<>(3, 4)(random);
        break;
      case Shape::kFewValues:
        out[i] = static_cast<double>(random() % 7);
        break;
      case Shape::kSorted:
        out[i] = static_cast<double>(i);
        break;
      case Shape::kFalling:
        out[i] = static_cast<double>(count - i);
    }
  }
  return out;
}

TEST(Quantiles, ExactUpToTenThousandInAnyNumberOfParts) {
  for (const size_t count : {1, 2, 3, 99, 1000, 9999, 10'000}) {
    for (const size_t parts : {1, 3, 8}) {
      std::vector<double> all = numbers(Shape::kLognormal, count, count);
      std::vector<Quantiles> partial(parts);
      for (size_t i = 0; i < count; ++i) partial[i % parts].add(all[i]);
      Quantiles merged;
      for (Quantiles& part : partial) merged.merge(through_the_log(std::move(part)));
      std::sort(all.begin(), all.end());
      ASSERT_EQ(merged.size(), count);
      EXPECT_EQ(merged.min(), all.front());
      for (const double percent : kPercents) {
        EXPECT_EQ(merged.percentile(percent), exact(all, percent)) << count << " " << percent;
      }
    }
  }
}

TEST(Quantiles, RankErrorOfLargePopulations) {
  for (const Shape shape :
       {Shape::kUniform, Shape::kLognormal, Shape::kFewValues, Shape::kSorted, Shape::kFalling}) {
    for (const size_t parts : {1, 2, 8}) {
      constexpr size_t kCount = 300'000;
      std::vector<double> all = numbers(shape, kCount, 7);
      std::vector<Quantiles> partial(parts);
      for (size_t i = 0; i < kCount; ++i) partial[i * parts / kCount].add(all[i]);
      Quantiles merged;
      for (Quantiles& part : partial) merged.merge(through_the_log(std::move(part)));
      std::sort(all.begin(), all.end());
      for (const double percent : kPercents) {
        const double error = rank_error(all, percent, merged.percentile(percent));
        // Both ends: ranks up to 1,000 are exact.
        EXPECT_LE(error, percent <= 0.1 || percent >= 99.9 ? 0 : 0.05)
            << static_cast<int>(shape) << " parts " << parts << " p" << percent;
      }
      // In between as well.
      for (double percent = 0.5; percent < 100; percent += 0.37) {
        EXPECT_LE(rank_error(all, percent, merged.percentile(percent)), 0.051);
      }
    }
  }
}

TEST(Quantiles, SizeInTheLogIsBounded) {
  Quantiles part;
  for (const double number : numbers(Shape::kUniform, 500'000, 3)) part.add(number);
  std::string bytes;
  part.encode(bytes);
  EXPECT_LT(bytes.size(), 45'000U);
}

TEST(Quantiles, WhatDoesNotParseIsCorrupt) {
  Quantiles part;
  part.add(1);
  part.add(2);
  std::string bytes;
  part.encode(bytes);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    std::string_view rest = std::string_view(bytes).substr(0, cut);
    EXPECT_FALSE(Quantiles::decode(rest)) << cut;
  }
  std::string nan = bytes;
  nan.replace(1, 8, std::string("\0\0\0\0\0\0\xf8\x7f", 8));
  std::string_view rest = nan;
  EXPECT_FALSE(Quantiles::decode(rest));
}

}  // namespace
}  // namespace fleetward::detect
