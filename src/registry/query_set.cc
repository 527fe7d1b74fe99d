#include "registry/query_set.h"

#include <algorithm>
#include <tuple>

#include "core/text.h"

namespace fleetward::registry {

QuerySet::QuerySet(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.created.ms, a.group) < std::tie(b.created.ms, b.group);
  });
  // Of what a query requires, the rarest counts: a value before a mere field, and what few others ask for.
  std::map<FleetQuery::Required, size_t> asked;
  for (const Entry& entry : entries_) {
    for (const auto& one : entry.query->required()) ++asked[one];
  }
  for (uint32_t i = 0; i < entries_.size(); ++i) {
    asks_connectivity_ = asks_connectivity_ || entries_[i].query->asks_connectivity();
    const auto all = entries_[i].query->required();
    const auto required = std::min_element(all.begin(), all.end(), [&](const auto& a, const auto& b) {
      return std::pair(!a.value, asked[a]) < std::pair(!b.value, asked[b]);
    });
    if (required == all.end()) {
      always_.push_back(i);
      continue;
    }
    ByField& field = required->field == query::Field::kThingName         ? names_
                     : required->field == query::Field::kThingId         ? ids_
                     : required->field == query::Field::kThingTypeName   ? types_
                     : required->field == query::Field::kThingGroupNames ? groups_
                                                                         : attributes_[required->attribute];
    (required->value ? field.by_value[*required->value] : field.any_value).push_back(i);
  }
}

void QuerySet::ByField::collect(std::string_view value, Indexes& out) const {
  if (value.empty()) return;
  out.insert(out.end(), any_value.begin(), any_value.end());
  if (by_value.empty()) return;
  const auto it = by_value.find(to_lower(value));
  if (it != by_value.end()) out.insert(out.end(), it->second.begin(), it->second.end());
}

std::vector<std::string> QuerySet::match(const ThingDocument& document) const {
  Indexes candidates = always_;
  names_.collect(document.thing.name, candidates);
  ids_.collect(document.thing.id, candidates);
  types_.collect(document.thing.type, candidates);
  for (const std::string& group : document.groups) groups_.collect(group, candidates);
  for (const auto& [name, field] : attributes_) {
    const auto it = document.thing.attributes.find(name);
    if (it != document.thing.attributes.end()) field.collect(it->second, candidates);
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  std::vector<std::string> out;
  for (const uint32_t i : candidates) {
    if (entries_[i].query->matches(document)) out.push_back(entries_[i].group);
  }
  return out;
}

}  // namespace fleetward::registry
