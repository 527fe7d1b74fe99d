#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "alerts/delivery.h"
#include "core/time.h"

namespace fleetward::alerts {

// How many attempts a destination may have open at once, and whether they count among the shared ones.
struct LaneLimits {
  size_t in_flight_max = 2;
  bool shared = true;  // with all other shared lanes, at most Pending's shared_in_flight_max
};

// The deliveries that are neither done nor given up, in a lane for each destination, so that a slow one
// delays only itself. What each call costs does not depend on how many wait. Times are elapsed ones, of
// a steady clock. Pure, not thread safe.
class Pending {
 public:
  explicit Pending(size_t shared_in_flight_max) : shared_in_flight_max_(shared_in_flight_max) {}

  // Waits until `due`. A key that is there already is passed over.
  void add(Delivery delivery, const LaneLimits& limits, Timestamp due);
  // Takes the delivery whose turn it is and counts its attempt as open; nullptr: none may start now. The
  // pointer holds until remove(); key and destination are not to be changed through it.
  Delivery* start_next(Timestamp now);
  // Of one in flight; nullptr if there is none.
  Delivery* find(const std::string& key);
  // Its attempt ended without success: it waits until `due`.
  void retry(const std::string& key, Timestamp due);
  // Its attempt ended for good.
  void remove(const std::string& key);

  // The first time after `now` at which a delivery becomes due; nullopt: none. Those that only wait for
  // another attempt to end are not counted.
  std::optional<Timestamp> next_due(Timestamp now) const;
  size_t of_destination(const std::string& destination) const;
  size_t of_shared() const { return shared_; }

 private:
  using Turn = std::pair<int64_t, std::string>;  // milliseconds; the key of a delivery or a lane
  struct Lane {
    LaneLimits limits;
    size_t deliveries = 0, in_flight = 0;
    std::set<Turn> due;  // of those not in flight
    std::optional<int64_t> turn;
  };
  using Lanes = std::map<std::string, Lane>;

  // Puts the lane where its first delivery says, or out of the way; forgets it once it is empty.
  void settle(Lanes::iterator lane);
  Delivery* start_first(std::set<Turn>& turns, Timestamp now);
  void end_attempt(Lane& lane);

  const size_t shared_in_flight_max_;
  size_t shared_ = 0, shared_in_flight_ = 0;
  std::map<std::string, Delivery> deliveries_;  // by key
  Lanes lanes_;
  std::set<Turn> shared_turns_, own_turns_;  // of the lanes that may start another attempt
};

}  // namespace fleetward::alerts
