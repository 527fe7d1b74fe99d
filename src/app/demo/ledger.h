#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "app/simulate/fleet.h"
#include "core/result.h"

namespace fleetward::app::demo {

// What the fleet sent beside what the lake holds. Pure.
struct Ledger {
  // From the fleet.
  uint64_t reports_sent = 0;
  uint64_t messages_received = 0;  // by the devices
  uint64_t payload_bytes_sent = 0;
  // From the lake.
  size_t objects = 0;
  uint64_t object_bytes = 0;
  uint64_t batches = 0;
  uint64_t datapoints = 0;
  uint64_t values_delivered = 0;  // of the custom metric
  uint64_t messages_received_delivered = 0;
  uint64_t payload_bytes_delivered = 0;
  // Sent and not in the lake, or in the lake more often than sent.
  uint64_t missing = 0, surplus = 0;

  bool equal() const {
    return missing == 0 && surplus == 0 && messages_received == messages_received_delivered &&
           payload_bytes_sent == payload_bytes_delivered;
  }
};

// `objects`: key to bytes. kMalformed if one does not hold exported batches.
Result<Ledger> compare(const std::vector<simulate::SentReport>& sent, const simulate::DeviceCounters& totals,
                       const std::map<std::string, std::string>& objects, const std::string& metric);

}  // namespace fleetward::app::demo
