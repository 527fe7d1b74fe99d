#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "broker/access.h"
#include "broker/broker.h"
#include "broker/event_loop.h"
#include "broker/observed.h"
#include "broker/session.h"
#include "broker/websocket.h"
#include "core/tls.h"
#include "mqtt/session.h"

namespace fleetward::broker {

class Shard;

// An id of a connection: the shard that accepted it, then its number there.
inline constexpr int kIdShardShift = 48;

inline constexpr std::string_view kAlpnMqtt = "x-amzn-mqtt-ca";

// Why a connection ended (AWS IoT Developer Guide, Lifecycle events).
enum class EndReason : uint8_t {
  kClientInitiated,
  kAuthError,
  kClientError,
  kConnectionLost,
  kDuplicateClientId,
  kKeepAliveTimeout,
  kServerError,
  kServerInitiated,
  kApiInitiated,
  kThrottled,
  kWebSocketClosed,  // by the client, without a DISCONNECT
  kWebSocketExpired,
};
const char* to_string(EndReason reason);

// A listener as its connections see it.
struct ListenerState {
  Listener listener;
  std::shared_ptr<TlsContext> tls;  // null for plain ones
  // How many of its connections have not got their CONNECT answered; all shards count.
  std::shared_ptr<std::atomic<size_t>> unfinished;
};

// A CONNECT that has passed the codec, kept until the owner of the client id has answered it.
struct ConnectRequest {
  std::string client_id;
  bool assigned = false;  // by the broker
  bool clean_start = true;
  bool is_v5 = false;
  uint32_t session_expiry_s = 0;  // as asked for; 3.1.1: from the clean session flag
  MessagePtr will;
  uint32_t will_delay_s = 0;
};

// One client's socket: bytes in, TLS, WebSocket, the protocol machine, bytes out. Lives on one shard at a
// time; until its CONNECT is read it may move to the shard that owns its client id. Never blocks.
class Connection final : public EventSource, public mqtt::SessionHandler {
 public:
  Connection(uint64_t id, int descriptor, SocketAddress peer, std::shared_ptr<const ListenerState> listener,
             std::shared_ptr<const mqtt::SessionOptions> options, size_t access_cache_max,
             Timestamp connect_deadline);
  ~Connection() override;

  enum class Stage : uint8_t {
    kProxy,      // the header of the PROXY protocol is not complete
    kHello,      // ALPN listener: the ClientHello is not complete
    kHandshake,  // up to the CONNECT packet, TLS handshake included
    kConnect,    // the CONNECT is read and not answered
    kConnected,
    kClosing,  // what is left is being sent
    kDead,
  };

  // Joins the loop of a shard. From here on everything runs on its thread.
  Status attach(Shard& shard);
  // Once, after attach(): the TLS of `client`, then WebSocket frames.
  void begin_websocket(WebSocketClient& client);
  // Leaves it, to move.
  void detach();

  void on_event(bool readable, bool writable) override;
  // Feeds what waited in the buffer (after an answer to CONNECT, or acknowledgements).
  void resume_feed();
  // Sends what is in out(); to be called once per wake-up, for connections that were marked dirty.
  void flush();
  // Back-pressure.
  void set_reading(bool reading);

  // Sends what is in out() and closes: once the client has closed too, or after `linger`. 0: as soon as it is
  // sent.
  void close_after_flush(Timestamp steady, Duration linger);
  // Closes the socket at once.
  void kill();

  uint64_t id() const { return id_; }
  Stage stage() const { return stage_; }
  void set_stage(Stage stage);
  mqtt::Session& protocol() { return protocol_; }
  std::string& out() { return out_; }
  size_t outbound_bytes() const { return out_.size() + wire_.size() - sent_; }
  bool live() const { return stage_ == Stage::kConnected; }

  const std::string& certificate_id() const;
  std::string server_name() const { return tls_ ? tls_->server_name() : std::string(); }
  const std::string& peer_ip() const { return peer_.ip; }
  uint16_t peer_port() const { return peer_.port; }
  // For log lines: the shard that accepted it, and its number there.
  std::string name() const;
  const ListenerState& listener() const { return *listener_; }

  // --- mqtt::SessionHandler: handed to the shard
  void on_connect(const mqtt::Connect& connect) override;
  void on_publish(const mqtt::Publish& publish, mqtt::AckTicket ticket) override;
  void on_subscribe(uint16_t packet_id, std::span<const mqtt::RequestedSubscription> subscriptions,
                    const mqtt::Properties& properties) override;
  void on_unsubscribe(uint16_t packet_id, std::span<const std::string_view> filters,
                      const mqtt::Properties& properties) override;
  void on_repeated_publish(const mqtt::Publish& publish, mqtt::AckTicket ticket) override;
  void on_pubrel(uint16_t packet_id, mqtt::AckTicket ticket, bool known) override;
  void on_puback(uint16_t packet_id, mqtt::ReasonCode reason, uint64_t cookie) override;
  void on_pubrec(uint16_t packet_id, uint64_t cookie) override;
  void on_disconnect(const mqtt::Disconnect& disconnect) override;
  void on_error(mqtt::ReasonCode reason, std::string_view text) override;

  // --- what the shard keeps with a connection
  ConnectRequest request;
  ClientSession* session = nullptr;
  Observed* observed = nullptr;
  LastCounters published_counters, delivered_counters;
  AccessCache access;
  registry::DeviceConnection device;
  uint64_t policy_version = 0;  // of the snapshot that `access` was made from
  std::string session_id;       // of lifecycle events
  MessagePtr will;
  uint32_t will_delay_s = 0;
  Timestamp deadline;  // before CONNECT, and while closing; of the steady clock
  Timestamp ends_at;   // of a signed WebSocket; of the steady clock; {0}: not by itself
  Timestamp timer_at;  // the timer wheel's live entry
  uint32_t refusals_logged = 0;
  bool ending = false;  // in the shard's list of connections to end after this wake-up
  EndReason ending_reason = EndReason::kServerError;
  bool dirty = false;   // in the shard's list of connections to flush
  bool paused = false;  // in the shard's list of connections that are not read
  // Of packets_per_second_max: what it may still send now; below 0 it is not read.
  double packets_left = 0;
  Timestamp packets_counted;  // of the steady clock
  bool throttled = false;     // in the shard's list of those

 private:
  void read();
  void read_first(std::string_view bytes);
  void read_proxy_header(std::string_view bytes);
  void begin_stage();
  void read_hello(std::string_view bytes);
  void start_tls();
  void take_encrypted(std::string_view bytes);
  void take_plain(std::string_view bytes);
  void process(std::string_view bytes);
  void seal();
  void lost(EndReason reason);
  void update_interest();

  const uint64_t id_;
  int descriptor_;
  SocketAddress peer_;
  const std::shared_ptr<const ListenerState> listener_;
  Shard* shard_ = nullptr;
  Stage stage_ = Stage::kHandshake;
  bool unfinished_ = true;  // counted as such
  mqtt::Session protocol_;
  std::unique_ptr<TlsEngine> tls_;
  std::unique_ptr<WebSocket> websocket_;
  std::string in_;    // a ClientHello, or MQTT bytes that are not a whole packet or must wait
  std::string out_;   // MQTT bytes to send
  std::string wire_;  // TLS, WebSocket: bytes of theirs to send
  size_t sent_ = 0;   // bytes of wire_, or without such layers of out_, that the socket has taken
  bool reading_ = true, blocked_ = false, write_blocked_ = false;
  bool interest_read_ = true, interest_write_ = false;  // as the loop knows them
};

}  // namespace fleetward::broker
