#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "alerts/retry.h"
#include "alerts/target.h"

namespace fleetward::alerts {

// Sends syslog messages, each target's in order and apart from the others'. start() from one thread.
class SyslogSender {
 public:
  virtual ~SyslogSender() = default;
  // `target` is the name of one of those it was made with. The end of the attempt is told to `done`, once:
  // status 200, or 0 and the reason.
  virtual void start(uint64_t id, std::string_view target, std::string message) = 0;
};

// Called on any thread.
using SyslogDone = std::function<void(uint64_t id, AttemptResult result)>;
using MakeSyslogSender =
    std::function<std::unique_ptr<SyslogSender>(const std::vector<Target>& targets, SyslogDone done)>;

// On sockets and OpenSSL: a thread for each target of kind kSyslog, which keeps its connection. What waits
// for a target goes out together. Over TCP and TLS a message counts as sent when the other machine has
// acknowledged its bytes (syslog itself has no acknowledgement), over UDP when it has left. The destructor
// waits for the threads: for what is under way no longer than the resolver of names takes; what was not told
// is not sent.
std::unique_ptr<SyslogSender> make_syslog_sender(const std::vector<Target>& targets, SyslogDone done);

}  // namespace fleetward::alerts
