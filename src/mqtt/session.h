#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/time.h"
#include "mqtt/decoder.h"
#include "mqtt/encoder.h"
#include "mqtt/inflight.h"
#include "mqtt/packet.h"
#include "mqtt/topic.h"

namespace fleetward::mqtt {

// What one server connection allows; the same for all connections of a listener, so sessions share it.
struct SessionOptions {
  size_t packet_bytes_max = 262'144;  // inbound, announced as Maximum Packet Size
  // Inbound QoS 1 and 2 publishes not yet acknowledged (QoS 2: completed). Announced to MQTT 5 clients, which
  // are cut above it [MQTT-3.3.4-7]; a 3.1.1 client is simply not read from until acknowledgements leave.
  uint16_t receive_maximum = 1024;
  // Inbound QoS 2 publishes that a 3.1.1 client has not released: it cannot be told a bound, and not reading
  // from it would keep its PUBRELs away too, so it is cut above this one.
  uint16_t unreleased_max = 4096;
  // Outbound QoS 1 and 2 publishes not yet acknowledged; the client's own Receive Maximum lowers it.
  uint16_t inflight_max = 1024;
  uint16_t topic_alias_maximum = 8;  // inbound aliases
  uint8_t maximum_qos = 2;           // 0 to 2, of what the client publishes
  // A SUBSCRIBE of 3.1.1 that asks for more than maximum_qos ends the connection, as AWS IoT Core does.
  bool subscribe_qos_strict = false;
  bool retain_available = true;
  bool wildcard_available = true;
  bool subscription_ids_available = false;
  bool shared_available = true;
  size_t filters_max = 1024;  // in one SUBSCRIBE; AWS: 8
  size_t user_properties_max = 1024;
  size_t client_id_bytes_max = 128;  // longer: CONNACK 0x85 (3.1.1: 2)
  // What the client asked for is raised or lowered to this range (MQTT 5 clients are told by Server Keep
  // Alive). 0 asked for means none, which becomes `keep_alive_max_s` unless that is 0 ("no bound").
  uint16_t keep_alive_min_s = 0;
  uint16_t keep_alive_max_s = 0;
  TopicLimits topic_limits;
};

// The place of an inbound QoS 1 or 2 publish, or of a PUBREL, in the order of its connection; see
// Session::acknowledge.
using AckTicket = uint64_t;
inline constexpr AckTicket kNoTicket = UINT64_MAX;  // a QoS 0 publish

// One filter of a SUBSCRIBE with what the session found: kSuccess, or the reason to answer for this filter
// (kTopicFilterInvalid, kSharedSubscriptionsNotSupported, kWildcardSubscriptionsNotSupported).
struct RequestedSubscription {
  Subscription subscription;
  ReasonCode check = ReasonCode::kSuccess;
};

// What a session tells its owner, during feed(). Views live for the call only. Calls back into the session
// (accept, acknowledge, publish, disconnect, pause...) are allowed from each of them.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  // Answer with accept() or reject(), now or later; nothing more is parsed before.
  virtual void on_connect(const Connect& connect) = 0;
  // The topic alias is resolved: publish.topic is never empty. With QoS 1 and 2 the ticket must be
  // acknowledged once (or dropped), in any order, now or later.
  virtual void on_publish(const Publish& publish, AckTicket ticket) = 0;
  // A QoS 2 publish whose packet identifier is remembered: it is not to be delivered again, only to be
  // acknowledged, once what it repeats is as safe as a PUBREC promises [MQTT-4.3.3-10].
  virtual void on_repeated_publish(const Publish& publish, AckTicket ticket) = 0;
  // The client releases a QoS 2 publish. Acknowledge the ticket once the packet identifier is forgotten for
  // good: the client may use it for another message then. `known`: the identifier was remembered until now.
  virtual void on_pubrel(uint16_t packet_id, AckTicket ticket, bool known) = 0;
  // Answer with suback(), one reason for each, in order. `subscription_id` is 0 if none was given.
  virtual void on_subscribe(uint16_t packet_id, std::span<const RequestedSubscription> subscriptions,
                            const Properties& properties) = 0;
  // Answer with unsuback(), one reason for each, in order.
  virtual void on_unsubscribe(uint16_t packet_id, std::span<const std::string_view> filters,
                              const Properties& properties) = 0;
  // The client has acknowledged a publish (QoS 2: completed it), or refused it: is_error(reason). Its place
  // in the window is free. `cookie` is what publish() was given.
  virtual void on_puback(uint16_t packet_id, ReasonCode reason, uint64_t cookie) = 0;
  // The client has received a QoS 2 publish: it must never be sent again. Answer with release(), now or
  // later.
  virtual void on_pubrec(uint16_t packet_id, uint64_t cookie) = 0;
  // DISCONNECT: reason kSuccess discards the will, kDisconnectWithWill sends it. The properties may change
  // the Session Expiry Interval. The session is closed after it.
  virtual void on_disconnect(const Disconnect& disconnect) = 0;
  // The client broke the protocol; the answer that its version allows is already in `out` and the session is
  // closed. `text` cites the statement.
  virtual void on_error(ReasonCode reason, std::string_view text) = 0;
};

