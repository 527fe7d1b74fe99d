#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "broker/subscription_index.h"
#include "core/time.h"

namespace fleetward::broker {

// How many connections may come in a second: in all, and from one source. An IPv6 source is its /64. Each may
// save one second's worth. Thread safe: asked once per connection, by all shards.
class ConnectLimiter {
 public:
  // Per second; 0: no bound. At most `sources_max` sources are told apart; while that many come at once,
  // further ones meet the bound of all alone.
  ConnectLimiter(uint32_t rate_max, uint32_t rate_per_source_max, size_t sources_max)
      : all_{static_cast<double>(rate_max), {}},
        rate_max_(rate_max),
        rate_per_source_max_(rate_per_source_max),
        sources_max_(sources_max) {}

  enum class Verdict { kAdmitted, kTooManyInAll, kTooManyOfSource };
  // `now`: of the steady clock. An empty `ip` (a Unix socket) is no source.
  Verdict ask(std::string_view ip, Timestamp now);

 private:
  struct Bucket {
    double left;
    Timestamp filled;
    bool take(uint32_t rate, Timestamp now);
  };
  void forget_idle(Timestamp now);

  std::mutex mutex_;
  Bucket all_;
  const uint32_t rate_max_, rate_per_source_max_;
  const size_t sources_max_;
  TextMap<Bucket> sources_;
  Timestamp forgot_;
};

}  // namespace fleetward::broker
