#include "pipeline/detect_queries.h"

#include <algorithm>
#include <charconv>

#include "core/encoding.h"
#include "pipeline/detect_keys.h"
#include "pipeline/report_intake.h"

namespace fleetward::pipeline {
namespace {

constexpr size_t kReadMax = 64;  // keys of one read

Result<json::object> object_of(const log::KeyValue& entry) {
  auto document = json::parse(entry.value);
  if (!document || !document->is_object()) {
    return fail(ErrorCode::kCorrupt, "a stored violation does not parse");
  }
  return std::move(document->get_object());
}

// Entries of one partition, newest first, read in pages.
class NewestFirst {
 public:
  NewestFirst(const log::Log& log, uint32_t partition, std::string begin, std::string end, size_t order_at)
      : log_(log),
        partition_(partition),
        begin_(std::move(begin)),
        end_(std::move(end)),
        order_at_(order_at) {}

  // nullptr at the end.
  Result<const log::KeyValue*> peek() {
    if (at_ == page_.size() && !exhausted_) {
      auto page = log_.scan(begin_, end_, kReadMax, true);
      if (!page) return fail(page.error());
      page_ = std::move(*page);
      at_ = 0;
      exhausted_ = page_.size() < kReadMax;
      if (!page_.empty()) end_ = page_.back().key;
    }
    return at_ < page_.size() ? &page_[at_] : nullptr;
  }
  void pop() { ++at_; }
  uint32_t partition() const { return partition_; }
  // The part of a key that orders all partitions: time, then violation.
  std::string_view order_of(const log::KeyValue& entry) const {
    return std::string_view(entry.key).substr(std::min(entry.key.size(), order_at_));
  }

