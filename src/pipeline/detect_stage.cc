#include "pipeline/detect_stage.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "core/text.h"
#include "pipeline/detect_keys.h"
#include "pipeline/detect_writer.h"

namespace fleetward::pipeline {
namespace {

constexpr const char* kConsumer = "detect";
constexpr Duration kIdleMax{500};         // between looks at the clock and at the control state
constexpr Duration kSettleInterval{400};  // with kIdleMax: alarms follow a change within a second
constexpr Duration kExpiryInterval{3'600'000};
constexpr size_t kScanMax = 1000;  // keys of one read

log::Partition events_of(uint32_t index) {
  return {"events", index};
}

}  // namespace

Result<uint32_t> settle_partitions(log::Log& log, uint32_t wanted) {
  auto stored = log.get(keys::kPartitions);
  if (!stored) return fail(stored.error());
  if (*stored) {
    const auto count = parse_number<uint32_t>(**stored);
    if (!count || *count == 0) {
      return fail(ErrorCode::kCorrupt, "the stored number of detect's partitions does not parse");
    }
    return *count;
  }
  log::Batch batch;
  batch.put(std::string(keys::kPartitions), std::to_string(wanted));
  if (auto done = log.write(std::move(batch)); !done) return fail(done.error());
  return wanted;
}

struct DetectStage::Counters {
  explicit Counters(Metrics& metrics)
      : events(metrics.counter("fleetward_detect_events_total", "Events applied by the detect stage.")),
        corrupt(metrics.counter("fleetward_detect_corrupt_records_total",
                                "Stored events and states that do not parse.")),
        duplicates(metrics.counter("fleetward_detect_duplicate_reports_total",
                                   "Reports whose id the device used lately.")),
        refused(metrics.counter("fleetward_detect_refused_things_total",
                                "Events of things beyond the bound on monitored things.")),
        things(metrics.gauge("fleetward_detect_things", "Monitored things.")) {
    for (const auto type : {detect::ViolationEvent::Type::kInAlarm, detect::ViolationEvent::Type::kCleared,
                            detect::ViolationEvent::Type::kInvalidated}) {
      violations[static_cast<size_t>(type)] =
          &metrics.counter("fleetward_detect_violations_total", "Violation events by type.",
                           {{"type", std::string(detect::to_string(type))}});
    }
  }
  prometheus::Counter &events, &corrupt, &duplicates, &refused;
  prometheus::Gauge& things;
  prometheus::Counter* violations[3];
};

struct DetectStage::PartitionState {
  PartitionState(uint32_t i, const DetectStage& stage)
      : index(i),
        engine(stage.options_.engine),
        writer(i, stage.options_.alerts_without_sns, stage.account_, stage.log_, stage.logger_) {}

  uint32_t index;
  detect::Engine engine;
  detect::ConfigPtr config;  // the engine's
  detect::Effects effects;
  detect::Event event;  // reused
  DetectWriter writer;
  bool unsettled = false;    // the configuration changed since settling began
  uint32_t settle_next = 0;  // where settling goes on; 0: not under way
  Timestamp settling_since;
  log::Offset next = 0;
  // Of the step under way, kept until the log has taken it: the engine is ahead of the log until then.
  bool applied = false;  // `effects` are those of the records up to `applied_next`
  log::Offset applied_next = 0;
  std::unique_ptr<log::Batch> batch;
  uint64_t duplicates = 0, refused = 0;  // already counted

