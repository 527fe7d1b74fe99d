#include "pipeline/report_intake.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <unordered_map>

#include <xxhash.h>

#include "core/encoding.h"
#include "core/json.h"
#include "detect/event.h"
#include "pipeline/per_thread.h"
#include "pipeline/report_reply.h"

namespace fleetward::pipeline {
namespace {

constexpr size_t kThingBytesMax = 128;  // of a thing name in the topic, as AWS checks it

// When things last reported, for the minimum delay. Striped, so that shards seldom meet.
class Throttle {
 public:
  Throttle(Duration delay, size_t things_max) : delay_(delay), stripe_max_(things_max / kStripes + 1) {}

  // True if the report may pass; then it counts.
  bool admit(std::string_view thing, Timestamp now) {
    if (delay_.count() <= 0) return true;
    Stripe& stripe = stripes_[XXH3_64bits(thing.data(), thing.size()) % kStripes];
    const std::lock_guard lock(stripe.mutex);
    auto& last = stripe.last;
    const auto it = last.find(std::string(thing));
    if (it != last.end() && now - it->second < delay_ && it->second <= now) return false;
    if (it != last.end()) {
      it->second = now;
    } else {
      if (last.size() >= stripe_max_) {
        std::erase_if(last, [&](const auto& entry) { return now - entry.second >= delay_; });
      }
      if (last.size() < stripe_max_) last.emplace(thing, now);
    }
    return true;
  }

 private:
  static constexpr size_t kStripes = 64;
  struct Stripe {
    std::mutex mutex;
    std::unordered_map<std::string, Timestamp> last;
  };
  Duration delay_;
  size_t stripe_max_;
  std::array<Stripe, kStripes> stripes_;
};

// Counts what passes in the second under way, for all shards together.
class RateLimit {
 public:
  explicit RateLimit(uint32_t per_second) : per_second_(per_second) {}

  // True if one more may pass; then it counts.
  bool admit(Timestamp now) {
    if (per_second_ == 0) return true;
    const uint64_t second = static_cast<uint64_t>(now.ms / 1000) & UINT32_MAX;
    uint64_t seen = state_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t count = seen >> 32 == second ? seen & UINT32_MAX : 0;
      if (count >= per_second_) return false;
      if (state_.compare_exchange_weak(seen, second << 32 | (count + 1), std::memory_order_relaxed))
        return true;
    }
  }

 private:
  const uint32_t per_second_;
  std::atomic<uint64_t> state_{0};  // second, count
};

class LogReportIntake final : public ReportIntake {
 public:
  LogReportIntake(ReportIntakeOptions options, Metrics& metrics)
      : options_(options),
        throttle_(options.minimum_delay, options.throttled_things_max),
        rate_(options.rate_max),
        workers_([limits = options.limits] { return std::make_unique<Worker>(limits); }),
        accepted_(counter(metrics, "accepted")),
        invalid_(counter(metrics, "invalid_payload")),
        missing_header_(counter(metrics, "missing_header")),
        throttled_(counter(metrics, "throttled")) {}

  void on_report(std::string_view thing, detect::ReportFormat format, std::string_view payload, Timestamp now,
                 log::Batch& batch, std::vector<broker::MessagePtr>& replies) override {
    Worker& worker = workers_.get();
    auto parsed = check(worker, thing, format, payload, now);
    if (!parsed) {
      rejected_counter(parsed.error().code).Increment();
      replies.push_back(rejected_reply(thing, format, parsed.error(), now));
      return;
    }
    worker.record.clear();
    detect::encode_report_event(thing, now, worker.report, worker.record);
    batch.append({"events", partition_of(thing, options_.partitions)}, worker.record, now);
    accepted_.Increment();
    replies.push_back(accepted_reply(thing, format, worker.report.id, now));
  }

 private:
  struct Worker {
    explicit Worker(const detect::ReportLimits& limits) : parser(limits) {}
    detect::ReportParser parser;
    detect::Report report;
    std::string record;  // reused
  };

  static prometheus::Counter& counter(Metrics& metrics, const char* result) {
    return metrics.counter("fleetward_detect_reports_total", "Device reports by what became of them.",
                           {{"result", result}});
  }

  tl::expected<void, detect::Rejection> check(Worker& worker, std::string_view thing,
                                              detect::ReportFormat format, std::string_view payload,
                                              Timestamp now) {
    using Code = detect::Rejection::Code;
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (thing.empty() || thing.size() > kThingBytesMax || !is_utf8(thing) ||
        std::any_of(thing.begin(), thing.end(), control)) {
      return tl::unexpected(detect::Rejection{
          Code::kInvalidPayload,
          "Malformed metrics report: the thing name has control characters or more than 128 bytes", 0});
    }
    if (auto parsed = worker.parser.parse(format, payload, worker.report); !parsed) return parsed;
    if (!rate_.admit(now)) {
      return tl::unexpected(detect::Rejection{
          Code::kThrottled,
          "The account's reports exceed " + std::to_string(options_.rate_max) + " in a second",
          worker.report.id});
    }
    if (!throttle_.admit(thing, now)) {
      return tl::unexpected(detect::Rejection{Code::kThrottled,
                                              "Reports of one device must be at least " +
                                                  std::to_string(options_.minimum_delay.count() / 1000) +
                                                  " seconds apart",
                                              worker.report.id});
    }
    return {};
  }

  prometheus::Counter& rejected_counter(detect::Rejection::Code code) {
    if (code == detect::Rejection::Code::kMissingHeader) return missing_header_;
    return code == detect::Rejection::Code::kThrottled ? throttled_ : invalid_;
  }

  const ReportIntakeOptions options_;
  Throttle throttle_;
  RateLimit rate_;
  PerThread<Worker> workers_;
  prometheus::Counter &accepted_, &invalid_, &missing_header_, &throttled_;
};

}  // namespace

std::unique_ptr<ReportIntake> make_report_intake(ReportIntakeOptions options, Metrics& metrics) {
  return std::make_unique<LogReportIntake>(options, metrics);
}

uint32_t partition_of(std::string_view thing, uint32_t partitions) {
  return static_cast<uint32_t>(XXH3_64bits(thing.data(), thing.size()) % partitions);
}

}  // namespace fleetward::pipeline