 private:
  const log::Log& log_;
  uint32_t partition_;
  std::string begin_, end_;
  size_t order_at_;
  std::vector<log::KeyValue> page_;
  size_t at_ = 0;
  bool exhausted_ = false;
};

// The kind of a behaviour's criteria, as behaviorCriteriaType names it.
std::string_view criteria_of(const json::object& document) {
  const json::object* behavior = json::find_object(document, "behavior");
  const json::object* criteria = behavior == nullptr ? nullptr : json::find_object(*behavior, "criteria");
  if (criteria != nullptr && criteria->contains("statisticalThreshold")) return "STATISTICAL";
  if (criteria != nullptr && criteria->contains("mlDetectionConfig")) return "MACHINE_LEARNING";
  return "STATIC";
}

}  // namespace

bool DetectQueries::matches(const ViolationFilter& filter, const json::object& document) const {
  if (!filter.thing.empty() && json::string_or(document, "thingName") != filter.thing) return false;
  if (!filter.profile.empty() && json::string_or(document, "securityProfileName") != filter.profile)
    return false;
  if (!filter.criteria.empty() && criteria_of(document) != filter.criteria) return false;
  if (!filter.suppressed) return true;
  const json::object* behavior = json::find_object(document, "behavior");
  return (behavior != nullptr && json::bool_or(*behavior, "suppressAlerts", false)) == *filter.suppressed;
}

Result<Verification> DetectQueries::verification_of(std::string_view violation) const {
  auto stored = log_.get(keys::verification(violation));
  if (!stored) return fail(stored.error());
  Verification out;
  if (!*stored) return out;
  const auto document = json::parse(**stored);
  if (!document || !document->is_object()) return out;
  out.state = json::string_or(document->get_object(), "state", "UNKNOWN");
  out.description = json::string_or(document->get_object(), "description");
  return out;
}

// Whether the document passes the filter; then it is completed by its verification.
Result<bool> DetectQueries::admit(const ViolationFilter& filter, json::object& document) const {
  if (!matches(filter, document)) return false;
  auto verification = verification_of(json::string_or(document, "violationId"));
  if (!verification) return fail(verification.error());
  if (!filter.verification.empty() && verification->state != filter.verification) return false;
  document["verificationState"] = verification->state;
  if (!verification->description.empty())
    document["verificationStateDescription"] = verification->description;
  return true;
}

// The value at the start of an open violation stands until a further violating one came.
Status DetectQueries::add_last_value(uint32_t partition, json::object& document) const {
  if (const json::value* value = document.if_contains("metricValue")) {
    document["lastViolationValue"] = json::value(*value);
    document.stable_erase("metricValue");
  }
  document["lastViolationTime"] = json::int_or(document, "violationStartTime", 0);
  auto last = log_.get(keys::last_prefix(partition) + std::string(json::string_or(document, "violationId")));
  if (!last) return fail(last.error());
  const auto update = json::parse(last->value_or("null"));
  if (update && update->is_object()) {
    document["lastViolationValue"] = update->at("value");
    document["lastViolationTime"] = update->at("time");
  }
  return {};
}

DetectQueries::Span DetectQueries::span_of(uint32_t p, const ViolationFilter& filter, std::string_view after,
                                           bool active) const {
  // A token is the order of the last entry shown: time and violation; everything before it is left.
  const Timestamp time{after.size() > 8 ? static_cast<int64_t>(keys::read_be64(after)) : 0};
  const std::string_view rest = after.size() > 8 ? after.substr(8) : std::string_view();
  if (active) {
    const std::string prefix = keys::active_prefix(p);
    return {p, prefix, rest.empty() ? keys::after_prefix(prefix) : keys::active(p, time, rest)};
  }
  std::string end = keys::event(p, filter.to + Duration{1}, "");
  if (!rest.empty()) end = std::min(end, keys::event(p, time, rest));
  return {p, keys::event(p, filter.from, ""), std::move(end)};
}

Result<QueryPage<json::object>> DetectQueries::newest_first(const ViolationFilter& filter,
                                                            std::string_view after, size_t count_max,
                                                            bool active) const {
  QueryPage<json::object> out;
  std::vector<NewestFirst> cursors;
  const size_t order_at = (active ? keys::active_prefix(0) : keys::events_day(0, 0)).size();
  for (uint32_t p = 0; p < partitions_; ++p) {
    if (!filter.thing.empty() && p != partition_of(filter.thing, partitions_)) continue;
    Span span = span_of(p, filter, after, active);
    cursors.emplace_back(log_, p, std::move(span.begin), std::move(span.end), order_at);
  }
  std::string last;  // looked at; one more than shown is, so that the last page has no token
  for (size_t scanned = 0;; ++scanned) {
    NewestFirst* newest = nullptr;
    const log::KeyValue* entry = nullptr;
    for (NewestFirst& cursor : cursors) {
      auto head = cursor.peek();
      if (!head) return fail(head.error());
      if (*head == nullptr) continue;
      if (entry != nullptr && cursor.order_of(**head) < newest->order_of(*entry)) continue;
      newest = &cursor;
      entry = *head;
    }
    if (entry == nullptr) return out;
    auto document = object_of(*entry);
    if (!document) return fail(document.error());
    auto admitted = admit(filter, *document);
    if (!admitted) return fail(admitted.error());
    if ((*admitted && out.entries.size() == count_max) || scanned == kScannedMax) {
      out.next = std::move(last);
      return out;
    }
    if (*admitted) {
      if (active) {
        if (auto ok = add_last_value(newest->partition(), *document); !ok) return fail(ok.error());
      }
      out.entries.push_back(std::move(*document));
    }
    last = newest->order_of(*entry);
    newest->pop();
  }
}

Result<QueryPage<json::object>> DetectQueries::active(const ViolationFilter& filter, std::string_view after,
                                                      size_t count_max) const {
  return newest_first(filter, after, count_max, true);
}

Result<QueryPage<json::object>> DetectQueries::events(const ViolationFilter& filter, std::string_view after,
                                                      size_t count_max) const {
  return newest_first(filter, after, count_max, false);
}

Result<bool> DetectQueries::knows_thing(std::string_view thing) const {
  auto state = log_.get(keys::thing_prefix(partition_of(thing, partitions_)) + std::string(thing));
  if (!state) return fail(state.error());
  return state->has_value();
}

Status DetectQueries::verify(std::string_view violation, const Verification& verification, Timestamp now) {
  bool found = false;
  for (uint32_t p = 0; p < partitions_ && !found; ++p) {
    auto opened = log_.get(keys::opened_prefix(p) + std::string(violation));
    if (!opened) return fail(opened.error());
    found = opened->has_value();
  }
  if (!found) return fail(ErrorCode::kNotFound, "there is no violation " + std::string(violation));
  log::Batch batch;
  batch.put(keys::verification(violation),
            json::serialize(json::object{
                {"state", verification.state}, {"description", verification.description}, {"time", now.ms}}));
  if (auto done = log_.write(std::move(batch)); !done) return fail(done.error());
  return {};
}

}  // namespace fleetward::pipeline
