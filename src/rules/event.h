#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/time.h"

namespace fleetward::rules {

// One message as the rules see it. Views live for the run only.
struct Event {
  std::string_view topic;  // without the Basic Ingest prefix
  std::string_view payload;
  std::string_view client_id;  // empty: not an MQTT client, clientid() is "n/a"
  std::string_view principal;  // certificate id, or id of the IAM caller; empty: none
  std::string_view source_address;
  std::string_view account;
  Timestamp now;  // when the engine received it

  // MQTT 5 properties; empty means absent.
  std::string_view content_type, response_topic, correlation_data;
  bool payload_is_utf8 = false;
  const std::vector<std::pair<std::string, std::string>>* user_properties = nullptr;

  // Two random words that no other message has: traceid(), newuuid() and rand() are drawn from them, so that
  // a run is a pure function of its event.
  uint64_t entropy[2] = {0, 0};
};

// The UUID of the message ("cloudwatchTraceId"): the same at every call for the same event.
std::string trace_id(const Event& event);

// A message with its payload parsed at most once, whatever number of rules look at it. Borrowed values point
// into it. Not thread safe; lives on the stack of one publish.
class Message {
 public:
  explicit Message(const Event& event) : event_(event) {}
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  const Event& event() const { return event_; }
  // The payload if it is a JSON object or array; an empty payload counts as {}. nullptr for everything else
  // (binary, a JSON scalar, deeper than kPayloadDepthMax).
  const json::value* document() const;

 private:
  const Event& event_;
  mutable bool parsed_ = false;
  mutable bool is_json_ = false;
  mutable json::value document_;
};

}  // namespace fleetward::rules
