#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "app/endpoints.h"
#include "core/result.h"

namespace fleetward::app::demo {

// A `fleetward serve` of its own process, as a user would start it: this executable, on free loopback ports.
class ChildServer {
 public:
  // Returns when it is ready. Its log goes to `log_file`. kUnavailable with the last line of the log if it
  // ends first.
  static Result<ChildServer> start(const std::string& data_directory, const std::string& config_file,
                                   const std::string& log_file);
  ChildServer(ChildServer&& other) noexcept;
  ChildServer& operator=(ChildServer&&) = delete;
  ~ChildServer();  // stops

  const Endpoints& endpoints() const { return endpoints_; }
  const RootKey& root_key() const { return key_; }
  // SIGTERM, then waits; the exit status, or -1 if a signal ended it. 0 if it was stopped before.
  int stop();

 private:
  ChildServer() = default;
  pid_t pid_ = -1;
  Endpoints endpoints_;
  RootKey key_;
};

}  // namespace fleetward::app::demo
