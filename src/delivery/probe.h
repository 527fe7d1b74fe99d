#pragma once

#include "core/metrics.h"

namespace fleetward::delivery {

// The metrics of delivery. Labels are states and reasons, never names of streams.
struct Probe {
  explicit Probe(Metrics& metrics);

  prometheus::Counter& objects;
  prometheus::Counter& object_bytes;
  prometheus::Counter& records;
  prometheus::Histogram& upload_seconds;
  prometheus::Counter& failed_role;
  prometheus::Counter& failed_store;
  prometheus::Counter& failed_log;
  prometheus::Counter& dropped_retention;
  prometheus::Counter& dropped_deleted;
  prometheus::Gauge& buffering_bytes;
  prometheus::Gauge& buffering_age_seconds;
  prometheus::Gauge& buffering_streams;
  prometheus::Gauge& failing_bytes;
  prometheus::Gauge& failing_age_seconds;
  prometheus::Gauge& failing_streams;
};

}  // namespace fleetward::delivery
