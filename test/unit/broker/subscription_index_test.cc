#include "broker/subscription_index.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fleetward::broker {
namespace {

std::vector<int> find(const SubscriptionIndex<int>& index, const std::string& topic) {
  std::vector<int> out;
  index.match(topic, [&](int value) { out.push_back(value); });
  std::sort(out.begin(), out.end());
  return out;
}

void erase(SubscriptionIndex<int>::Values& values, int value) {
  values.erase(std::remove(values.begin(), values.end(), value), values.end());
}

std::string random_text(std::mt19937& random, bool filter) {
  const std::vector<std::string> words = {"a", "b", "c", "", "$aws"};
  const size_t levels = 1 + random() % 5;
  std::string out;
  for (size_t i = 0; i < levels; ++i) {
    if (i > 0) out += '/';
    const unsigned pick = random() % 10;
    if (filter && pick < 3) {
      out += '+';
    } else if (filter && pick < 4 && i + 1 == levels) {
      out += '#';
    } else {
      out += words[random() % words.size()];
    }
  }
  return out;
}

// The trie against the plain definition, with additions and removals, under both habits.
TEST(SubscriptionIndex, agrees_with_the_definition) {
  for (const auto& options : {mqtt::MatchOptions{}, mqtt::MatchOptions::aws()}) {
    std::mt19937 random(7);
    SubscriptionIndex<int> index(options);
    std::vector<std::string> filters;
    std::set<int> present;
    for (int i = 0; i < 400; ++i) {
      filters.push_back(random_text(random, true));
      index.at(filters.back()).push_back(i);
      present.insert(i);
      if (random() % 3 == 0) {
        const int victim = static_cast<int>(random() % filters.size());
        const std::string& filter = filters[static_cast<size_t>(victim)];
        auto* values = index.find(filter);
        if (present.erase(victim) == 1) {
          ASSERT_NE(values, nullptr);
          erase(*values, victim);
          if (values->empty()) index.prune(filter);
        }
      }
      const std::string topic = random_text(random, false);
      if (mqtt::check_topic_name(topic) != mqtt::TopicFault::kNone) continue;
      std::vector<int> expected;
      for (const int id : present) {
        if (mqtt::matches(filters[static_cast<size_t>(id)], topic, options)) expected.push_back(id);
      }
      ASSERT_EQ(find(index, topic), expected) << topic;
    }
    for (const int id : present) {
      const std::string& filter = filters[static_cast<size_t>(id)];
      erase(*index.find(filter), id);
      index.prune(filter);
    }
    EXPECT_TRUE(index.empty());
  }
}

}  // namespace
}  // namespace fleetward::broker
