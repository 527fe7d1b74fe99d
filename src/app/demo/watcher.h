#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/simulate/fleet.h"
#include "core/result.h"

namespace fleetward::app::demo {

// An MQTT subscriber (libmosquitto, mutual TLS) that hands on what it receives.
class Watcher {
 public:
  // Called on the watcher's thread.
  using OnMessage = std::function<void(const std::string& topic, const std::string& payload)>;

  // Connected and subscribed when it returns; kUnavailable with the reason otherwise.
  static Result<std::unique_ptr<Watcher>> start(const std::string& host, int port, const std::string& ca_file,
                                                const simulate::DeviceCredentials& device,
                                                const std::vector<std::string>& topics, OnMessage on_message);
  ~Watcher();

 private:
  class Impl;
  explicit Watcher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetward::app::demo