  // Of what the effects keep.
  std::optional<Timestamp> oldest_value() const {
    std::optional<Timestamp> oldest;
    for (const detect::RetainedValues& values : effects.retained) {
      if (!oldest || values.time < *oldest) oldest = values.time;
    }
    return oldest;
  }
  void finish_step() {
    batch.reset();
    next = applied_next;
  }
};

DetectStage::DetectStage(DetectStageOptions options, log::Log& log, const state::Store& store,
                         DetectTables tables, registry::Tables registry, AccountScope account,
                         const Clock& clock, Logger& logger, Metrics& metrics)
    : options_(options),
      log_(log),
      store_(store),
      thresholds_(options.partitions, options.engine.population_min, log, logger, metrics),
      builder_(tables, registry, account),
      account_(account),
      clock_(clock),
      logger_(logger),
      counters_(std::make_unique<Counters>(metrics)),
      fold_({.partitions = options.partitions, .values_kept = options.values_kept}, log, clock, logger,
            metrics) {
  const int64_t tick = options_.engine.tick.count();
  last_tick_.ms = clock_.now().ms / tick * tick;
  for (uint32_t i = 0; i < options_.partitions; ++i) {
    partitions_.push_back(std::make_unique<PartitionState>(i, *this));
  }
}

DetectStage::~DetectStage() {
  stop();
}

Status DetectStage::load() {
  if (auto fresh = builder_.refresh(store_.snapshot())) config_ = std::move(fresh);
  thresholds_.load();
  size_t things = 0;
  for (auto& partition : partitions_) {
    configure(*partition);
    partition->next = log_.committed(kConsumer, events_of(partition->index));
    const std::string prefix = keys::thing_prefix(partition->index);
    const std::string end = keys::after_prefix(prefix);
    for (std::string from = prefix;;) {
      auto page = log_.scan(from, end, kScanMax);
      if (!page) return fail(page.error());
      for (const log::KeyValue& entry : *page) {
        const std::string_view name = std::string_view(entry.key).substr(prefix.size());
        if (auto ok = partition->engine.restore_thing(name, entry.value); !ok) {
          counters_->corrupt.Increment();
          logger_.error("detect.state_lost", {{"thing", name}, {"reason", ok.error().message}});
        }
      }
      if (page->size() < kScanMax) break;
      from = page->back().key + '\0';
    }
    things += partition->engine.things();
  }
  counters_->things.Set(static_cast<double>(things));
  return {};
}

void DetectStage::start() {
  // Refused by the log, it is tried again by the thread. Then a device may come back before it, and is taken
  // to have disconnected once more until the broker's next observation of it.
  if (options_.appends_ticks) (void)append_restart();
  fold_.start();
  thread_.start(log_, "events", [this] { run(); });
}

void DetectStage::stop() {
  thread_.stop();
  fold_.stop();
}

bool DetectStage::wait_for_work(bool failed) {
  if (failed) return thread_.pause(options_.retry_interval);
  const Duration left = Timestamp{last_tick_.ms + options_.engine.tick.count()} - clock_.now();
  // The wall clock may be set, and whom profiles reach may change without a record.
  return thread_.wait(std::clamp(left, Duration{1}, kIdleMax));
}

// Ticks and retention have their turn however much there is to read.
Result<bool> DetectStage::round() {
  if (options_.appends_ticks) {
    if (auto ok = append_due_ticks(); !ok) return fail(ok.error());
  }
  auto stepped = step();
  if (stepped && options_.appends_ticks) {
    if (auto ok = expire(); !ok) return fail(ok.error());
  }
  return stepped;
}

void DetectStage::run() {
  bool failed = false;
  while (wait_for_work(failed)) {
    const auto more = round();
    if (more && *more) thread_.wake();
    if (!more && !failed) logger_.error("detect.stalled", {{"reason", more.error().message}});
    if (more && failed) logger_.info("detect.resumed");
    failed = !more;
  }
}

void DetectStage::configure(PartitionState& p) {
  if (p.config == config_ || !config_) return;
  p.engine.configure(config_);
  p.config = config_;
  p.unsettled = true;
}

// All partitions share one sync: their batches are handed over together.
Result<bool> DetectStage::step() {
  if (auto fresh = builder_.refresh(store_.snapshot())) config_ = std::move(fresh);
  struct Outcome {
    std::mutex mutex;
    std::condition_variable done;
    size_t left = 0;
    std::vector<Status> of;
  };
  const auto outcome = std::make_shared<Outcome>();
  std::vector<PartitionState*> ready;
  size_t things = 0;
  for (auto& partition : partitions_) {
    if (auto ok = prepare(*partition); !ok) return fail(ok.error());
    if (partition->batch) ready.push_back(partition.get());
    things += partition->engine.things();
  }
  counters_->things.Set(static_cast<double>(things));
  outcome->left = ready.size();
  outcome->of.resize(ready.size());
  for (size_t i = 0; i < ready.size(); ++i) {
    log_.submit(*ready[i]->batch, [outcome, i](const log::Committed& committed) {
      const std::lock_guard lock(outcome->mutex);
      if (!committed) outcome->of[i] = fail(committed.error());
      if (--outcome->left == 0) outcome->done.notify_one();
    });
  }
  std::unique_lock lock(outcome->mutex);
  outcome->done.wait(lock, [&] { return outcome->left == 0; });
  Status status;
  for (size_t i = 0; i < ready.size(); ++i) {
    if (!outcome->of[i]) {
      status = outcome->of[i];
    } else {
      ready[i]->finish_step();
      fold_.release(ready[i]->index);
    }
  }
  if (!status) return fail(status.error());
  const auto made = thresholds_.step(clock_.now());
  if (!made) return fail(made.error());
  return !ready.empty() || *made;
}

Status DetectStage::write(log::Batch batch) {
  auto done = log_.write(std::move(batch));
  if (!done) return fail(done.error());
  return {};
}

// Leaves the next batch of the partition in `p.batch`, or none if there is nothing to do.
Status DetectStage::prepare(PartitionState& p) {
  if (p.batch) return {};
  if (!p.applied) {
    if (auto ok = apply_records(p); !ok) return ok;
    if (!p.applied) return {};
  }
  auto batch = std::make_unique<log::Batch>();
  if (auto ok = p.writer.write(p.engine, p.effects, clock_.now(), *batch); !ok) return ok;
  if (p.effects.populations_tick.ms != 0) {
    detect::PopulationsRecord record{p.effects.populations_tick, p.index, std::move(p.effects.populations)};
    std::string bytes;
    detect::encode_populations(record, bytes);
    batch->append({ThresholdMaker::kStream, 0}, std::move(bytes), clock_.now());
  }
  count(p);
  if (const auto oldest = p.oldest_value()) fold_.claim(p.index, keys::day_of(*oldest));
  p.effects.clear();
  p.applied = false;
  batch->commit(kConsumer, events_of(p.index), p.applied_next);
  batch->truncate(events_of(p.index), p.applied_next);
  batch->make_repeatable();
  p.batch = std::move(batch);
  return {};
}

// Whom the profiles reach may change many times a second: each time costs a look at every thing.
void DetectStage::settle(PartitionState& p) {
  const Timestamp now = clock_.now();
  if (p.settle_next == 0) {
    const Duration passed = now - p.settling_since;
    if (!p.unsettled || (passed < kSettleInterval && passed >= Duration{0})) return;
    p.unsettled = false;
    p.settling_since = now;
  }
  do {
    p.settle_next = p.engine.settle(p.settle_next, now, p.next, options_.tick_things_max, p.effects);
  } while (p.settle_next != 0 && p.effects.changed.empty());
}

Status DetectStage::apply_records(PartitionState& p) {
  auto records = log_.read(events_of(p.index), p.next, options_.read_bytes_max);
  if (!records) return fail(records.error());
  configure(p);
  settle(p);
  bool tick_unfinished = false;
  p.applied_next = p.next;
  for (size_t i = 0; i < records->size() && !tick_unfinished; ++i) {
    const log::Record& record = (*records)[i];
    if (const size_t ahead = i + detect::Engine::kPrefetchAhead; ahead < records->size()) {
      p.engine.prefetch(detect::peek_thing((*records)[ahead].value));
    }
    if (auto ok = detect::decode_event(record.value, p.event); !ok) {
      counters_->corrupt.Increment();
      logger_.error("detect.corrupt_event", {{"partition", std::to_string(p.index)},
                                             {"offset", std::to_string(record.offset)},
                                             {"reason", ok.error().message}});
    } else if (p.event.kind == detect::Event::Kind::kTick) {
      tick_unfinished = !p.engine.tick(p.event.time, record.offset, options_.tick_things_max, p.effects);
    } else if (p.event.kind == detect::Event::Kind::kThresholds) {
      tick_unfinished = !p.engine.judge(p.event, record.offset, options_.tick_things_max, p.effects);
    } else if (p.event.kind == detect::Event::Kind::kRestart) {
      tick_unfinished = !p.engine.restart(p.event.time, record.offset, options_.tick_things_max, p.effects);
    } else {
      p.engine.apply(p.event, record.offset, p.effects);
    }
    if (!tick_unfinished) p.applied_next = record.offset + 1;
  }
  p.applied = !records->empty() || !p.effects.changed.empty();
  return {};
}

void DetectStage::count(PartitionState& p) {
  counters_->events.Increment(static_cast<double>(p.applied_next - p.next));
  for (const detect::ViolationEvent& event : p.effects.events) {
    counters_->violations[static_cast<size_t>(event.type)]->Increment();
  }
  const detect::EngineCounters& counted = p.engine.counters();
  counters_->duplicates.Increment(static_cast<double>(counted.duplicate_reports - p.duplicates));
  counters_->refused.Increment(static_cast<double>(counted.refused_things - p.refused));
  p.duplicates = counted.duplicate_reports;
  p.refused = counted.refused_things;
}

void DetectStage::append_to_all(const std::string& record, Timestamp at) {
  own_records_.emplace();
  for (uint32_t i = 0; i < options_.partitions; ++i) own_records_->append(events_of(i), record, at);
  own_records_->make_repeatable();
}

Status DetectStage::write_own_records() {
  if (!own_records_) return {};
  if (auto ok = write(*own_records_); !ok) return ok;
  own_records_.reset();
  return {};
}

Status DetectStage::append_restart() {
  const Timestamp now = clock_.now();
  std::string record;
  detect::encode_restart_event(now, record);
  append_to_all(record, now);
  return write_own_records();
}

Status DetectStage::append_due_ticks() {
  const int64_t tick = options_.engine.tick.count();
  const Timestamp boundary{clock_.now().ms / tick * tick};
  // The wall clock was set back: ticks go on from there, rather than wait until it has caught up.
  if (boundary < last_tick_) last_tick_ = boundary;
  if (boundary > last_tick_ && !own_records_) {
    std::string record;
    detect::encode_tick_event(boundary, record);
    append_to_all(record, boundary);
    last_tick_ = boundary;
  }
  return write_own_records();
}

Status DetectStage::expire() {
  const Timestamp now = clock_.now();
  if (now - last_expiry_ < kExpiryInterval) return {};
  const int64_t values_before = keys::day_of(now - options_.values_kept);
  const int64_t events_before = keys::day_of(now - options_.violations_kept);
  log::Batch batch;
  bool rest = false;
  for (uint32_t p = 0; p < options_.partitions; ++p) {
    // What was said of violations goes with them.
    auto ended = log_.scan(keys::ended_day(p, 0), keys::ended_day(p, events_before), kScanMax);
    if (!ended) return fail(ended.error());
    for (const log::KeyValue& entry : *ended) {
      const std::string_view violation = std::string_view(entry.key).substr(entry.key.rfind('/') + 1);
      batch.erase(keys::verification(violation));
      batch.erase(keys::opened_prefix(p) + std::string(violation));
      batch.erase(entry.key);
    }
    batch.erase_range(keys::values_day(p, 0), keys::values_day(p, values_before));
    batch.erase_range(keys::history_day(p, 0), keys::history_day(p, values_before));
    batch.erase_range(keys::events_day(p, 0), keys::events_day(p, events_before));
    rest = rest || ended->size() == kScanMax;
  }
  if (auto ok = write(std::move(batch)); !ok) return ok;
  if (!rest) last_expiry_ = now;
  return {};
}

Result<bool> DetectStage::fold() {
  return fold_.step();
}

}  // namespace fleetward::pipeline
