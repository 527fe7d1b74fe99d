#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/time.h"
#include "log/log.h"

// What the broker offers to, and asks of, the rooms around it. The broker knows nothing of rules or of
// Detect.
namespace fleetward::broker {

// A message inside the program, whoever published it. Immutable once shared between shards.
struct Message {
  std::string topic;
  std::string payload;
  int qos = 0;  // 0 to 2
  bool retain = false;
  // MQTT 5 properties that travel with a message; defaults mean absent.
  std::string content_type, response_topic, correlation_data;
  bool payload_is_utf8 = false;
  // Properties that were there with their default value: subscribers get them as they came [MQTT-3.3.2-4].
  static constexpr uint8_t kPayloadFormat = 1, kContentType = 2, kCorrelationData = 4;
  uint8_t present_though_empty = 0;
  std::vector<std::pair<std::string, std::string>> user_properties;
  uint32_t expiry_seconds = 0;  // 0: none; counted from `published`
  Timestamp published;          // when the broker took it; set by the broker
  // How many rules it passed since a client or the API published it: a reply's is its cause's plus one (set
  // by the broker; by who publishes it, if it went through the log meanwhile). Beyond
  // Options::republish_hops_max it is dropped, counted and logged.
  uint32_t hops = 0;
  // How many of Options::republish_messages_max it may still become; a hop shares its own among all that
  // comes of it (set by the broker if hops is 0, else as hops). With hops and without any: dropped likewise.
  size_t offspring_max = 0;
  // The rules saw it already (the export stage runs them in the write of its own offset): the hook is not
  // asked.
  bool subscribers_only = false;
};
using MessagePtr = std::shared_ptr<const Message>;

// The default of Options::republish_messages_max.
inline constexpr size_t kRepublishMessagesMax = 1'000;

// What each of the `count` messages that one message becomes may become in its turn. The first hop is what
// the operator wrote and always passes.
inline size_t offspring_share(uint32_t hops, size_t offspring_max, size_t count) {
  const size_t share = count == 0 ? offspring_max : offspring_max / count;
  return hops == 0 && share == 0 ? 1 : share;
}

// Who published. Empty client_id: not an MQTT client (API, rules engine, export).
struct Publisher {
  std::string_view client_id;
  std::string_view principal;  // certificate id, or the id of who signed; empty for nobody
  std::string_view source_address;
};

// Called on the shard's thread for every authorized PUBLISH of a client (after topic alias resolution), and
// for what InternalPublisher, lifecycle events, wills and replies publish (with an empty client id, but for a
// will), before routing. Of `properties`, topic and payload may be missing. Views live for the call only.
// Must not block. What is added to `batch` becomes durable before the PUBACK. Implemented by pipeline/
// (device reports, rules, Basic Ingest).
class PublishHook {
 public:
  virtual ~PublishHook() = default;
  struct Verdict {
    // False for reserved topics that end here (device reports, Basic Ingest): not delivered to subscribers.
    bool route_to_subscribers = true;
    // Messages to publish once `batch` is durable (or at once if it stayed empty): accepted/rejected answers,
    // republish actions.
    std::vector<MessagePtr> replies;
    // How many more messages may come of it by way of `batch` (runs of rule actions): they share with the
    // replies what this one may become.
    size_t deferred = 0;
  };
  virtual Verdict on_publish(const Publisher& publisher, std::string_view topic, std::string_view payload,
                             const Message& properties, Timestamp now, log::Batch& batch) = 0;
};

// Topics whose messages are counted apart, because a dimension of Detect names them. Immutable.
struct CountedTopics {
  struct Dimension {
    std::string name;
    std::vector<std::string> filters;  // topic filters; ${iot:ClientId} stands for the id of the client
    bool in = false;                   // somebody asks for the messages that a filter matches
    bool not_in = false;               // somebody asks for the others
  };
  static constexpr size_t kDimensionsMax = 16;
  std::vector<Dimension> dimensions;  // at most kDimensionsMax, each with `in` or `not_in`
};
using CountedTopicsPtr = std::shared_ptr<const CountedTopics>;

// What is counted of messages.
struct MessageCounters {
  uint64_t messages_sent = 0;      // PUBLISH from the device, Basic Ingest and reserved topics included
  uint64_t messages_received = 0;  // PUBLISH delivered to the device
  uint64_t message_bytes_total = 0, message_bytes_min = 0, message_bytes_max = 0;  // of payloads sent
  uint64_t authorization_failures = 0;
};

// Of one dimension: of the messages that a filter matches, or of the others and what has no topic.
struct DimensionCounters : MessageCounters {
  std::string dimension;
  bool in = true;
  std::vector<std::string> source_addresses;  // of what was counted; as Observation's
};

// Cloud-side observations of one thing or client since the last delta: plain counters on its connection,
// handed over once each observation interval and at disconnect, as AWS's cloud-side metrics.
struct Observation : MessageCounters {
  std::string thing;  // thing name, or the client id of an unregistered device
  bool registered = false;
  Timestamp from, to;
  uint64_t connection_attempts = 0;
  uint64_t disconnects = 0;
  bool connected = false;                     // at `to`
  Timestamp disconnected_since;               // 0 while connected
  std::vector<std::string> source_addresses;  // distinct, at most kSourceAddressesMax
  std::vector<DimensionCounters> dimensions;  // those that counted something
  static constexpr size_t kSourceAddressesMax = 16;
};

// Receives observations in batches, on a shard's thread; must not block (hands them to the log).
class ObservationSink {
 public:
  virtual ~ObservationSink() = default;
  virtual void on_observations(std::vector<Observation> batch) = 0;
};

// A client came or went, whatever its id.
struct Presence {
  std::string_view thing;  // thing name, or the client id of an unregistered device
  bool connected = false;
  Timestamp at;
  std::string_view disconnect_reason;  // of lifecycle events; empty if connected
};

// Called on the shard's thread that owns the client, for each client in the order of events; views live for
// the call only. Must not block.
class PresenceSink {
 public:
  virtual ~PresenceSink() = default;
  virtual void on_presence(const Presence& presence) = 0;
};

// Publishing from inside the program; thread safe. `done` (may be empty) runs when the message has been
// handed to every matching live subscriber and is durable for persistent sessions and as retained message: on
// some shard's thread.
class InternalPublisher {
 public:
  virtual ~InternalPublisher() = default;
  virtual void publish(MessagePtr message, std::function<void(Status)> done) = 0;
};

}  // namespace fleetward::broker
