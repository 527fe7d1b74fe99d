#include "mqtt/inflight.h"

#include <deque>
#include <map>
#include <random>

#include <gtest/gtest.h>

namespace fleetward::mqtt {
namespace {

TEST(InflightWindow, ReusesIdentifiersInTheOrderTheyCameBack) {
  InflightWindow window;
  EXPECT_EQ(window.take(10), 1);
  EXPECT_EQ(window.take(20), 2);
  EXPECT_EQ(window.take(30), 3);
  EXPECT_EQ(window.release(2), 20U);
  EXPECT_EQ(window.release(1), 10U);
  EXPECT_EQ(window.release(1), std::nullopt);
  EXPECT_EQ(window.take(40), 2);
  EXPECT_EQ(window.take(50), 1);
  EXPECT_EQ(window.take(60), 4);
  EXPECT_EQ(window.release(0), std::nullopt);
  EXPECT_EQ(window.release(9), std::nullopt);
}

TEST(InflightWindow, AdoptsIdentifiersOfAnEarlierConnection) {
  InflightWindow window;
  EXPECT_TRUE(window.adopt(5, 100));
  EXPECT_FALSE(window.adopt(5, 101));
  EXPECT_FALSE(window.adopt(0, 101));
  EXPECT_TRUE(window.adopt(2, 200));
  EXPECT_EQ(window.take(300), 1);
  EXPECT_EQ(window.take(400), 3);
  EXPECT_EQ(window.take(500), 4);
  EXPECT_EQ(window.take(600), 6);
  const auto entries = window.entries();
  ASSERT_EQ(entries.size(), 6U);
  EXPECT_EQ(entries[0].packet_id, 5);
  EXPECT_EQ(entries[1].cookie, 200U);
  EXPECT_EQ(entries[5].packet_id, 6);
}

TEST(InflightWindow, AgreesWithAMap) {
  std::mt19937_64 random(7);
  InflightWindow window;
  std::map<uint16_t, uint64_t> model;
  for (uint64_t step = 0; step < 20'000; ++step) {
    if (model.size() < 60 && random() % 2 == 0) {
      const uint16_t id = window.take(step);
      EXPECT_TRUE(model.emplace(id, step).second);
      EXPECT_LE(id, 60);
    } else if (!model.empty()) {
      const auto at = std::next(model.begin(), static_cast<ptrdiff_t>(random() % model.size()));
      EXPECT_EQ(window.release(at->first), at->second);
      model.erase(at);
    }
    ASSERT_EQ(window.size(), model.size());
  }
}

TEST(AckRing, GivesBackInOrderOnly) {
  AckRing ring;
  std::deque<uint16_t> expected;
  std::vector<uint64_t> waiting;
  std::mt19937_64 random(3);
  for (uint16_t id = 1; id < 5000; ++id) {
    waiting.push_back(ring.push(id));
    expected.push_back(id);
    if (random() % 3 == 0) {
      std::shuffle(waiting.begin(), waiting.end(), random);
      for (const uint64_t ticket : waiting) {
        EXPECT_TRUE(ring.mark(ticket, ReasonCode::kSuccess));
        EXPECT_FALSE(ring.mark(ticket, ReasonCode::kSuccess));
        while (const auto done = ring.pop_marked()) {
          EXPECT_EQ(done->packet_id, expected.front());
          expected.pop_front();
        }
      }
      waiting.clear();
      EXPECT_EQ(ring.size(), 0U);
    }
  }
  EXPECT_FALSE(ring.mark(1'000'000, ReasonCode::kSuccess));
}

}  // namespace
}  // namespace fleetward::mqtt
