#include "alerts/alert_record.h"

#include "core/json.h"

namespace fleetward::alerts {

std::string encode_alert(const AlertRecord& record) {
  json::object out{{"topicArn", record.topic_arn}, {"roleArn", record.role_arn},
                   {"service", record.service},    {"sourceArn", record.source_arn},
                   {"subject", record.subject},    {"message", record.message}};
  if (record.violation) out["violation"] = true;
  if (!record.explanation.empty()) out["explanation"] = record.explanation;
  if (!record.message_id.empty()) out["messageId"] = record.message_id;
  if (!record.attributes.empty()) out["attributes"] = record.attributes;
  if (record.structured) out["structured"] = true;
  if (record.hops > 0) {
    out["hops"] = record.hops;
    out["offspring"] = record.offspring_max;
  }
  return json::serialize(out);
}

Result<AlertRecord> decode_alert(std::string_view text) {
  auto parsed = json::parse(text);
  if (!parsed) return fail(ErrorCode::kCorrupt, "alert record: " + parsed.error().message);
  if (!parsed->is_object()) return fail(ErrorCode::kCorrupt, "alert record is not an object");
  const json::object& o = parsed->get_object();
  AlertRecord record;
  record.topic_arn = json::string_or(o, "topicArn");
  record.role_arn = json::string_or(o, "roleArn");
  record.service = json::string_or(o, "service", "iot.amazonaws.com");
  record.source_arn = json::string_or(o, "sourceArn");
  record.subject = json::string_or(o, "subject");
  record.message = json::string_or(o, "message");
  record.message_id = json::string_or(o, "messageId");
  record.attributes = json::string_or(o, "attributes");
  record.structured = json::bool_or(o, "structured", false);
  record.hops = static_cast<uint32_t>(json::int_or(o, "hops", 0));
  record.offspring_max = static_cast<size_t>(json::int_or(o, "offspring", 0));
  record.violation = json::bool_or(o, "violation", false);
  record.explanation = json::string_or(o, "explanation");
  if (record.topic_arn.empty() && !record.violation)
    return fail(ErrorCode::kCorrupt, "alert record without a topic");
  return record;
}

}  // namespace fleetward::alerts
