#pragma once

#include <cstddef>
#include <cstdint>

#include "broker/hooks.h"
#include "core/time.h"

namespace fleetward::broker {

// Whose habits the broker has where the specifications leave a choice, or a service does not follow them.
enum class Behaviour : uint8_t {
  kStandard,  // MQTT 3.1.1 and MQTT 5
  kAws,       // AWS IoT Core
};

// Every bound and habit of the broker, with its default: of kStandard here, of kAws in aws(). Nothing else
// knows which of both it is. Ranges are checked by check(); the configuration file maps onto these fields.
struct Options {
  // With the limits and habits of AWS IoT Core (its quotas; docs/reference/mqtt.md).
  static Options aws();
  Behaviour behaviour = Behaviour::kStandard;

  // Event loops, each with its own thread, connections and sessions. 0: one per core. 0..64.
  uint32_t shards = 0;

  // --- one packet
  size_t packet_bytes_max = 1 << 20;   // a whole control packet. 1 KiB..1 MiB
  size_t payload_bytes_max = 1 << 20;  // PUBLISH payload, also of a will; a packet has no more anyway
  size_t topic_bytes_max = 65'535;     // without "$aws/rules/<rule>/" and "$share/<group>/"
  size_t topic_slashes_max = 127;      // same exemption. 0..127
  size_t client_id_bytes_max = 1024;
  size_t filters_per_subscribe_max = 1024;  // also of an UNSUBSCRIBE

  // --- one connection
  size_t subscriptions_per_connection_max = 100'000;
  uint16_t receive_max = 100;      // unacknowledged QoS 1 and 2 from the client (announced to v5 clients)
  uint16_t unreleased_max = 4096;  // QoS 2 from a 3.1.1 client that it has not released
  uint16_t inflight_max = 100;     // unacknowledged QoS 1 and 2 to the client; a v5 client may lower it
  uint16_t topic_alias_max = 8;    // from the client; the broker sends none
  Duration keepalive_min{0};       // a shorter wish is raised to it; v5 clients are told
  Duration keepalive_max{0};       // a longer one, or none, is lowered to it. 0: no bound
  // A TLS session of mqtts and ALPN listeners is resumed for so long, up to twice. 0: never.
  Duration tls_session_lifetime{12 * 3'600'000};
  Duration connect_timeout{10'000};                 // from accept to CONNECT, TLS handshake included
  Duration websocket_lifetime_max{24 * 3'600'000};  // of a signed WebSocket; its credentials may end before
  // PUBLISH, SUBSCRIBE and UNSUBSCRIBE packets of a client; it is not read while it is beyond. 0: no bound.
  uint32_t packets_per_second_max = 0;
  // Bytes waiting for a slow reader. Beyond it QoS 0 is dropped (counted), QoS 1 and 2 stay in the queue
  // below.
  size_t outbound_bytes_max = 1 << 20;
  // QoS 1 and 2 messages not yet acknowledged, connected or not. Beyond either bound a connected client is
  // cut off (v5: 0x97), for an absent one the new message is dropped (counted).
  size_t queue_messages_max = 10'000;
  size_t queue_bytes_max = 16 << 20;
  size_t authorization_cache_max = 256;  // remembered decisions
  uint64_t refusals_logged_max = 10;     // log lines about one connection; more are only counted

  // --- habits
  uint8_t qos_max = 2;  // of what clients publish; more ends the connection (v5: 0x9B)
  // A SUBSCRIBE of 3.1.1 that asks for more than qos_max ends the connection; else qos_max is granted.
  bool subscribe_qos_strict = false;
  // Filters match as in AWS IoT Core ("a/#" does not match "a", "+" no empty level) rather than as in
  // MQTT 4.7.
  bool aws_wildcards = false;
  bool retained_for_wildcards = true;  // a new subscription with wildcards gets retained messages, too
  bool dollar_client_ids = true;       // a client id may start with '$'

  // --- the whole broker
  size_t connections_max = 100'000;  // accepted beyond it: closed at once, counted
  size_t unfinished_max = 10'000;    // of one listener, before CONNECT; beyond it: closed at once
  uint32_t connect_rate_max = 0;     // connections in a second; beyond it: closed at once. 0: no bound
  uint32_t connect_rate_per_source_max = 0;  // of one IPv4 address or IPv6 /64
  size_t sources_max = 65'536;               // that are told apart for it
  size_t sessions_max = 500'000;             // persistent ones, connected or not
  // The life of a persistent session after its disconnect.
  Duration session_expiry_max{int64_t{365} * 86'400'000};
  size_t retained_messages_max = 500'000;
  size_t retained_bytes_max = size_t{1} << 30;
  size_t queued_bytes_max = size_t{1} << 30;  // of all sessions together; as queue_bytes_max beyond it
  size_t observed_clients_max = 200'000;      // client ids with counters that wait for the next interval
  // Mail waiting for one shard, in bytes of topics and payloads. Beyond it the senders stop reading sockets.
  size_t mailbox_bytes_max = 4 << 20;
  // Records that gather on one shard while the log syncs. Beyond it the shard stops reading sockets.
  size_t log_batch_bytes_max = 8 << 20;
  Duration log_retry_interval{500};  // between attempts of a batch that the log refused
  size_t republish_hops_max = 8;     // a message made by a rule out of a message made by a rule ...
  // What one hop of one message may have become in all: ten actions that feed themselves are 10^8 messages
  // within the hops. The first hop is what the operator wrote and always passes.
  size_t republish_messages_max = kRepublishMessagesMax;

  // How often a thing's counters leave for Detect. 1 s..1 h.
  Duration observation_interval{300'000};
};

}  // namespace fleetward::broker
