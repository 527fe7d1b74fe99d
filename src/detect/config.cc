#include "detect/config.h"

#include <algorithm>

#include <xxhash.h>

#include "detect/history.h"

namespace fleetward::detect {
namespace {

uint64_t hash_of(std::string_view text, uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

// A metric while the plan is put together.
struct Draft {
  std::string metric;
  uint64_t dimension = 0;
  const MetricInfo* builtin = nullptr;
  ValueKind kind = ValueKind::kCount;
  std::vector<uint32_t> destinations;
  std::vector<PlanBehavior> behaviors;
};

class PlanBuilder {
 public:
  PlanBuilder(const Profiles& profiles, const EngineOptions& options)
      : profiles_(profiles), options_(options), plan_(std::make_shared<Plan>()) {}

  void add(const SecurityProfilePtr& profile) {
    const int destination = profile->export_config ? destination_of(*profile) : -1;
    for (const BehaviorPtr& behavior : profile->behaviors) {
      Draft* draft = want(behavior->metric, behavior->dimension, behavior->export_metric ? destination : -1);
      if (draft == nullptr || !behavior->criteria || draft->kind != behavior->kind) continue;
      const uint64_t key = hash_of(profile->name, hash_of(behavior->name, behavior->fingerprint));
      draft->behaviors.push_back({profile, behavior, key, -1});
    }
    for (const std::string& metric : profile->retain) want(metric, {}, -1);
    for (const MetricToRetain& metric : profile->retain_v2) {
      want(metric.metric, metric.dimension, metric.export_metric ? destination : -1);
    }
  }

  PlanPtr finish() {
    for (auto& [series, draft] : drafts_) {
      PlanMetric metric;
      metric.builtin = draft.builtin;
      metric.name = draft.metric;
      metric.dimension = draft.dimension;
      metric.series = series;
      metric.row_code = row_code(series);
      metric.kind = draft.kind;
      metric.destinations = std::move(draft.destinations);
      metric.behaviors_begin = static_cast<uint32_t>(plan_->behaviors.size());
      metric.windows_begin = static_cast<uint32_t>(plan_->windows.size());
      for (PlanBehavior& behavior : draft.behaviors) {
        const int seconds = behavior.behavior->criteria->duration_seconds();
        const bool statistical = behavior.behavior->criteria->statistic() != nullptr;
        if (seconds > 0 && draft.builtin != nullptr &&
            (draft.builtin->accumulates || (statistical && draft.builtin->id == Builtin::kMessageByteSize))) {
          behavior.window =
              window_of(series, seconds, statistical && !draft.builtin->cloud_side, metric.windows_begin);
        }
        if (statistical) {
          behavior.values = static_cast<int32_t>(plan_->cells);
          plan_->cells += 2;
          plan_->statistical.push_back(static_cast<uint32_t>(plan_->behaviors.size()));
        }
        plan_->behaviors.push_back(std::move(behavior));
      }
      metric.behaviors_end = static_cast<uint32_t>(plan_->behaviors.size());
      metric.windows_end = static_cast<uint32_t>(plan_->windows.size());
      const bool cloud = draft.builtin != nullptr && draft.builtin->cloud_side;
      auto& dimensions = plan_->dimensions;
      if (metric.dimension != 0 &&
          std::find(dimensions.begin(), dimensions.end(), metric.dimension) == dimensions.end()) {
        dimensions.push_back(metric.dimension);
      }
      (cloud ? plan_->cloud : plan_->device).push_back(std::move(metric));
    }
    return plan_;
  }

 private:
  // nullptr: the metric does not exist (any more).
  Draft* want(const std::string& metric, const MetricDimension& dimension, int destination) {
    std::string series = series_name(metric, dimension);
    auto it = drafts_.find(series);
    if (it == drafts_.end()) {
      Draft draft;
      draft.metric = metric;
      draft.dimension = dimension.key();
      draft.builtin = find_builtin(metric);
      if (draft.builtin != nullptr) {
        draft.kind = draft.builtin->kind;
      } else if (const auto custom = profiles_.custom_metrics.find(metric);
                 custom != profiles_.custom_metrics.end()) {
        draft.kind = custom->second;
      } else {
        return nullptr;
      }
      it = drafts_.emplace(std::move(series), std::move(draft)).first;
    }
    auto& wanted = it->second.destinations;
    const auto index = static_cast<uint32_t>(destination);
    if (destination >= 0 && std::find(wanted.begin(), wanted.end(), index) == wanted.end()) {
      wanted.push_back(index);
    }
    return &it->second;
  }

  // Profiles that export to the same topic by the same role share the destination, so that a data point
  // travels there once.
  int destination_of(const SecurityProfile& profile) {
    auto& all = plan_->destinations;
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].topic == profile.export_config->mqtt_topic &&
          all[i].role_arn == profile.export_config->role_arn) {
        return static_cast<int>(i);
      }
    }
    all.push_back({profile.export_config->mqtt_topic, profile.export_config->role_arn, profile.name});
    return static_cast<int>(all.size()) - 1;
  }

  int32_t window_of(std::string_view series, int seconds, bool spare, uint32_t from) {
    const int64_t length_ms = std::max<int64_t>(seconds * options_.duration_second_ms, 1);
    const int64_t tick_ms = options_.tick.count();
    const int64_t buckets = std::clamp<int64_t>(length_ms / tick_ms, 1, PlanWindow::kBucketsMax);
    PlanWindow window;
    window.width_ms = (length_ms + buckets - 1) / buckets;
    window.spare = spare;
    window.buckets = static_cast<uint32_t>(buckets) + (spare ? 1 : 0);
    window.key = hash_of(series, static_cast<uint64_t>(window.width_ms * 32 + buckets * 2 + (spare ? 1 : 0)));
    for (uint32_t i = from; i < plan_->windows.size(); ++i) {
      if (plan_->windows[i].key == window.key) return static_cast<int32_t>(i);
    }
    window.offset = plan_->cells;
    plan_->cells += 1 + window.buckets;
    plan_->windows.push_back(window);
    return static_cast<int32_t>(plan_->windows.size()) - 1;
  }

  const Profiles& profiles_;
  const EngineOptions& options_;
  std::shared_ptr<Plan> plan_;
  std::map<std::string, Draft> drafts_;  // by series
};

}  // namespace

PlanPtr compile_plan(const Profiles& profiles, const std::vector<uint32_t>& indexes,
                     const EngineOptions& options) {
  PlanBuilder builder(profiles, options);
  for (const uint32_t index : indexes) builder.add(profiles.profiles[index]);
  return builder.finish();
}

}  // namespace fleetward::detect
