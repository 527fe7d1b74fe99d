#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/client/aws_client.h"
#include "app/simulate/fleet.h"
#include "core/result.h"

namespace fleetward::app::simulate {

struct ProvisionOptions {
  std::string name_prefix = "sim-";  // things are <prefix>0001, <prefix>0002, ...
  size_t count = 10;
  std::string group;                          // static thing group to create and join; empty: none
  std::string policy = "fleetward-simulate";  // IoT policy to create if it is not there, and to attach
  std::string directory;                      // <thing>.pem and <thing>.key are written here (key 0600)
  std::function<void(size_t done)> progress;
};

// The IoT policy of a simulated device: connect as its thing, report, read its answers, publish and subscribe
// below fleet/<thing>/.
std::string device_policy_document();

// Creates, through the public API, what `count` devices need, and answers their credentials. What is already
// there (a thing of that name whose files are in the directory) is used again.
Result<std::vector<DeviceCredentials>> provision(AwsClient& client, const ProvisionOptions& options);

// The credentials in a directory: every <thing>.pem with its <thing>.key, by name, at most `count` (0: all).
Result<std::vector<DeviceCredentials>> credentials_in(const std::string& directory, size_t count);

}  // namespace fleetward::app::simulate
