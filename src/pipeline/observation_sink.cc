#include "pipeline/observation_sink.h"

#include "detect/event.h"
#include "pipeline/report_intake.h"

namespace fleetward::pipeline {
namespace {

detect::Observation translate(const broker::Observation& seen) {
  detect::Observation out;
  out.from = seen.from;
  out.to = seen.to;
  out.messages_sent = seen.messages_sent;
  out.messages_received = seen.messages_received;
  out.message_bytes_total = seen.message_bytes_total;
  out.message_bytes_min = seen.message_bytes_min;
  out.message_bytes_max = seen.message_bytes_max;
  out.authorization_failures = seen.authorization_failures;
  out.connection_attempts = seen.connection_attempts;
  out.disconnects = seen.disconnects;
  out.connected = seen.connected;
  out.disconnected_since = seen.disconnected_since;
  for (const std::string& text : seen.source_addresses) {
    detect::IpAddress address;
    if (detect::IpAddress::parse(text, address)) out.addresses.push_back(address);
  }
  return out;
}

}  // namespace

LogObservationSink::LogObservationSink(uint32_t partitions, log::Log& log, Logger& logger, Metrics& metrics)
    : partitions_(partitions),
      log_(log),
      logger_(logger),
      kept_(metrics.counter("fleetward_detect_observations_total", "Observations of connections, by result.",
                            {{"result", "kept"}})),
      lost_(metrics.counter("fleetward_detect_observations_total", "Observations of connections, by result.",
                            {{"result", "lost"}})) {}

void LogObservationSink::on_observations(std::vector<broker::Observation> batch) {
  log::Batch records;
  for (const broker::Observation& seen : batch) {
    if (seen.thing.empty()) continue;
    std::string record;
    detect::encode_observation_event(seen.thing, translate(seen), record);
    records.append({"events", partition_of(seen.thing, partitions_)}, std::move(record), seen.to);
  }
  if (records.empty()) return;
  const auto count = static_cast<double>(records.appends.size());
  log_.submit(std::move(records), [this, count](const log::Committed& done) {
    (done ? kept_ : lost_).Increment(count);
    if (!done) logger_.warn("detect.observations_lost", {{"reason", done.error().message}});
  });
}

}  // namespace fleetward::pipeline
