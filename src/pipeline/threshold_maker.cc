#include "pipeline/threshold_maker.h"

#include <algorithm>

namespace fleetward::pipeline {
namespace {

constexpr const char* kConsumer = "thresholds";
constexpr size_t kReadBytes = 8 << 20;

log::Partition populations() {
  return {ThresholdMaker::kStream, 0};
}

}  // namespace

ThresholdMaker::ThresholdMaker(uint32_t partitions, uint64_t population_min, log::Log& log, Logger& logger,
                               Metrics& metrics)
    : partitions_(partitions),
      population_min_(population_min),
      log_(log),
      logger_(logger),
      made_(metrics.counter("fleetward_detect_thresholds_total",
                            "Percentiles made of the values of all devices at a tick.")),
      skipped_(metrics.counter("fleetward_detect_populations_skipped_total",
                               "Behaviors that a tick did not judge by a percentile: too few devices, or a "
                               "negative value.")),
      given_up_(metrics.counter("fleetward_detect_population_ticks_given_up_total",
                                "Ticks whose values were not complete before those of a later one.")),
      corrupt_(metrics.counter("fleetward_detect_corrupt_records_total",
                               "Stored events and states that do not parse.")) {}

void ThresholdMaker::load() {
  next_ = log_.committed(kConsumer, populations());
}

Result<bool> ThresholdMaker::step(Timestamp now) {
  if (!outcome_) {
    if (auto ok = read(); !ok) return fail(ok.error());
    outcome_ = settle(now);
    if (!outcome_) return false;
  }
  if (auto written = log_.write(outcome_->batch); !written) return fail(written.error());
  if (outcome_->done) pending_.erase(*outcome_->done);
  std::erase_if(pending_, [&](const auto& entry) { return entry.second.first < outcome_->superseded; });
  given_up_.Increment(static_cast<double>(outcome_->given_up));
  outcome_.reset();
  return true;
}

std::optional<ThresholdMaker::Outcome> ThresholdMaker::settle(Timestamp now) {
  Outcome out;
  const auto done = complete();
  if (done != pending_.end()) {
    append_thresholds({done->first}, done->second, now, out.batch);
    out.done = done->first;
    out.superseded = done->second.first;
  } else if (pending_.size() > kPendingTicksMax) {
    out.superseded =
        std::min_element(pending_.begin(), pending_.end(),
                         [](const auto& a, const auto& b) { return a.second.first < b.second.first; })
            ->second.first +
        1;
  } else {
    return std::nullopt;
  }
  log::Offset first_kept = next_;
  for (auto it = pending_.begin(); it != pending_.end(); ++it) {
    if (it == done) continue;
    if (it->second.first < out.superseded) {
      ++out.given_up;
    } else {
      first_kept = std::min(first_kept, it->second.first);
    }
  }
  out.batch.commit(kConsumer, populations(), first_kept);
  out.batch.truncate(populations(), first_kept);
  out.batch.make_repeatable();
  return out;
}

Status ThresholdMaker::read() {
  while (next_ < log_.range(populations()).end) {
    auto records = log_.read(populations(), next_, kReadBytes);
    if (!records) return fail(records.error());
    for (const log::Record& record : *records) take(record);
    if (records->empty()) break;
    next_ = records->back().offset + 1;
  }
  return {};
}

void ThresholdMaker::take(const log::Record& record) {
  auto part = detect::decode_populations(record.value);
  if (!part || part->partition >= partitions_) {
    corrupt_.Increment();
    logger_.error("detect.corrupt_populations",
                  {{"offset", std::to_string(record.offset)},
                   {"reason", part ? "a partition that does not exist" : part.error().message}});
    return;
  }
  const auto [tick, fresh] = pending_.try_emplace(part->tick.ms);
  if (fresh) tick->second.first = record.offset;
  tick->second.parts.insert_or_assign(part->partition, std::move(part->populations));
}

// The complete tick with the latest records, if any.
std::map<int64_t, ThresholdMaker::Tick>::iterator ThresholdMaker::complete() {
  auto latest = pending_.end();
  for (auto it = pending_.begin(); it != pending_.end(); ++it) {
    if (it->second.parts.size() < partitions_) continue;
    if (latest == pending_.end() || it->second.first > latest->second.first) latest = it;
  }
  return latest;
}

void ThresholdMaker::append_thresholds(Timestamp tick, const Tick& parts, Timestamp now, log::Batch& batch) {
  std::vector<detect::Population> all;
  for (const auto& [partition, populations] : parts.parts) {
    all.insert(all.end(), populations.begin(), populations.end());
  }
  const auto skipped = [&](const detect::Population& population, std::string_view why) {
    skipped_.Increment();
    logger_.info("detect.percentile_skipped", {{"profile", population.profile},
                                               {"behavior", population.behavior},
                                               {"devices", std::to_string(population.values.size())},
                                               {"reason", why}});
  };
  const auto thresholds = detect::make_thresholds(std::move(all), population_min_, skipped);
  made_.Increment(static_cast<double>(thresholds.size()));
  if (thresholds.empty()) return;
  std::string record;
  detect::encode_thresholds_event(tick, thresholds, record);
  for (uint32_t i = 0; i < partitions_; ++i) batch.append({"events", i}, record, now);
}

}  // namespace fleetward::pipeline
