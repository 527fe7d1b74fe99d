#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/json.h"
#include "rules/event.h"
#include "rules/rule.h"

// Rule and message to resolved actions: pure, no role is checked and nothing is sent here.
namespace fleetward::rules {

struct FirehoseCall {
  std::string stream_name;
  std::vector<std::string> records;  // separator included
  bool batch = false;                // through PutRecordBatch: another permission
};

struct RepublishCall {
  std::string topic;
  std::string payload;
  int qos = 0;
  std::string content_type, response_topic, correlation_data;
  bool payload_is_utf8 = false;
  std::vector<std::pair<std::string, std::string>> user_properties;
  uint32_t expiry_seconds = 0;
};

struct S3Call {
  std::string bucket, key, body, canned_acl;
};

struct SnsCall {
  std::string target_arn, body;
  bool json_format = false;
};

struct ActionCall {
  const Action* action = nullptr;  // of the rule; lives as long as it
  std::variant<FirehoseCall, RepublishCall, S3Call, SnsCall> call;
};
// The resource as error payloads name it: stream, topic, bucket, topic ARN.
std::string_view call_resource(const ActionCall& call);

// One entry of `failures` in an error payload.
struct ActionFailure {
  std::string action;    // "S3Action"
  std::string resource;  // "my-bucket"
  std::string message;
};

struct Evaluation {
  bool matched = false;  // WHERE let it pass; nothing else is set otherwise
  std::vector<ActionCall> calls;
  std::vector<ActionFailure> failures;  // actions that could not be resolved
};

Evaluation evaluate(const Rule& rule, const Message& message);

// The error action with AWS's error payload, sent as its output; templates are evaluated on the
// original message. The rule must have an error action.
Evaluation evaluate_error_action(const Rule& rule, const Message& message,
                                 const std::vector<ActionFailure>& failures);
// {"ruleName", "topic", "cloudwatchTraceId", "clientId", "base64OriginalPayload", "failures"}
std::string error_payload(const Rule& rule, const Event& event, const std::vector<ActionFailure>& failures);

}  // namespace fleetward::rules
