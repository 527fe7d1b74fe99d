#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/hooks.h"
#include "broker/options.h"
#include "core/address_list.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/random.h"
#include "core/result.h"
#include "core/socket_address.h"
#include "core/time.h"
#include "core/tls.h"
#include "log/log.h"

namespace fleetward::identity {
struct Caller;
}
namespace fleetward::registry {
class DeviceAuthorizer;
}
namespace fleetward::state {
class Snapshot;
class Store;
using SnapshotPtr = std::shared_ptr<const Snapshot>;
}  // namespace fleetward::state

namespace fleetward::broker {

// Where clients come in.
struct Listener {
  enum class Kind {
    kMqtts,  // mutual TLS: a certificate known to the registry and ACTIVE is required
    kAlpn,   // TLS whose ClientHello decides: ALPN x-amzn-mqtt-ca is MQTT (as kMqtts), else `https` gets it
    kMqtt,   // plain TCP; `plain_policy` says what its clients may do
    kUnix,   // a Unix socket, likewise
    kWebSocket,  // not to listen: of clients that adopt() takes
  } kind = Kind::kMqtts;
  std::string address;        // "0.0.0.0:8883", "[::1]:0"; port 0 takes a free one. kUnix: a path
  unsigned unix_mode = 0600;  // kUnix: of the socket's file
  TlsFiles certificate;       // kMqtts, kAlpn
  // Unless null, each connection comes from one of these and begins with the header of the PROXY protocol;
  // the address in it is the client's.
  std::shared_ptr<const AddressList> proxies;
  // kMqtt, kUnix: "open" (everything allowed) or the name of an IoT policy; one that does not exist allows
  // nothing.
  std::string plain_policy;
  // kAlpn: takes over sockets that are not MQTT: descriptor, peer address, bytes read already (the start of
  // the ClientHello). Called on a shard's thread; must not block. http::Server::adopt fits.
  std::function<void(int descriptor, const SocketAddress& peer, std::string prefix)> https;
};

// A WebSocket of MQTT whose opening handshake somebody else has done.
struct WebSocketClient {
  int descriptor = -1;             // connected, non-blocking; the broker's to close
  std::unique_ptr<TlsEngine> tls;  // open; null: plain TCP
  std::string received;            // decrypted bytes that came after the handshake
  SocketAddress peer;
  // Who signed the request; null: the TLS client certificate says who, or, without one, nobody.
  std::shared_ptr<const identity::Caller> caller;
  std::string plain_policy;  // as Listener's: for nobody
};

// What an API caller may know of a client.
struct ConnectionInfo {
  std::string client_id;
  bool connected = false;
  std::string thing_name;  // empty: not registered
  std::string principal;   // certificate id, or the id of the user or role session
  std::string source_ip;
  uint16_t source_port = 0;
  bool clean_session = true;
  uint32_t keep_alive_seconds = 0;
  uint32_t session_expiry_seconds = 0;
  Timestamp connected_since, disconnected_since;
  std::string disconnect_reason;  // disconnectReason of lifecycle events
  struct Subscription {
    std::string filter;
    int qos = 0;
  };
  std::vector<Subscription> subscriptions;
};

struct RetainedMessage {
  MessagePtr message;
  Timestamp last_modified;
};

// The MQTT broker: listeners, shards, sessions, routing, retained messages, lifecycle events, observations.
// Thread safe after start(); every call but stop() may come from any thread that is not a shard's.
class Broker {
 public:
  struct Dependencies {
    log::Log& log;        // sessions, queues and retained messages; the hook's records
    state::Store& store;  // open; its changes reach the shards by themselves
    const registry::DeviceAuthorizer& authorizer;  // certificates, things, policies
    PublishHook& hook;
    ObservationSink& observations;
    const Clock& clock;   // wall time: what is stored, shown and sent
    const Clock& steady;  // elapsed time: keep-alive and every other deadline of this run
    Random& random;
    Logger& logger;
    Metrics& metrics;                  // must not be scraped after the broker is gone
    PresenceSink* presence = nullptr;  // may be null
    // What is counted apart under this state (null: nothing): the same pointer as long as that is the same.
    // Called on the shards' threads. May be empty.
    std::function<CountedTopicsPtr(const state::SnapshotPtr&)> counted_topics = {};
  };

  // `options` must pass check().
  Broker(const Options& options, const Dependencies& dependencies);
  ~Broker();  // stops if stop() was not called

  static Status check(const Options& options);

  // Restores sessions and retained messages from the log and starts the shards. kCorrupt if what is stored
  // does not parse.
  Status start();
  // After start(). The real "address:port". kConflict: port in use; kPermissionDenied: may not bind it;
  // kInvalidArgument: address or certificate files.
  Result<std::string> listen(const Listener& listener);
  // Takes a client over: its CONNECT is next. Any thread; the socket closes if the broker is not running.
  void adopt(WebSocketClient client);
  // Reads the certificates of all listeners again: new handshakes use them, connections stay. If one cannot
  // be used, all stay as they are (kInvalidArgument).
  Status reload_certificates();
  // Closes the listeners, says DISCONNECT 0x8B to v5 clients, waits until what is in flight is durable (at
  // most `grace`), hands over the last observations, ends the threads. Sessions and wills of persistent
  // sessions stay.
  void stop(Duration grace);

  // Publishing from inside the program.
  InternalPublisher& publisher();

  // Closes a client's connection; false if it had none. `clean_session` also drops its session.
  // Blocks until done.
  bool disconnect(const std::string& client_id, bool clean_session, bool prevent_will);
  // nullopt: neither connected nor a stored session. Blocks until the owner answered.
  std::optional<ConnectionInfo> connection(const std::string& client_id);

  // Topics from `begin` on, in order, at most `count_max`.
  std::vector<RetainedMessage> list_retained(const std::string& begin, size_t count_max) const;
  std::optional<RetainedMessage> get_retained(const std::string& topic) const;

  size_t connection_count() const;
  // Empty while healthy, else why publishers are not acknowledged.
  std::string trouble() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetward::broker
