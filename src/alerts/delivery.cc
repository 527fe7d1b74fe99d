#include "alerts/delivery.h"

#include <cstdio>

namespace fleetward::alerts {

std::string delivery_key(uint64_t offset, std::string_view destination) {
  char text[32];
  std::snprintf(text, sizeof text, "%016llx/", static_cast<unsigned long long>(offset));
  return std::string(kDeliveryPrefix) + text + std::string(destination);
}

std::string encode_delivery(const Delivery& d) {
  json::object out{{"kind", static_cast<int64_t>(d.kind)},
                   {"messageId", d.message_id},
                   {"message", d.message},
                   {"created", d.created.ms},
                   {"attempts", d.attempts},
                   {"next", d.next.ms}};
  if (!d.topic.empty()) out["topic"] = d.topic;
  if (!d.subscription.empty()) out["subscription"] = d.subscription;
  if (!d.target.empty()) out["target"] = d.target;
  if (!d.subject.empty()) out["subject"] = d.subject;
  if (!d.attributes.empty()) out["attributes"] = d.attributes;
  if (!d.token.empty()) out["token"] = d.token;
  if (d.hops > 0) {
    out["hops"] = d.hops;
    out["offspring"] = d.offspring_max;
  }
  return json::serialize(out);
}

Result<Delivery> decode_delivery(std::string key, std::string_view text) {
  const auto parsed = json::parse(text, {.bytes_max = size_t{4} << 20});
  if (!parsed || !parsed->is_object()) return fail(ErrorCode::kCorrupt, "delivery record " + key);
  const json::object& o = parsed->get_object();
  Delivery d;
  d.key = std::move(key);
  const int64_t kind = json::int_or(o, "kind", -1);
  if (kind < 0 || kind > 2) return fail(ErrorCode::kCorrupt, "delivery record " + d.key);
  d.kind = static_cast<NotificationKind>(kind);
  d.topic = json::string_or(o, "topic");
  d.subscription = json::string_or(o, "subscription");
  d.target = json::string_or(o, "target");
  d.message_id = json::string_or(o, "messageId");
  d.subject = json::string_or(o, "subject");
  d.message = json::string_or(o, "message");
  d.attributes = json::string_or(o, "attributes");
  d.token = json::string_or(o, "token");
  d.created.ms = json::int_or(o, "created", 0);
  d.attempts = static_cast<int>(json::int_or(o, "attempts", 0));
  d.next.ms = json::int_or(o, "next", 0);
  d.hops = static_cast<uint32_t>(json::int_or(o, "hops", 0));
  d.offspring_max = static_cast<size_t>(json::int_or(o, "offspring", 0));
  return d;
}

}  // namespace fleetward::alerts
