#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "log/log.h"
#include "rules/evaluate.h"

namespace fleetward::pipeline {

// The log stream of the actions that need I/O, one partition; its consumer.
inline constexpr std::string_view kActionsStream = "actions";
inline constexpr std::string_view kActionsConsumer = "actions";
log::Partition actions_partition();

// One S3 or SNS action, resolved.
struct ActionTask {
  enum class Kind { kS3, kSns } kind = Kind::kS3;
  std::string role_arn;
  std::string resource;      // bucket or topic ARN
  std::string key;           // s3
  std::string canned_acl;    // s3
  bool json_format = false;  // sns
  std::string body;
};

// The message behind a record, owned: what an error action's templates and payload need.
struct StoredEvent {
  std::string topic, payload, client_id, principal, source_address;
  std::string content_type, response_topic, correlation_data;
  bool payload_is_utf8 = false;
  std::vector<std::pair<std::string, std::string>> user_properties;
  Timestamp now;
  uint64_t entropy[2] = {0, 0};

  static StoredEvent of(const rules::Event& event);
  // Views into this object.
  rules::Event view() const;
};

// Where a message stands among those that rules made of each other: as in broker::Message.
struct Chain {
  uint32_t hops = 0;
  size_t offspring_max = 0;
};

// One record of the stream: the I/O of one run of one rule. The error action, if the rule has one, fires once
// for the run, so the failures that happened before are carried along.
struct ActionRecord {
  std::string rule;
  bool is_error_action = false;  // its own failure is the end
  std::vector<ActionTask> tasks;
  std::vector<rules::ActionFailure> failures;
  StoredEvent event;  // payload empty if the rule had no error action
  Chain made;         // what a message that comes of it is to say of itself
};

// One line of JSON (everything but the bytes; `bodies` and `payload` give their sizes), a newline, then the
// bodies of the tasks and the payload, one after another.
std::string encode_action_record(const ActionRecord& record);
// kCorrupt for anything encode cannot have written.
Result<ActionRecord> decode_action_record(std::string_view text);

}  // namespace fleetward::pipeline
