#include "pipeline/observation_sink.h"

#include "detect/event.h"
#include "pipeline/report_intake.h"

namespace fleetward::pipeline {
namespace {

void translate_messages(const broker::MessageCounters& seen, detect::MessageCounters& out) {
  out.messages_sent = seen.messages_sent;
  out.messages_received = seen.messages_received;
  out.message_bytes_total = seen.message_bytes_total;
  out.message_bytes_min = seen.message_bytes_min;
  out.message_bytes_max = seen.message_bytes_max;
  out.authorization_failures = seen.authorization_failures;
}

void translate_addresses(const std::vector<std::string>& seen, std::vector<detect::IpAddress>& out) {
  for (const std::string& text : seen) {
    detect::IpAddress address;
    if (detect::IpAddress::parse(text, address)) out.push_back(address);
  }
}

detect::Observation translate(const broker::Observation& seen) {
  detect::Observation out;
  translate_messages(seen, out);
  out.from = seen.from;
  out.to = seen.to;
  out.connection_attempts = seen.connection_attempts;
  out.disconnects = seen.disconnects;
  out.connected = seen.connected;
  out.disconnected_since = seen.disconnected_since;
  translate_addresses(seen.source_addresses, out.addresses);
  for (const broker::DimensionCounters& counters : seen.dimensions) {
    detect::DimensionCounters& kept = out.dimensions.emplace_back();
    kept.dimension = {counters.dimension,
                      counters.in ? detect::DimensionOperator::kIn : detect::DimensionOperator::kNotIn};
    translate_messages(counters, kept);
    translate_addresses(counters.source_addresses, kept.addresses);
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
