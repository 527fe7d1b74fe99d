#include "broker/lifecycle.h"

#include "core/json.h"

namespace fleetward::broker::lifecycle {
namespace {

json::object base(const Subject& subject, std::string_view event_type) {
  json::object o;
  o["clientId"] = subject.client_id;
  if (!subject.thing_name.empty()) o["thingName"] = subject.thing_name;
  o["timestamp"] = subject.now.ms;
  o["eventType"] = event_type;
  o["sessionIdentifier"] = subject.session_id;
  if (!subject.principal.empty()) o["principalIdentifier"] = subject.principal;
  return o;
}

MessagePtr message(std::string_view folder, std::string_view event_type, const Subject& subject,
                   json::object payload) {
  auto out = std::make_shared<Message>();
  out->topic.append("$aws/events/").append(folder).append("/").append(event_type).append("/");
  out->topic.append(subject.client_id);
  out->payload = json::serialize(json::value(std::move(payload)));
  out->qos = 1;  // "as subscribed"
  out->published = subject.now;
  return out;
}

}  // namespace

MessagePtr connected(const Subject& subject, std::string_view ip_address) {
  json::object o = base(subject, "connected");
  o["ipAddress"] = ip_address;
  o["versionNumber"] = subject.version;
  return message("presence", "connected", subject, std::move(o));
}

MessagePtr disconnected(const Subject& subject, bool client_initiated, std::string_view reason) {
  json::object o = base(subject, "disconnected");
  o["clientInitiatedDisconnect"] = client_initiated;
  o["disconnectReason"] = reason;
  o["versionNumber"] = subject.version;
  return message("presence", "disconnected", subject, std::move(o));
}

MessagePtr connect_failed(const Subject& subject, std::string_view reason) {
  json::object o = base(subject, "connect_failed");
  o["connectFailureReason"] = reason;
  return message("presence", "connect_failed", subject, std::move(o));
}

MessagePtr subscriptions(const Subject& subject, bool subscribed, const std::vector<std::string>& filters) {
  const std::string_view event_type = subscribed ? "subscribed" : "unsubscribed";
  json::object o = base(subject, event_type);
  json::array topics;
  for (const std::string& filter : filters) topics.emplace_back(filter);
  o["topics"] = std::move(topics);
  return message("subscriptions", event_type, subject, std::move(o));
}

bool has_events(std::string_view client_id) {
  return client_id.find_first_of("+#") == std::string_view::npos;
}

}  // namespace fleetward::broker::lifecycle
