#pragma once

#include <string>
#include <vector>

#include "alerts/stage.h"
#include "alerts/topics.h"
#include "api/input.h"
#include "api/transact.h"
#include "core/random.h"
#include "core/time.h"
#include "http/dispatcher.h"
#include "http/operation.h"
#include "state/store.h"

// Amazon SNS (Query protocol, API version 2010-03-31): topics, subscriptions over http, https and, as our
// extension, mqtt (whose endpoint is a topic of the broker).
namespace fleetward::api::sns {

struct Dependencies {
  state::Store& store;
  const alerts::Tables& tables;
  alerts::Stage& stage;
  const AccountScope& account;
  // For iot:Publish on the topic of an mqtt subscription.
  const http::AuthorizeFunction& authorize;
  const Clock& clock;
  Random& random;
};

http::Service service(const Dependencies& dependencies);

// One file each; `service` joins them.
std::vector<http::Operation> topic_operations(const Dependencies& d);
std::vector<http::Operation> subscription_operations(const Dependencies& d);
std::vector<http::Operation> publish_operations(const Dependencies& d);

// --- shared by those files ---

// The topic an ARN of the request names: InvalidParameter or NotFound.
http::ApiResult<std::string> read_topic(const Dependencies& d, const state::Snapshot& snapshot,
                                        const std::string& arn);
std::function<std::string(const json::object&)> resource_of(std::string member);

}  // namespace fleetward::api::sns
