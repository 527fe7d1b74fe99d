#include "pipeline/detect_queries.h"

#include <algorithm>
#include <charconv>

#include "core/encoding.h"
#include "detect/bytes.h"
#include "pipeline/detect_keys.h"
#include "pipeline/report_intake.h"

namespace fleetward::pipeline {
namespace {

constexpr size_t kReadMax = 256;  // keys of one read
constexpr int64_t kDaysKept = 31;

Result<json::object> object_of(const log::KeyValue& entry) {
  auto document = json::parse(entry.value);
  if (!document || !document->is_object()) {
    return fail(ErrorCode::kCorrupt, "a stored violation does not parse");
  }
  return std::move(document->get_object());
}

// Events of one partition, newest first, read in pages.
class EventCursor {
 public:
  EventCursor(const log::Log& log, std::string begin, std::string end)
      : log_(log), begin_(std::move(begin)), end_(std::move(end)) {}

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

 private:
  const log::Log& log_;
  std::string begin_, end_;
  std::vector<log::KeyValue> page_;
  size_t at_ = 0;
  bool exhausted_ = false;
};

// The part of an event's key that orders all partitions: time, then violation.
std::string_view order_of(std::string_view key) {
  return key.substr(std::min(key.size(), keys::events_day(0, 0).size()));
}

}  // namespace

bool DetectQueries::matches(const ViolationFilter& filter, const json::object& document) const {
  if (!filter.thing.empty() && json::string_or(document, "thingName") != filter.thing) return false;
  if (!filter.profile.empty() && json::string_or(document, "securityProfileName") != filter.profile)
    return false;
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

Result<QueryPage<json::object>> DetectQueries::active(const ViolationFilter& filter, std::string_view after,
                                                      size_t count_max) const {
  QueryPage<json::object> out;
  size_t scanned = 0;
  std::string from = after.empty() ? keys::active_prefix(0) : std::string(after) + '\0';
  uint32_t partition = 0;
  while (partition < partitions_ && from >= keys::after_prefix(keys::active_prefix(partition))) ++partition;
  for (; partition < partitions_; ++partition) {
    const std::string prefix = keys::active_prefix(partition);
    const std::string end = keys::after_prefix(prefix);
    from = std::max(from, prefix);
    for (;;) {
      auto page = log_.scan(from, end, kReadMax);
      if (!page) return fail(page.error());
      for (const log::KeyValue& entry : *page) {
        auto document = object_of(entry);
        if (!document) return fail(document.error());
        auto admitted = admit(filter, *document);
        if (!admitted) return fail(admitted.error());
        if (*admitted) {
          // The value at the start stands until a further violating one came.
          (*document)["lastViolationValue"] = document->at("metricValue");
          (*document)["lastViolationTime"] = document->at("violationStartTime");
          document->stable_erase("metricValue");
          auto last = log_.get(keys::last_prefix(partition) + entry.key.substr(prefix.size()));
          if (!last) return fail(last.error());
          const auto update = json::parse(last->value_or("null"));
          if (update && update->is_object()) {
            (*document)["lastViolationValue"] = update->at("value");
            (*document)["lastViolationTime"] = update->at("time");
          }
          out.entries.push_back(std::move(*document));
        }
        if (out.entries.size() == count_max || ++scanned == kScannedMax) {
          out.next = entry.key;
          return out;
        }
      }
      if (page->size() < kReadMax) break;
      from = page->back().key + '\0';
    }
  }
  return out;
}

Result<QueryPage<json::object>> DetectQueries::events(const ViolationFilter& filter, std::string_view after,
                                                      size_t count_max) const {
  QueryPage<json::object> out;
  std::vector<EventCursor> cursors;
  for (uint32_t p = 0; p < partitions_; ++p) {
    // A token is the order of the last entry shown: time and violation; everything before it is left.
    std::string end = keys::event(p, filter.to + Duration{1}, "");
    if (after.size() > 8) {
      const Timestamp time{static_cast<int64_t>(keys::read_be64(after))};
      end = keys::event(p, time, after.substr(8));
    }
    cursors.emplace_back(log_, keys::event(p, filter.from, ""), std::move(end));
  }
  for (size_t scanned = 0;;) {
    EventCursor* newest = nullptr;
    const log::KeyValue* entry = nullptr;
    for (EventCursor& cursor : cursors) {
      auto head = cursor.peek();
      if (!head) return fail(head.error());
      if (*head == nullptr || (entry != nullptr && order_of((*head)->key) < order_of(entry->key))) continue;
      newest = &cursor;
      entry = *head;
    }
    if (entry == nullptr) return out;
    auto document = object_of(*entry);
    if (!document) return fail(document.error());
    auto admitted = admit(filter, *document);
    if (!admitted) return fail(admitted.error());
    if (*admitted) out.entries.push_back(std::move(*document));
    if (out.entries.size() == count_max || ++scanned == kScannedMax) {
      out.next = order_of(entry->key);
      return out;
    }
    newest->pop();
  }
}

Result<QueryPage<MetricPoint>> DetectQueries::values(std::string_view thing, std::string_view metric,
                                                     Timestamp from, Timestamp to, std::string_view after,
                                                     size_t count_max) const {
  QueryPage<MetricPoint> out;
  const uint32_t partition = partition_of(thing, partitions_);
  const size_t tail = 16;  // time and sequence end the key
  size_t scanned = 0;
  for (int64_t day = keys::day_of(from); day <= keys::day_of(to); ++day) {
    std::string begin = keys::values_from(partition, day, thing, from);
    const std::string end = keys::values_from(partition, day, thing, to + Duration{1});
    if (!after.empty()) begin = std::max(begin, std::string(after) + '\0');
    while (begin < end) {
      auto page = log_.scan(begin, end, kReadMax);
      if (!page) return fail(page.error());
      for (const log::KeyValue& entry : *page) {
        detect::bytes::Reader in{entry.value};
        while (in.ok && !in.rest.empty()) {
          const bool wanted = in.string() == metric;
          std::string_view rest = in.rest;
          const std::string_view bytes = detect::take_encoded_value(rest);
          in.rest = rest;
          if (bytes.empty()) break;
          std::string_view encoded = bytes;
          auto value = wanted ? detect::decode_value(encoded) : Result<detect::Value>();
          if (!wanted || !value) continue;
          const std::string_view key = entry.key;
          out.entries.push_back(
              {{static_cast<int64_t>(keys::read_be64(key.substr(key.size() - tail)))}, std::move(*value)});
        }
        if (out.entries.size() >= count_max || ++scanned == kScannedMax) {
          out.next = entry.key;
          return out;
        }
      }
      if (page->size() < kReadMax) break;
      begin = page->back().key + '\0';
    }
  }
  return out;
}

Result<bool> DetectQueries::knows_thing(std::string_view thing) const {
  auto state = log_.get(keys::thing_prefix(partition_of(thing, partitions_)) + std::string(thing));
  if (!state) return fail(state.error());
  return state->has_value();
}

Status DetectQueries::verify(std::string_view violation, const Verification& verification, Timestamp now) {
  bool found = false;
  for (uint32_t p = 0; p < partitions_ && !found; ++p) {
    auto open = log_.get(keys::active_prefix(p) + std::string(violation));
    if (!open) return fail(open.error());
    found = open->has_value();
    for (int64_t back = 0; back <= kDaysKept && !found; ++back) {
      auto ended = log_.get(keys::ended_day(p, keys::day_of(now) - back) + std::string(violation));
      if (!ended) return fail(ended.error());
      found = ended->has_value();
    }
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
