#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "alerts/retry.h"
#include "core/result.h"
#include "core/time.h"

namespace fleetward::alerts {

struct HttpPost {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;
  std::string authorities_pem{};  // file of the only authorities trusted; empty: the sender's
  Duration timeout{0};            // of this attempt; 0: the sender's
  bool private_allowed = false;   // whatever the sender's option says: the URL is the configuration's
};

// Posts many requests at once without a thread for each. start() and wait() from one thread, wake() from any.
class HttpSender {
 public:
  virtual ~HttpSender() = default;
  virtual void start(uint64_t id, HttpPost post) = 0;
  // What has ended; waits at most `longest` for the first, shorter after wake().
  virtual std::vector<std::pair<uint64_t, AttemptResult>> wait(Duration longest) = 0;
  virtual void wake() = 0;
};

struct HttpSenderOptions {
  Duration timeout{15'000};  // of a whole attempt
  // PEM file of authorities trusted beside the system's; empty: the system's only.
  std::string extra_authorities_pem;
  size_t answer_bytes_max = 64 * 1024;  // more of an answer's body is not read
  bool private_allowed = true;          // endpoint_address.h
};

// On libcurl: http and https only, no redirects, certificates verified. The address that is connected to must
// pass check_endpoint_address(); one that does not ends the attempt for good. Unless private ones are allowed
// no proxy is used: what it would connect to cannot be checked.
std::unique_ptr<HttpSender> make_http_sender(HttpSenderOptions options);

}  // namespace fleetward::alerts
