#include "alerts/pending.h"

#include <gtest/gtest.h>

namespace fleetward::alerts {
namespace {

Delivery one(const std::string& destination, uint64_t offset) {
  Delivery d;
  if (destination.starts_with("target/")) {
    d.target = destination.substr(7);
  } else {
    d.subscription = destination;
  }
  d.key = delivery_key(offset, destination);
  return d;
}

std::string started(Pending& pending, int64_t now) {
  std::string out;
  while (const Delivery* d = pending.start_next({now})) {
    out += (out.empty() ? "" : " ") + d->key.substr(kDeliveryPrefix.size() + 15);
  }
  return out;
}

TEST(Pending, EachLaneHasItsOwnFewAttemptsInOrder) {
  Pending pending(64);
  for (uint64_t offset = 1; offset <= 3; ++offset) pending.add(one("a", offset), {2, true}, {0});
  pending.add(one("b", 4), {2, true}, {0});
  EXPECT_EQ(started(pending, 0), "1/a 2/a 4/b");
  EXPECT_EQ(pending.of_destination("a"), 3u);
  EXPECT_EQ(pending.next_due({0}), std::nullopt);  // the third waits for an end, not for a time
  pending.remove(delivery_key(2, "a"));
  EXPECT_EQ(started(pending, 0), "3/a");
  EXPECT_EQ(pending.of_shared(), 3u);
}

TEST(Pending, ARetryWaitsForItsTimeAndLetsLaterOnesPass) {
  Pending pending(64);
  pending.add(one("a", 1), {1, true}, {0});
  pending.add(one("a", 2), {1, true}, {0});
  EXPECT_EQ(started(pending, 0), "1/a");
  pending.retry(delivery_key(1, "a"), {500});
  EXPECT_EQ(started(pending, 0), "2/a");
  pending.remove(delivery_key(2, "a"));
  EXPECT_EQ(pending.next_due({0}), Timestamp{500});
  EXPECT_EQ(started(pending, 499), "");
  EXPECT_EQ(started(pending, 500), "1/a");
}

TEST(Pending, TargetsDoNotShareTheAttemptsOfSns) {
  Pending pending(2);
  for (uint64_t offset = 1; offset <= 3; ++offset)
    pending.add(one(std::string(1, char('a' + offset)), offset), {2, true}, {0});
  pending.add(one("target/t", 4), {1, false}, {0});
  EXPECT_EQ(started(pending, 0), "4/target/t 1/b 2/c");
  EXPECT_EQ(pending.of_shared(), 3u);
  pending.remove(delivery_key(1, "b"));
  EXPECT_EQ(started(pending, 0), "3/d");
}

TEST(Pending, AKeyIsThereOnce) {
  Pending pending(2);
  pending.add(one("a", 1), {2, true}, {0});
  pending.add(one("a", 1), {2, true}, {0});
  EXPECT_EQ(pending.of_destination("a"), 1u);
  EXPECT_EQ(started(pending, 0), "1/a");
  pending.remove(delivery_key(1, "a"));
  EXPECT_EQ(pending.of_shared(), 0u);
  EXPECT_EQ(pending.find(delivery_key(1, "a")), nullptr);
}

}  // namespace
}  // namespace fleetward::alerts
