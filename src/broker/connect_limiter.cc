#include "broker/connect_limiter.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <netinet/in.h>

namespace fleetward::broker {
namespace {

constexpr double kMsPerSecond = 1000;
constexpr Duration kFull{1000};  // after so long without a connection a bucket is full again

// "2001:db8:1:2:3:4:5:6" is a host of the network that a customer has whole.
std::string source_of(std::string_view ip) {
  std::string text(ip);
  in6_addr address{};
  if (text.find(':') == std::string::npos || ::inet_pton(AF_INET6, text.c_str(), &address) != 1) return text;
  return {reinterpret_cast<const char*>(&address), 8};
}

}  // namespace

bool ConnectLimiter::Bucket::take(uint32_t rate, Timestamp now) {
  if (rate == 0) return true;
  if (now > filled) {
    left = std::min<double>(rate, left + static_cast<double>((now - filled).count()) * rate / kMsPerSecond);
    filled = now;
  }
  if (left < 1) return false;
  left -= 1;
  return true;
}

void ConnectLimiter::forget_idle(Timestamp now) {
  if (now < forgot_ + kFull) return;
  forgot_ = now;
  std::erase_if(sources_, [now](const auto& entry) { return entry.second.filled + kFull <= now; });
}

ConnectLimiter::Verdict ConnectLimiter::ask(std::string_view ip, Timestamp now) {
  if (rate_max_ == 0 && rate_per_source_max_ == 0) return Verdict::kAdmitted;
  const std::lock_guard lock(mutex_);
  // The source first: what it has too much of costs the others nothing.
  if (rate_per_source_max_ > 0 && !ip.empty()) {
    const std::string source = source_of(ip);
    auto found = sources_.find(source);
    if (found == sources_.end()) {
      if (sources_.size() >= sources_max_) forget_idle(now);
      if (sources_.size() < sources_max_) {
        found = sources_.emplace(source, Bucket{static_cast<double>(rate_per_source_max_), now}).first;
      }
    }
    if (found != sources_.end() && !found->second.take(rate_per_source_max_, now)) {
      return Verdict::kTooManyOfSource;
    }
  }
  return all_.take(rate_max_, now) ? Verdict::kAdmitted : Verdict::kTooManyInAll;
}

}  // namespace fleetward::broker
