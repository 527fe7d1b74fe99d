#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "core/metrics.h"

namespace fleetward::broker {

// A counter with one writing thread: a plain add for it, readable by others.
class Count {
 public:
  void add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(uint64_t n = 1) { add(-n); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Why something was refused or dropped: the label of fleetward_broker_refused_total.
enum class Refusal : uint8_t {
  kConnectionsMax,
  kUnfinishedMax,
  kConnectRate,
  kConnectRateOfSource,
  kProxySource,
  kProxyHeader,
  kTlsHandshake,
  kAlpn,
  kCertificateUnknown,
  kCertificateExpired,
  kCertificateInactive,
  kCredentials,  // of a signed WebSocket: not good any more
  kWebSocket,
  kConnectTimeout,
  kConnectNotAuthorized,
  kConnectInvalid,
  kSessionsMax,
  kProtocolError,
  kPacketRate,  // not read for a while
  kPublishNotAuthorized,
  kPublishTopic,
  kPublishTooLarge,
  kSubscribeNotAuthorized,
  kSubscribeInvalid,
  kSubscriptionsMax,
  kReceiveNotAuthorized,
  kSlowReader,      // QoS 0 dropped
  kQueueFull,       // QoS 1 or 2 dropped, or the reader cut off
  kPacketTooLarge,  // above the subscriber's Maximum Packet Size
  kMessageExpired,
  kRetainedMax,
  kRepublishHops,
  kLogUnavailable,  // an internal message refused while the log is in trouble
  kMailboxFull,     // an internal message refused
  kCount,
};
std::string_view to_string(Refusal refusal);

// What one shard counts. Written by its thread only.
struct ShardStats {
  Count connections;  // now
  Count sessions;     // now, persistent ones
  Count tls_handshakes, tls_resumed;
  Count accepted, bytes_in, bytes_out;
  std::array<Count, 3> messages_in, messages_out;  // by QoS
  Count connects, disconnects, subscriptions_made, takeovers, wills, keepalive_timeouts;
  Count authorization_failures;
  Count rounds, commits, commit_failures, reads_paused, mail_in, mail_refused;
  Count subscriptions;  // now
  std::array<Count, static_cast<size_t>(Refusal::kCount)> refused;

  void refuse(Refusal refusal) { refused[static_cast<size_t>(refusal)].add(); }
};

// Registers the broker's metrics; at each scrape `visit` is to call its argument with every shard's stats.
void register_metrics(Metrics& metrics,
                      std::function<void(const std::function<void(const ShardStats&)>&)> visit);

}  // namespace fleetward::broker