// The server's side of one connection's protocol, without I/O, timers or storage: it parses what arrives,
// enforces order and limits, and writes what is to be sent to a buffer of the caller. Whether a client may
// connect, publish or subscribe, and when a publish is acknowledged, is the owner's decision. Not thread
// safe: one shard owns it. About 200 bytes while nothing is in flight.
//
// The owner keeps the receive buffer: it appends what it reads, calls feed(), drops what was consumed.
class Session {
 public:
  explicit Session(std::shared_ptr<const SessionOptions> options);

  struct FeedResult {
    size_t consumed = 0;
    // Size of the packet at the front of the rest, if it is known and incomplete; else 0. The receive buffer
    // must be able to hold it.
    size_t needed = 0;
    // Whole packets may remain: feed the rest again after accept(), acknowledge() or resume().
    bool blocked = false;
    // Send `out`, then close the socket.
    bool close = false;
  };
  // Parses every whole packet of `bytes`, calling `handler`; appends answers of its own (PINGRESP, a refusal)
  // to `out`. `scratch` holds the packet being parsed and may be shared by all sessions of a thread.
  // `now`, here and in accept(), is of a clock that is never set: only the keep-alive reads it.
  FeedResult feed(std::string_view bytes, Timestamp now, std::string& out, SessionHandler& handler,
                  Packet& scratch);

  // --- answers to CONNECT
  struct Accept {
    bool session_present = false;
    std::string_view assigned_client_id;       // if the client sent none (MQTT 5)
    std::optional<uint32_t> session_expiry_s;  // if it differs from what was asked for (MQTT 5)
    std::string_view reason_string;
    std::string_view response_information;
  };
  // False if the CONNACK would be above the client's Maximum Packet Size: reject() then.
  bool can_accept(const Accept& accept) const;
  // Closes without a word if !can_accept().
  void accept(std::string& out, const Accept& accept, Timestamp now);
  // Writes the CONNACK of the client's version, unless not even that fits, and closes.
  void reject(std::string& out, ReasonCode reason, std::string_view reason_string = {});

  // --- inbound QoS 1 and 2
  // Before accept(), for a session that is resumed: the packet identifiers of QoS 2 publishes that it has
  // taken and that are not released.
  void remember(std::span<const uint16_t> unreleased);
  // The same at the end of the connection: what a persistent session keeps.
  std::vector<uint16_t> unreleased() const { return unreleased_.packet_ids(); }
  // Marks the publish or PUBREL as done; its PUBACK, PUBREC or PUBCOMP, and those of later ones already done,
  // leave in the order in which the packets came [MQTT-4.6.0-2]. A refusal (is_error) is told to MQTT 5
  // clients only: in 3.1.1 nothing is sent. A refused QoS 2 publish is not remembered.
  void acknowledge(std::string& out, AckTicket ticket, ReasonCode reason = ReasonCode::kSuccess);
  // Every one up to and including `last`: one durable commit's worth.
  void acknowledge_through(std::string& out, AckTicket last);
  // The publish was not taken and nothing is said about it: the connection is ending.
  void drop(std::string& out, AckTicket ticket);
  size_t unacknowledged() const { return inbound_.size(); }

  // Close the session if the answer is above the client's Maximum Packet Size.
  void suback(std::string& out, uint16_t packet_id, std::span<const ReasonCode> reasons);
  void unsuback(std::string& out, uint16_t packet_id, std::span<const ReasonCode> reasons);

