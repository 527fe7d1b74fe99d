#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include <boost/container/deque.hpp>

#include "broker/hooks.h"
#include "core/time.h"

namespace fleetward::broker {

class Connection;

// One filter of one session. Its address is stable while it exists: the subscription index points to it.
struct SessionSubscription {
  uint8_t qos = 0;
  bool no_local = false;
  bool retain_as_published = false;
  size_t position = 0;  // in the index's list of this filter; the router's
};

// A message that is in the log once for all the queues of a shard that hold it: written with the first of
// them, erased with the last. Queues of other shards share it only if the number of shards has changed since
// it was stored.
struct SharedMessage {
  uint64_t id = 0;  // never used again; part of its key in the log
  std::atomic<uint32_t> uses{0};
  explicit SharedMessage(uint64_t i) : id(i) {}
};

// A QoS 1 or 2 message on its way to one client.
struct Outgoing {
  uint64_t sequence = 0;  // of the session; part of its key in the log
  MessagePtr message;     // null once a QoS 2 message is kReleased
  bool retain = false;    // the flag to send
  uint8_t qos = 1;        // 1 or 2
  // QoS 1: 0 unless it was sent since the program started. QoS 2, in a persistent session: it is given, and
  // stored, before the message is sent, so that the client sees no other one for it, whatever happens.
  uint16_t packet_id = 0;
  bool stored = false;                    // in the log
  std::shared_ptr<SharedMessage> shared;  // if several queues hold it: what is stored refers to it
  // Of QoS 2 in ClientSession::inflight.
  enum class Stage : uint8_t {
    kUnsent,    // the packet identifier is not durable yet
    kSent,      // since then the client may have it
    kReleased,  // the PUBREC came: once that is durable, PUBREL
  };
  Stage stage = Stage::kUnsent;
  bool active = false;  // the packet identifier is in use on the present connection
};

// What outlives a connection: the session of a client id, on the shard that owns the client id. Clean
// sessions are the same thing with `persistent` false; they end with their connection and store nothing.
struct ClientSession {
  std::string client_id;
  bool persistent = false;
  uint32_t expiry_s = 0;  // after the disconnect

  std::map<std::string, SessionSubscription, std::less<>> subscriptions;  // `$share/...` included

  // Sent and not acknowledged (persistent sessions only), by sequence; then what waits for its turn.
  std::map<uint64_t, Outgoing> inflight;
  size_t inactive = 0;  // QoS 2 ones that the client's window has not taken since it came back: they go first
  boost::container::deque<Outgoing> queue;  // takes no memory while it is empty
  size_t queue_bytes = 0;                   // of both
  uint64_t next_sequence = 1;
  // Packet identifiers of QoS 2 publishes taken from the client and not released; while it is connected, its
  // protocol machine has them.
  std::vector<uint16_t> unreleased;
  bool restored = false;  // from the log, since the program started

  Connection* connection = nullptr;               // while connected
  Timestamp connected_since, disconnected_since;  // wall time
  // Deadlines below are of the steady clock.
  Timestamp expires;   // {0} while connected
  Timestamp timer_at;  // the timer wheel's live entry
  const char* disconnect_reason = "";
  int64_t lifecycle_version = 0;  // versionNumber of lifecycle events

  // MQTT 5 will that waits for its delay.
  MessagePtr delayed_will;
  Timestamp will_at;

  // Scratch of the fan-out: where this session stands in the list of receivers being built.
  uint64_t fanout = 0;
  size_t fanout_index = 0;
};

}  // namespace fleetward::broker
