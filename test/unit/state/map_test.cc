#include "state/map.h"

#include <map>
#include <random>

#include <gtest/gtest.h>

namespace fleetward::state {
namespace {

using IntMap = Map<int>;

std::map<std::string, int> contents(const IntMap& map, std::string_view from = {}) {
  std::map<std::string, int> out;
  std::string last;
  map.visit_from(from, [&](const IntMap::Entry& entry) {
    EXPECT_TRUE(out.empty() || last < entry.key);
    last = entry.key;
    out[entry.key] = *entry.value;
    return true;
  });
  return out;
}

std::string some_key(std::mt19937& random) {
  const int kind = static_cast<int>(random() % 3);
  const std::string number = std::to_string(random() % 4000);
  return kind == 0 ? number : kind == 1 ? "a\0b" + number : "\xff" + number;
}

TEST(Map, EmptyAnswersNothing) {
  IntMap map;
  EXPECT_EQ(map.size(), 0u);
  EXPECT_EQ(map.find("x"), nullptr);
  EXPECT_TRUE(contents(map).empty());
  map.erase("x");
  EXPECT_EQ(map.size(), 0u);
}

TEST(Map, BehavesAsStdMap) {
  std::mt19937 random(7);
  IntMap map;
  std::map<std::string, int> model;
  for (int step = 0; step < 60'000; ++step) {
    const std::string key = some_key(random);
    // Grows first, shrinks to nothing at the end.
    const bool erase = random() % 100 < (step < 30'000 ? 20 : 70);
    if (erase) {
      map.erase(key);
      model.erase(key);
    } else {
      map.set(key, std::make_shared<const int>(step));
      model[key] = step;
    }
    ASSERT_EQ(map.size(), model.size());
    if (step % 500 == 0) {
      ASSERT_EQ(contents(map), model);
      const std::string from = some_key(random);
      ASSERT_EQ(contents(map, from), (std::map<std::string, int>(model.lower_bound(from), model.end())));
      const auto it = model.find(from);
      const int* found = map.find(from);
      ASSERT_EQ(found != nullptr, it != model.end());
      if (found != nullptr) {
        ASSERT_EQ(*found, it->second);
      }
    }
  }
  for (const auto& [key, value] : std::map(model)) map.erase(key);
  EXPECT_EQ(map.size(), 0u);
}

// Changes where nothing is shared, and copies taken now and then, which must not notice.
TEST(Map, ChangedInPlaceItLeavesCopiesAlone) {
  std::mt19937 random(11);
  IntMap map;
  std::map<std::string, int> model;
  std::vector<std::pair<IntMap, std::map<std::string, int>>> copies;
  for (int step = 0; step < 60'000; ++step) {
    const std::string key = some_key(random);
    if (random() % 100 < (step < 30'000 ? 20 : 70)) {
      map.erase(key);
      model.erase(key);
    } else {
      map.set(key, std::make_shared<const int>(step));
      model[key] = step;
    }
    ASSERT_EQ(map.size(), model.size());
    if (step % 3000 == 0) copies.emplace_back(map, model);
    if (step % 7000 == 0 && !copies.empty()) copies.erase(copies.begin());
  }
  EXPECT_EQ(contents(map), model);
  for (const auto& [copy, then] : copies) ASSERT_EQ(contents(copy), then);
}

TEST(Map, OldValuesStayAsTheyWere) {
  IntMap map;
  for (int i = 0; i < 1000; ++i) map.set(std::to_string(i), std::make_shared<const int>(i));
  const IntMap before = map;
  for (int i = 0; i < 1000; i += 2) map.erase(std::to_string(i));
  map.set("1", std::make_shared<const int>(-1));
  EXPECT_EQ(before.size(), 1000u);
  EXPECT_EQ(*before.find("1"), 1);
  EXPECT_EQ(*before.find("2"), 2);
  EXPECT_EQ(map.find("2"), nullptr);
  EXPECT_EQ(*map.find("1"), -1);
}

TEST(Map, BuilderTakesAscendingKeysOnly) {
  IntMap::Builder builder;
  EXPECT_TRUE(builder.add("a", std::make_shared<const int>(1)));
  EXPECT_FALSE(builder.add("a", std::make_shared<const int>(2)));
  EXPECT_TRUE(builder.add("b", std::make_shared<const int>(3)));
  EXPECT_FALSE(builder.add("a", std::make_shared<const int>(4)));
  EXPECT_EQ(contents(std::move(builder).finish()), (std::map<std::string, int>{{"a", 1}, {"b", 3}}));
}

TEST(Map, BuiltMapsChangeLikeOthers) {
  for (const size_t count : {0u, 1u, 47u, 48u, 49u, 9216u, 9217u, 50'000u}) {
    std::map<std::string, int> model;
    for (size_t i = 0; i < count; ++i) model[std::to_string(i * 7919 % 1'000'003)] = static_cast<int>(i);
    IntMap::Builder builder;
    for (const auto& [key, value] : model) ASSERT_TRUE(builder.add(key, std::make_shared<const int>(value)));
    IntMap map = std::move(builder).finish();
    ASSERT_EQ(map.size(), model.size());
    ASSERT_EQ(contents(map), model);
    map.set("", std::make_shared<const int>(-1));
    map.set("zzz", std::make_shared<const int>(-2));
    model[""] = -1;
    model["zzz"] = -2;
    ASSERT_EQ(contents(map), model);
  }
}

TEST(Map, VisitPrefixStopsAtItsEnd) {
  IntMap map;
  for (const char* key : {"a", "ab1", "ab2", "ac", "b"}) map.set(key, std::make_shared<const int>(0));
  std::vector<std::string> seen;
  map.visit_prefix("ab", [&](const IntMap::Entry& entry) {
    seen.push_back(entry.key);
    return true;
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"ab1", "ab2"}));
}

}  // namespace
}  // namespace fleetward::state
