#include "delivery/probe.h"

namespace fleetward::delivery {
namespace {

constexpr const char* kFailures = "fleetward_delivery_failures_total";
constexpr const char* kFailuresHelp = "Attempts to deliver an object that failed";
constexpr const char* kDropped = "fleetward_delivery_dropped_records_total";
constexpr const char* kDroppedHelp = "Records given up";
constexpr const char* kBytes = "fleetward_delivery_backlog_bytes";
constexpr const char* kBytesHelp = "Bytes of records waiting for delivery, before compression";
constexpr const char* kAge = "fleetward_delivery_oldest_seconds";
constexpr const char* kAgeHelp = "Age of the oldest record waiting for delivery";
constexpr const char* kStreams = "fleetward_delivery_streams";
constexpr const char* kStreamsHelp = "Streams with records waiting for delivery";

}  // namespace

Probe::Probe(Metrics& m)
    : objects(m.counter("fleetward_delivery_objects_total", "Objects delivered")),
      object_bytes(
          m.counter("fleetward_delivery_object_bytes_total", "Bytes of objects delivered, as stored")),
      records(m.counter("fleetward_delivery_records_total", "Records delivered")),
      upload_seconds(m.histogram("fleetward_delivery_upload_seconds", "Time to store one object",
                                 {0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30})),
      failed_role(m.counter(kFailures, kFailuresHelp, {{"reason", "role"}})),
      failed_store(m.counter(kFailures, kFailuresHelp, {{"reason", "store"}})),
      failed_log(m.counter(kFailures, kFailuresHelp, {{"reason", "log"}})),
      dropped_retention(m.counter(kDropped, kDroppedHelp, {{"reason", "retention"}})),
      dropped_deleted(m.counter(kDropped, kDroppedHelp, {{"reason", "stream_deleted"}})),
      buffering_bytes(m.gauge(kBytes, kBytesHelp, {{"state", "buffering"}})),
      buffering_age_seconds(m.gauge(kAge, kAgeHelp, {{"state", "buffering"}})),
      buffering_streams(m.gauge(kStreams, kStreamsHelp, {{"state", "buffering"}})),
      failing_bytes(m.gauge(kBytes, kBytesHelp, {{"state", "failing"}})),
      failing_age_seconds(m.gauge(kAge, kAgeHelp, {{"state", "failing"}})),
      failing_streams(m.gauge(kStreams, kStreamsHelp, {{"state", "failing"}})) {}

}  // namespace fleetward::delivery
