#include "app/demo/ledger.h"

#include <utility>

#include "app/demo/story.h"
#include "core/json.h"

namespace fleetward::app::demo {
namespace {

using Values = std::map<std::pair<std::string, double>, int64_t>;  // (thing, value): how often

// The number in a datapoint's one-member value.
double number_in(const json::object& value, const char* member) {
  const json::value* v = json::find(value, member);
  return v != nullptr && v->is_number() ? v->to_number<double>() : 0;
}

void read_point(const json::object& point, const std::string& metric, Ledger& ledger, Values& balance) {
  ++ledger.datapoints;
  const std::string_view name = json::string_or(point, "name");
  const json::object* value = json::find_object(point, "value");
  if (value == nullptr) return;
  if (name == metric) {
    ++ledger.values_delivered;
    --balance[{std::string(json::string_or(point, "thing")), number_in(*value, "number")}];
  } else if (name == "aws:num-messages-received") {
    ledger.messages_received_delivered += static_cast<uint64_t>(number_in(*value, "count"));
  } else if (name == "aws:message-byte-size-total") {
    ledger.payload_bytes_delivered += static_cast<uint64_t>(number_in(*value, "count"));
  }
}

}  // namespace

Result<Ledger> compare(const std::vector<simulate::SentReport>& sent, const simulate::DeviceCounters& totals,
                       const std::map<std::string, std::string>& objects, const std::string& metric) {
  Ledger ledger;
  ledger.reports_sent = sent.size();
  ledger.messages_received = totals.messages_received;
  ledger.payload_bytes_sent = totals.payload_bytes_sent;
  ledger.objects = objects.size();
  Values balance;
  for (const simulate::SentReport& report : sent) ++balance[{report.thing_name, report.signal_dbm}];
  for (const auto& [key, bytes] : objects) {
    ledger.object_bytes += bytes.size();
    auto records = split_records(bytes);
    if (!records) return fail(records.error().code, key + ": " + records.error().message);
    for (const json::value& record : *records) {
      const json::object* batch = record.if_object();
      const json::array* points = batch == nullptr ? nullptr : json::find_array(*batch, "metrics");
      if (points == nullptr)
        return fail(ErrorCode::kMalformed, key + " holds something that is no exported batch");
      ++ledger.batches;
      for (const json::value& point : *points) read_point(point.as_object(), metric, ledger, balance);
    }
  }
  for (const auto& [value, count] : balance) {
    if (count > 0) ledger.missing += static_cast<uint64_t>(count);
    if (count < 0) ledger.surplus += static_cast<uint64_t>(-count);
  }
  return ledger;
}

}  // namespace fleetward::app::demo
