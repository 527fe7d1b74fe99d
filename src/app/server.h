#pragma once

#include <memory>
#include <vector>

#include "app/config.h"
#include "app/data_directory.h"
#include "app/endpoints.h"
#include "core/logger.h"
#include "core/result.h"
#include "http/operation.h"

namespace fleetward::app {

// The whole program on one data directory: every room, wired. start() and stop() from one thread.
class Server {
 public:
  // Opens what is stored, starts every thread, then the listeners; writes D/credentials (first start) and
  // D/endpoints.json. The error is one line for the user.
  static Result<std::unique_ptr<Server>> start(Config config, DataDirectory data, Logger& logger);
  ~Server();  // stops

  const Endpoints& endpoints() const;
  // Every operation of every service, for the reference.
  const std::vector<http::Service>& services() const;
  // To be called each upkeep_interval(), from the same thread: makes a new server certificate when the old
  // one comes to its end.
  void keep_up();
  Duration upkeep_interval() const;
  // Drains: refuses new work, finishes what is in flight (at most server.drain), then ends every thread.
  void stop();

  struct Parts;  // server_parts.h

 private:
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace fleetward::app
