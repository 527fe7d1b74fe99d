#pragma once

#include <map>
#include <string>

#include "alerts/sns_deliveries.h"
#include "alerts/target.h"
#include "core/logger.h"
#include "core/metrics.h"

namespace fleetward::alerts {

// What became of deliveries, in counters and lines. Those of a target have a label `target`, those of SNS
// none.
class DeliveryMetrics {
 public:
  DeliveryMetrics(const std::vector<Target>& targets, Logger& logger, Metrics& metrics);

  void notification() { notifications_.Increment(); }
  void waits(const Delivery& delivery) { of(delivery).pending.Increment(); }
  void delivered(const Delivery& delivery);
  // The attempt failed and will be made again.
  void retried(const Delivery& delivery, const std::string& detail);
  // A pending delivery was given up.
  void dropped(const Delivery& delivery, std::string_view reason, const std::string& detail);
  // What never became a pending delivery; `count` of one line.
  void dropped(const Dropped& what, size_t count = 1);

 private:
  struct Counters {
    prometheus::Counter &delivered, &retried;
    prometheus::Gauge& pending;
  };
  Counters add(const std::string& target);
  Counters& of(const Delivery& delivery);

  Logger& logger_;
  Metrics& metrics_;
  prometheus::Counter& notifications_;
  std::map<std::string, Counters> counters_;  // by target; "": SNS
};

}  // namespace fleetward::alerts
