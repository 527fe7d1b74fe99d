#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "alerts/target.h"
#include "core/result.h"

namespace fleetward::alerts {

// One target's way to its syslog server. It blocks; one thread's own. A write to `stop_descriptor` (an
// eventfd) ends what blocks with kUnavailable. Not started before send().
class SyslogConnection {
 public:
  // `target` outlives it.
  SyslogConnection(const Target& target, int stop_descriptor);
  ~SyslogConnection();

  // Hands one message over, or several framed ones of a stream: connects if need be, writes, and waits until
  // the other machine has acknowledged every byte, all within target.timeout. kUnavailable: what of it
  // arrived is not known, and the next call connects again.
  Status send(std::string_view bytes);

 private:
  class Stream;
  const Target& target_;
  const int stop_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace fleetward::alerts
