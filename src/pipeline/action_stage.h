#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "broker/hooks.h"
#include "core/result.h"
#include "core/time.h"
#include "log/log.h"
#include "pipeline/action_queue.h"
#include "pipeline/rule_runner.h"

namespace fleetward::pipeline {

// Where the actions that need I/O end; wired by app/ to the object store and to the notification service.
// Thread safe; may block, with their own time limits. kUnavailable, kThrottled and kInternal are tried again;
// any other error is final.
class ActionTargets {
 public:
  virtual ~ActionTargets() = default;
  // What the bucket itself says of who may put there; null if that is not ours to ask.
  virtual Result<std::shared_ptr<const identity::PolicyDocument>> bucket_policy(std::string_view bucket) = 0;
  // `canned_acl` may be empty.
  virtual Status put_object(std::string_view bucket, std::string_view key, std::string_view body,
                            std::string_view canned_acl) = 0;
  // `json_format`: the body is a JSON object of one text per protocol. `made`: of the MQTT messages that the
  // notification becomes.
  virtual Status publish_sns(std::string_view topic_arn, std::string_view body, bool json_format,
                             const Chain& made) = 0;
};

// Consumes the log stream "actions" on one thread (consumer "actions"). At least once: the committed offset
// is that of the oldest unfinished record, so after a crash finished ones behind it are done again: an object
// is put again under the same key, a notification may be sent twice. A target that is away delays its own
// actions only, as long as the window has room. `steady` is a clock that is never set: pauses are its.
class ActionStage {
 public:
  ActionStage(ActionStageOptions options, log::Log& log, const RuleServices& services, ActionTargets& targets,
              broker::InternalPublisher& publisher, const Clock& clock, const Clock& steady);
  ~ActionStage();  // stops

  void start();
  // Finishes the attempt under way; what is left stays in the log.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetward::pipeline
