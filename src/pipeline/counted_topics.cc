#include "pipeline/counted_topics.h"

#include <algorithm>
#include <map>

namespace fleetward::pipeline {
namespace {

using Dimension = broker::CountedTopics::Dimension;

broker::CountedTopicsPtr collect(const state::Snapshot& snapshot, const DetectTables& tables) {
  std::map<std::string_view, Dimension> used;
  snapshot.get(tables.profiles).visit_from("", [&](const auto& entry) {
    entry.value->visit_dimensions([&](const detect::MetricDimension& wanted) {
      Dimension& dimension = used[wanted.name];
      (wanted.op == detect::DimensionOperator::kIn ? dimension.in : dimension.not_in) = true;
    });
    return true;
  });
  auto out = std::make_shared<broker::CountedTopics>();
  for (auto& [name, dimension] : used) {
    const auto* stored = snapshot.get(tables.dimensions).find(name);
    if (stored == nullptr) continue;  // cannot be: one in use is not deleted
    dimension.name = name;
    dimension.filters = stored->values;
    out->dimensions.push_back(std::move(dimension));
  }
  return out->dimensions.empty() ? nullptr : out;
}

bool is_same(const broker::CountedTopicsPtr& a, const broker::CountedTopicsPtr& b) {
  if (a == nullptr || b == nullptr) return a == b;
  return std::equal(a->dimensions.begin(), a->dimensions.end(), b->dimensions.begin(), b->dimensions.end(),
                    [](const Dimension& x, const Dimension& y) {
                      return x.name == y.name && x.filters == y.filters && x.in == y.in &&
                             x.not_in == y.not_in;
                    });
}

}  // namespace

bool TopicsInUse::same_tables(const state::Snapshot& snapshot) const {
  return &snapshot.get(tables_.profiles) == &last_->get(tables_.profiles) &&
         &snapshot.get(tables_.dimensions) == &last_->get(tables_.dimensions);
}

broker::CountedTopicsPtr TopicsInUse::of(const state::SnapshotPtr& snapshot) {
  const std::lock_guard lock(mutex_);
  if (last_ && snapshot->version() <= last_->version()) return topics_;
  const bool same = last_ && same_tables(*snapshot);
  last_ = snapshot;
  if (same) return topics_;
  auto fresh = collect(*snapshot, tables_);
  if (!is_same(fresh, topics_)) topics_ = std::move(fresh);
  return topics_;
}

}  // namespace fleetward::pipeline
