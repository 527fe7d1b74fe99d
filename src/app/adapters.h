#pragma once

#include <string_view>

#include "alerts/stage.h"
#include "core/ids.h"
#include "lake/sink.h"
#include "pipeline/action_stage.h"

// Where one room's interface meets another's: thin, so that neither room knows the other.
namespace fleetward::app {

// Rule actions end in the lake and in notifications.
class ActionsToRooms final : public pipeline::ActionTargets {
 public:
  ActionsToRooms(lake::Sink& lake, alerts::Stage& alerts) : lake_(lake), alerts_(alerts) {}

  Result<std::shared_ptr<const identity::PolicyDocument>> bucket_policy(std::string_view bucket) override {
    return lake_.bucket_policy(std::string(bucket));
  }
  Status put_object(std::string_view bucket, std::string_view key, std::string_view body,
                    std::string_view canned_acl) override;
  Status publish_sns(std::string_view topic_arn, std::string_view body, bool json_format,
                     const pipeline::Chain& made) override;

 private:
  lake::Sink& lake_;
  alerts::Stage& alerts_;
};

}  // namespace fleetward::app