  // --- outbound publishes
  enum class Sent : uint8_t {
    kSent,
    kWindowFull,  // QoS 1 and 2: try again after an on_puback
    kTooLarge,    // above the client's Maximum Packet Size: to be dropped [MQTT-3.1.2-25]
    kClosed,      // not connected
  };
  // packet_id and dup of the message are ignored. `cookie` comes back in on_puback and on_pubrec.
  Sent publish(std::string& out, const Publish& message, uint64_t cookie);
  // The same for a shared encoding; frame.version must be version().
  Sent publish(std::string& out, const PublishFrame& frame, uint64_t cookie);
  // A packet identifier for a QoS 2 message that must be kept, with its identifier, before it may leave: a
  // place in the window. Nothing if that is full.
  std::optional<uint16_t> reserve(uint64_t cookie);
  // Sends it; the identifier must be reserved. kTooLarge frees it.
  Sent publish_reserved(std::string& out, const Publish& message, uint16_t packet_id, bool dup);
  // Answers a PUBREC. Nothing is sent if the identifier does not wait for it.
  void release(std::string& out, uint16_t packet_id);
  // After a reconnect, before any publish(): sends a QoS 1 or 2 message again under its old packet identifier
  // with DUP set [MQTT-4.4.0-1]. kWindowFull if the identifier is in use or out of the window.
  Sent resend(std::string& out, const Publish& message, uint16_t packet_id, uint64_t cookie);
  // Likewise for a QoS 2 message of which nothing is to be sent yet: publish_reserved() follows or, if it is
  // `received`, release(). False if the identifier is in use or, unless `received`, out of the window.
  bool adopt(uint16_t packet_id, uint64_t cookie, bool received);
  bool window_full() const { return outbound_.size() >= window_; }
  // QoS 1 and 2 publishes in flight: what a persistent session keeps. In order of sending.
  std::vector<InflightWindow::Entry> inflight() const { return outbound_.entries(); }

  // --- control
  // Stops feed() after the current packet: back-pressure.
  void pause() { paused_ = true; }
  void resume() { paused_ = false; }
  bool paused() const { return paused_; }
  // Ends the connection from this side: DISCONNECT with the reason for MQTT 5 (a CONNACK if CONNECT was not
  // yet answered), nothing for 3.1.1. No effect if already closed.
  void disconnect(std::string& out, ReasonCode reason, std::string_view reason_string = {});

  // 1.5 times the keep-alive after the last packet [MQTT-3.1.2-22]; {0} if there is none. The owner calls
  // disconnect(kKeepAliveTimeout) when it has passed. Before CONNECT the owner's own timer applies.
  Timestamp keep_alive_deadline() const;
  uint16_t keep_alive_s() const { return keep_alive_s_; }

  Version version() const { return decoder_.version(); }
  bool connected() const { return state_ == State::kConnected; }
  bool closed() const { return state_ == State::kClosed; }

 private:
  enum class State : uint8_t { kExpectConnect, kConnecting, kConnected, kClosed };
  struct Fault {
    ReasonCode reason;
    std::string_view text;
  };
  using Check = std::optional<Fault>;  // nothing: fine

  Check check_order(std::string_view bytes) const;
  Check handle(Packet& packet, std::string& out, SessionHandler& handler);
  Check handle_connect(const Connect& connect, SessionHandler& handler);
  Check handle_publish(Publish& publish, SessionHandler& handler);
  Check handle_qos2_publish(const Publish& publish, SessionHandler& handler);
  Check handle_acknowledgement(const Ack& ack, std::string& out, SessionHandler& handler);
  Check handle_pubrec(const Ack& ack, std::string& out, SessionHandler& handler);
  void handle_pubrel(const Ack& ack, SessionHandler& handler);
  Check handle_subscribe(const Subscribe& subscribe, SessionHandler& handler);
  Check handle_disconnect(const Disconnect& disconnect, SessionHandler& handler);
  Check resolve_alias(Publish& publish);
  ReasonCode check_subscription(const Subscription& subscription) const;
  // `in_connect`: the fault is in the CONNECT, which may be answered with a CONNACK.
  void fail(const Fault& fault, bool in_connect, std::string& out, SessionHandler& handler);
  Connack connack_of(const Accept& accept) const;
  bool append_within(std::string& out, const Publish& message, const PublishHeader& header) const;
  bool inbound_blocked() const;
  void answer(std::string& out, const AckRing::Done& done);
  void forget(uint16_t packet_id);
  void add_reason(Properties& properties, std::string_view reason_string) const;

  std::shared_ptr<const SessionOptions> options_;
  Decoder decoder_;
  State state_ = State::kExpectConnect;
  bool paused_ = false;
  bool problem_information_ = true;
  uint16_t keep_alive_s_ = 0;
  uint16_t asked_keep_alive_s_ = 0;
  uint16_t window_ = 0;
  uint32_t asked_session_expiry_s_ = 0;
  uint32_t client_packet_bytes_max_ = 0xFFFFFFFF;
  Timestamp last_packet_;
  size_t quota_used_ = 0;  // of receive_maximum, by publishes of this connection
  AckRing inbound_;
  Unreleased unreleased_;
  InflightWindow outbound_;
  std::vector<std::string> aliases_;  // by alias - 1; grows to the highest one used
};

}  // namespace fleetward::mqtt
