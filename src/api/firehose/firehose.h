#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/time.h"
#include "delivery/stream.h"
#include "http/operation.h"
#include "identity/authorizer.h"
#include "log/log.h"
#include "state/store.h"

// Amazon Data Firehose (JSON 1.1, API version 2015-08-04): Direct PUT streams to S3.
namespace fleetward::api::firehose {

struct Dependencies {
  state::Store& store;
  delivery::Tables tables;
  log::Log& log;
  const identity::Authorizer& authorizer;
  const Clock& clock;
  Random& random;
  // Why the stream of this id does not deliver now, empty if it does (delivery::Worker::last_error). May be
  // empty itself.
  std::function<std::string(const std::string& stream_id)> last_error;
};

http::Service service(const Dependencies& dependencies);

std::vector<http::Operation> stream_operations(const Dependencies& dependencies);
std::vector<http::Operation> record_operations(const Dependencies& dependencies);
std::vector<http::Operation> tag_operations(const Dependencies& dependencies);

}  // namespace fleetward::api::firehose
