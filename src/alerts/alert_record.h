#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fleetward::alerts {

// One record of the log stream "alerts": a notification somebody asked an SNS topic to carry, or that Detect
// tells the world. The consumer checks that `role_arn` may be assumed by `service` and allows sns:Publish on
// the topic.
struct AlertRecord {
  std::string topic_arn;                      // empty: not for SNS
  std::string role_arn;                       // empty: the API's caller was authorized already
  std::string service = "iot.amazonaws.com";  // who assumes the role
  std::string source_arn;  // aws:SourceArn of that assumption: the security profile or the rule
  std::string subject;     // may be empty
  std::string message;     // the notification's text; for a violation one JSON document
  // Only of what the API publishes:
  std::string message_id;   // empty: the consumer gives one
  std::string attributes;   // JSON object {"name":{"DataType":..,"StringValue":..}}; empty: none
  bool structured = false;  // MessageStructure=json: `message` holds a text for each protocol
  // Only of what a rule publishes: what the MQTT messages that come of it are to say of themselves, so that
  // rules which feed each other by way of a topic come to an end (broker::Message). They share
  // `offspring_max`.
  uint32_t hops = 0;
  size_t offspring_max = 0;
  // Only of what Detect tells:
  bool violation = false;   // goes to the server's own targets too
  std::string explanation;  // for people
};

// The JSON form in the log. decode answers kCorrupt for anything encode cannot have written; members it does
// not know are passed over.
std::string encode_alert(const AlertRecord& record);
Result<AlertRecord> decode_alert(std::string_view text);

}  // namespace fleetward::alerts
