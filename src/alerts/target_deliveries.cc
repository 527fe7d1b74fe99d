#include "alerts/target_deliveries.h"

#include <algorithm>

#include "alerts/syslog_message.h"
#include "alerts/webhook.h"
#include "core/json.h"

namespace fleetward::alerts {
namespace {

constexpr std::string_view kOurs = "fleetward";  // the member with what AWS's notification has not
constexpr std::string_view kInAlarm = "in-alarm";
constexpr int kEndedSeverity = 5;                // notice
constexpr size_t kSyslogValueBytesMax = 256;     // of metricValue
constexpr size_t kDatagramBytesMax = 2048;       // RFC 5426 3.2: what receivers should take
constexpr size_t kStreamMessageBytesMax = 8192;  // RFC 5425 4.3.1, likewise

// AWS's notification and, in a member of its own that cannot collide with what AWS may add, what it lacks.
std::string payload(json::object message, const AlertRecord& alert, const AccountScope& account) {
  message[kOurs] = {
      {"explanation", alert.explanation}, {"accountId", account.account.str()}, {"region", account.region}};
  return json::serialize(message);
}

std::string syslog(const Target& target, const json::object& message, Timestamp created) {
  const auto text = [&](const char* name) { return std::string(json::string_or(message, name)); };
  const json::object* behavior = json::find_object(message, "behavior");
  const json::object* ours = json::find_object(message, kOurs);
  const json::value* value = json::find(message, "metricValue");
  const auto of = [](const json::object* object, const char* name) {
    return object == nullptr ? std::string() : std::string(json::string_or(*object, name));
  };
  const std::string event = text("violationEventType");
  SyslogMessage out;
  out.facility = syslog_facility(target.facility).value_or(16);
  out.severity = event == kInAlarm ? syslog_severity(target.severity).value_or(4) : kEndedSeverity;
  out.time = {json::int_or(message, "violationEventTime", created.ms)};
  out.hostname = target.hostname;
  out.app_name = target.app_name;
  out.message_id = event;
  SyslogElement element{target.structured_data_id, {}};
  const auto add = [&](const char* name, std::string parameter) {
    if (!parameter.empty()) element.parameters.emplace_back(name, std::move(parameter));
  };
  add("violationId", text("violationId"));
  add("violationEventType", event);
  add("thingName", text("thingName"));
  add("securityProfileName", text("securityProfileName"));
  add("behavior", of(behavior, "name"));
  add("metric", of(behavior, "metric"));
  if (value != nullptr) {
    add("metricValue", std::string(cut_utf8(json::serialize(*value), kSyslogValueBytesMax)));
  }
  add("accountId", of(ours, "accountId"));
  add("region", of(ours, "region"));
  out.elements.push_back(std::move(element));
  out.text = text("thingName") + " " + event + ", " + text("securityProfileName") + "/" +
             of(behavior, "name") + ": " + of(ours, "explanation");
  return format_syslog(
      out, target.transport == Target::Transport::kUdp ? kDatagramBytesMax : kStreamMessageBytesMax);
}

}  // namespace

TargetDeliveries::TargetDeliveries(const AccountScope& account, std::vector<Target> targets,
                                   std::string hostname)
    : account_(account), targets_(std::move(targets)) {
  for (Target& target : targets_) {
    if (target.hostname.empty() && is_syslog_word(hostname, 255)) target.hostname = hostname;
  }
}

const Target* TargetDeliveries::find(std::string_view name) const {
  const auto found =
      std::find_if(targets_.begin(), targets_.end(), [&](const Target& t) { return t.name == name; });
  return found == targets_.end() ? nullptr : &*found;
}

Status TargetDeliveries::expand(const AlertRecord& alert, const log::Record& record,
                                std::vector<Delivery>& out) const {
  const auto parsed = json::parse(alert.message, {.bytes_max = size_t{4} << 20});
  if (!parsed || !parsed->is_object()) return fail(ErrorCode::kCorrupt, "the message is no JSON object");
  const json::object& message = parsed->get_object();
  const std::string_view event = json::string_or(message, "violationEventType");
  const std::string_view profile = json::string_or(message, "securityProfileName");
  std::string text;
  for (const Target& target : targets_) {
    if (!target.wants(profile, event)) continue;
    if (text.empty()) text = payload(message, alert, account_);
    Delivery delivery;
    delivery.target = target.name;
    delivery.key = delivery_key(record.offset, delivery.destination());
    // An event of a type happens once in the life of a violation.
    delivery.message_id = std::string(json::string_or(message, "violationId")) + "-" + std::string(event);
    delivery.message = text;
    delivery.created = record.appended;
    delivery.next = record.appended;
    out.push_back(std::move(delivery));
  }
  return {};
}

std::optional<Attempt> TargetDeliveries::attempt(const Delivery& delivery, Timestamp now) const {
  const Target* target = find(delivery.target);
  if (target == nullptr) return std::nullopt;
  if (target->kind == Target::Kind::kWebhook) {
    return webhook_post(*target, delivery.message_id, delivery.message, now);
  }
  const auto parsed = json::parse(delivery.message, {.bytes_max = size_t{4} << 20});
  if (!parsed || !parsed->is_object()) return std::nullopt;
  const json::object& message = parsed->get_object();
  if (target->kind == Target::Kind::kSyslog) {
    return SyslogPost{target->name, syslog(*target, message, delivery.created)};
  }
  const std::string topic = topic_for(*target, json::string_or(message, "thingName"),
                                      json::string_or(message, "securityProfileName"));
  return MqttMessage{topic, delivery.message, target->qos};
}

}  // namespace fleetward::alerts
