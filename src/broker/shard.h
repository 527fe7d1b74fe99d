#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "broker/broker.h"
#include "broker/commit_gate.h"
#include "broker/connect_limiter.h"
#include "broker/connection.h"
#include "broker/cut_chains.h"
#include "broker/event_loop.h"
#include "broker/mail.h"
#include "broker/observed.h"
#include "broker/retained.h"
#include "broker/router.h"
#include "broker/session_store.h"
#include "broker/stats.h"
#include "broker/timer_wheel.h"
#include "mqtt/encoder.h"
#include "mqtt/session.h"

namespace fleetward::broker {

class Acceptor;
class Shard;

// What the shards share: read-only or thread safe.
struct ShardContext {
  ShardContext(const Options& o, const Broker::Dependencies& d) : options(o), dependencies(d), retained(o) {}

  const Options options;
  const Broker::Dependencies dependencies;
  std::shared_ptr<const mqtt::SessionOptions> protocol;
  mqtt::TopicLimits topic_limits;
  RetainedStore retained;
  std::vector<std::unique_ptr<Shard>> shards;
  // Of all listeners and shards; null: no resumption.
  const std::shared_ptr<TlsTickets> tickets =
      options.tls_session_lifetime.count() == 0
          ? nullptr
          : std::make_shared<TlsTickets>(options.tls_session_lifetime, dependencies.steady);
  ConnectLimiter limiter{options.connect_rate_max, options.connect_rate_per_source_max, options.sources_max};
  const std::shared_ptr<std::atomic<size_t>> websockets_unfinished = std::make_shared<std::atomic<size_t>>(0);
  std::atomic<size_t> connections{0};
  std::atomic<uint64_t> last_shared_message{0};  // session.h
  std::atomic<uint64_t> last_routed{0};          // session_store.h

  uint32_t owner_of(std::string_view client_id_or_topic) const {
    return static_cast<uint32_t>(TextHash()(client_id_or_topic) % shards.size());
  }
};

// One event loop and everything it owns: listeners' sockets, connections, sessions of its client ids, their
// subscriptions, one place in the log's queue. All members belong to the shard's thread but post() and what
// says so. The parts: shard.cc (loop, mail, rounds), shard_connect.cc (from accept to CONNACK),
// shard_session.cc (the end of a connection and what outlives it), shard_publish.cc (the life of a publish),
// shard_deliver.cc (its subscribers and their queues), shard_qos2.cc, shard_subscribe.cc.
class Shard {
 public:
  Shard(ShardContext& context, uint32_t index);
  ~Shard();

  // Before the thread starts.
  Status open();
  void restore(std::unique_ptr<ClientSession> session);
  // After restore(): what was on its way between shards when the program ended joins the queues of those of
  // this shard's sessions that it was for, and `batch`.
  void recover(const session_store::Routed& routed, log::Batch& batch);
  // The same for one group of a shared subscription; false if this shard has no member of it.
  bool recover_shared(const session_store::Routed& routed, const SharedTarget& target, log::Batch& batch);
  void start();
  // Any thread.
  ShardMailbox& mailbox() { return mailbox_; }
  ShardMailbox& inbox() { return inbox_; }
  const ShardStats& stats() const { return stats_; }
  // Stops in two steps, because shards wait for each other: no more clients, until drained() everywhere; then
  // the end of the loop, after which join() returns.
  void begin_stop();
  bool drained() const { return drained_.load(); }
  void quit();
  void join();
  // Through the mailbox (CallMail), from another thread: runs on the shard, waits for it.
  void run_here(const std::function<void()>& work);

  // --- for tests with a manual clock, instead of start(): one wake-up.
  void step(Duration wait);

  // --- called by acceptors and connections
  void accept_from(Acceptor& acceptor);
  EventLoop& loop() { return loop_; }
  // Of this wake-up: what deadlines are compared with.
  Timestamp steady() const { return steady_; }
  std::span<char> read_buffer() { return read_buffer_; }
  std::string& plain_buffer() { return plain_buffer_; }
  std::string& message_buffer() { return message_buffer_; }
  mqtt::Packet& packet() { return packet_; }
  void after_receive(size_t bytes);
  // A part of the handshakes that are ready: the connections that are open do not wait for all of them.
  bool may_shake_hands() { return handshakes_left_ > 0 && handshakes_left_-- > 0; }
  void count_handshake(bool resumed) {
    stats_.tls_handshakes.add();
    if (resumed) stats_.tls_resumed.add();
  }
  // A client has come, whose address is known. False: too many do, and it is closed.
  bool admit_arrival(Connection& connection);
  // After what was read of it: it is not read for a while if it sends too much.
  void count_packets(Connection& connection);
  void after_send(size_t bytes) { stats_.bytes_out.add(bytes); }
  bool must_pause(const Connection& connection) const;
  void pause(Connection& connection);
  void mark_dirty(Connection& connection);
  void set_timer(Connection& connection);
  void bury(Connection& connection);
  void refuse(Connection& connection, Refusal refusal, std::string_view detail);
  // Ends a connection after this wake-up's packets; the first reason counts. Safe from everywhere.
  void end(Connection& connection, EndReason reason);
  void on_writable(Connection& connection);
  void on_connect(Connection& connection, const mqtt::Connect& connect);
  void on_publish(Connection& connection, const mqtt::Publish& publish, mqtt::AckTicket ticket);
  void on_subscribe(Connection& connection, uint16_t packet_id,
                    std::span<const mqtt::RequestedSubscription> subscriptions);
  void on_unsubscribe(Connection& connection, uint16_t packet_id, std::span<const std::string_view> filters);
  void on_repeated_publish(Connection& connection, const mqtt::Publish& publish, mqtt::AckTicket ticket);
  void on_pubrel(Connection& connection, uint16_t packet_id, mqtt::AckTicket ticket, bool known);
  void on_puback(Connection& connection, uint64_t cookie);
  void on_pubrec(Connection& connection, uint16_t packet_id, uint64_t cookie);
  void on_disconnect(Connection& connection, const mqtt::Disconnect& disconnect);
  void on_protocol_error(Connection& connection, mqtt::ReasonCode reason, std::string_view text);

  // --- called by the broker, on the shard's thread (run_here)
  // `index` names the listener on every shard.
  void listen(int descriptor, size_t index, std::shared_ptr<const ListenerState> listener);
  // Who connects from now on sees this state.
  void renew_listener(size_t index, std::shared_ptr<const ListenerState> listener);
  void close_listeners();
  bool disconnect_client(const std::string& client_id, bool clean_session, bool prevent_will);
  std::optional<ConnectionInfo> describe(const std::string& client_id) const;
  std::string trouble() const { return gate_.trouble(); }

  // Called by TLS handshakes.
  bool admit(const PeerCertificate& certificate);

 private:
  struct Receiver {
    ClientSession* session;
    uint8_t qos;
    bool retain_as_published;
  };
  // One message on its way to the subscribers of this shard.
  struct Fanout {
    const mqtt::Publish& publish;
    mqtt::PublishFrames frames;
    MessagePtr message;                        // made when first needed
    const ClientSession* publisher = nullptr;  // for "no local"
    // QoS 2 of a persistent session: what leaves this shard does so after the commit, and once.
    bool exactly_once = false;
    bool stored = false;                    // something joined the gathering batch
    size_t keepers = 0;                     // persistent sessions of this shard that queue it
    std::shared_ptr<SharedMessage> shared;  // if more than one
    explicit Fanout(const mqtt::Publish& p, MessagePtr m = nullptr)
        : publish(p), frames(p), message(std::move(m)) {}
  };
  struct Outbox {
    std::vector<Mail> mail;
    size_t weight = 0;
  };

  // shard.cc
  void run();
  void wake_up(Duration wait);
  void absorb_mail();
  void handle_mail();
  void take_inbox();
  void handle(RouteMail& mail);
  void handle(InterestChange& mail);
  void handle(RetainMail& mail);
  void handle(DurableMail& mail);
  void handle(CommitMail& mail);
  void handle(AdoptMail& mail);
  void handle(WebSocketMail& mail);
  void handle(PublishMail& mail);
  void handle(SnapshotMail& mail);
  void handle(CallMail& mail);
  void post_later(uint32_t shard, Mail mail, size_t weight);
  void flush_outboxes();
  void finish_round();
  void complete_rounds();
  void complete(Rounds::Round& round);
  void flush_dirty();
  void end_pending();
  void tick();
  void resume_paused();
  void resume_throttled();
  void observe(Timestamp now, bool only_absent);
  void take_counted_topics();
  // The round waits for the gathering batch of this shard.
  void wait_for_commit();
  void say_goodbye();

  // shard_connect.cc
  // Null: refused, and the socket is closed.
  Connection* add_connection(int descriptor, SocketAddress peer,
                             std::shared_ptr<const ListenerState> listener);
  bool arrival_is_logged();
  static Timestamp deadline_of(const Connection& connection);
  void move_pending();
  void answer_connect(Connection& connection);
  bool admit_client(Connection& connection);
  void refuse_connect(Connection& connection, Refusal refusal, mqtt::ReasonCode reason,
                      std::string_view text);
  // Of a signed one, from now on.
  Duration websocket_lifetime(const Connection& connection) const;
  uint32_t granted_expiry_s(const ConnectRequest& request) const;
  ClientSession* open_session(Connection& connection, uint32_t expiry_s, bool& present);
  void send_backlog(ClientSession& session);
  void check_connection(uint64_t id, Timestamp deadline, Timestamp& next);
  bool allowed(Connection& connection, registry::DeviceAction action, std::string_view name);
  // `topic`: of the publish or subscription that was denied; none for a CONNECT.
  void authorization_failed(Connection& connection, Refusal refusal, std::string_view what,
                            std::optional<std::string_view> topic = std::nullopt);
  // Connections whose certificate, or access key, is not good any more.
  void sweep_principals();

  // shard_session.cc
  void finish_end(Connection& connection, EndReason reason);
  void release_session(Connection& connection, EndReason reason);
  void fire_will(Connection& connection, ClientSession& session);
  void end_session(const std::string& client_id);
  void set_session_timer(ClientSession& session);
  void check_session(const std::string& client_id, Timestamp deadline);
  ClientSession* find_session(std::string_view client_id) const;
  void announce_presence(Connection& connection, ClientSession& session, std::string_view thing,
                         bool connected, EndReason reason);
  void queue_internal(MessagePtr message);

  // shard_publish.cc
  struct PublishFault {
    Refusal refusal;
    mqtt::ReasonCode reason;
    std::string text;
  };
  std::optional<PublishFault> check_publish(Connection& connection, const mqtt::Publish& publish);
  void refuse_publish(Connection& connection, const mqtt::Publish& publish, mqtt::AckTicket ticket,
                      const PublishFault& fault);
  void publish_internal(const MessagePtr& message, std::string_view client_id);
  bool run_hook(const Publisher& publisher, const mqtt::Publish& publish, const Message& properties);
  void route(Fanout& fanout);
  void retain(Fanout& fanout);
  CountedApart counted_apart(Connection& connection, LastCounters& last, std::string_view topic);
  void delivered(Connection& connection, std::string_view topic);
  const MessagePtr& message_of(Fanout& fanout) const;
  void deliver_shared(const std::vector<SharedTarget>& targets, Fanout& fanout);
  void acknowledge_with_round(const Connection& connection, mqtt::AckTicket ticket);

  // shard_deliver.cc
  void find_receivers(std::string_view topic, const ClientSession* publisher);
  void deliver_local(Fanout& fanout);
  void deliver(ClientSession& session, const Receiver& receiver, Fanout& fanout);
  void deliver_kept(ClientSession& session, uint8_t qos, bool retain_flag, Fanout& fanout);
  bool has_room(const ClientSession& session, size_t weight) const;
  bool enqueue(ClientSession& session, Outgoing outgoing);
  void keep(ClientSession& session, Outgoing outgoing, log::Batch& batch);
  void pump(ClientSession& session);
  enum class Pumped : uint8_t { kNext, kStop };
  Pumped pump_one(ClientSession& session, Connection& connection);
  void release_message(ClientSession& session, Outgoing& outgoing);
  void forget(ClientSession& session, Outgoing& outgoing);

  // shard_qos2.cc
  void recover_for(ClientSession& session, uint8_t qos, bool retain_as_published,
                   const session_store::Routed& routed, log::Batch& batch);
  void send_once(uint32_t shard, RouteMail mail, bool durable);
  Pumped pump_qos2(ClientSession& session, Connection& connection);
  void send_after_commit(const Connection& connection, uint64_t sequence);
  void send_kept(Connection& connection, uint64_t sequence);
  void set_released(ClientSession& session, Connection& connection, Outgoing& outgoing);
  bool resume(ClientSession& session, Connection& connection, Outgoing& outgoing);
  void resume_inactive(ClientSession& session, Connection& connection);

  // shard_subscribe.cc
  mqtt::ReasonCode subscribe_one(Connection& connection, const mqtt::RequestedSubscription& requested,
                                 bool& is_new);
  void send_retained(Connection& connection, const mqtt::Subscription& subscription, bool is_new);
  void remove_subscriptions(ClientSession& session);
  void announce_subscriptions(Connection& connection, bool subscribed, std::vector<std::string> filters);

  ShardContext& context_;
  const Options& options_;
  const uint32_t index_;
  Logger& logger_;
  ShardStats stats_;
  EventLoop loop_;
  ShardMailbox mailbox_, inbox_;
  Timestamp now_;     // wall time of this wake-up
  Timestamp steady_;  // elapsed time of this wake-up; never compared with now_

  std::vector<char> read_buffer_;
  std::string plain_buffer_, message_buffer_;
  mqtt::Packet packet_;
  mqtt::Publish outgoing_publish_;        // scratch
  Message properties_;                    // scratch: what the hook sees of a client's publish
  const Message plain_properties_[3][2];  // by QoS and RETAIN: of a publish without MQTT 5 properties
  Router::Targets targets_;               // scratch
  std::vector<Receiver> receivers_;       // scratch
  uint64_t fanout_id_ = 0;
  CutChains cut_chains_;

  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t last_connection_ = 0;
  TextMap<std::unique_ptr<ClientSession>> sessions_;
  Router router_;
  Observations observations_;
  CountedTopicsPtr counted_;      // null: nothing is counted apart
  uint64_t counted_version_ = 1;  // rises when `counted_` changes
  CommitGate gate_;
  Rounds rounds_;
  bool round_waits_here_ = false;  // the open round waits for the gathering batch ...
  uint64_t round_cuts_ = 0;        // ... when it was the one after this many cuts

  std::vector<Outbox> outboxes_;
  bool outbox_blocked_ = false;
  std::vector<Mail> incoming_, absorbed_;
  std::vector<Mail> work_;  // of the inbox; from work_next_ on not handled yet
  size_t work_next_ = 0;
  std::vector<std::pair<MessagePtr, std::string>> internal_;  // to publish, with the client id of a will
  std::vector<Connection*> dirty_, ending_, moving_;
  std::vector<uint64_t> paused_, throttled_;
  int handshakes_left_ = 0;        // in this wake-up
  Timestamp next_arrival_logged_;  // of the refused ones
  std::vector<std::unique_ptr<Connection>> graveyard_;
  std::map<size_t, std::unique_ptr<Acceptor>> listeners_;  // by index
  bool accept_failed_ = false;

  TimerWheel<uint64_t> connection_timers_;
  TimerWheel<std::string> session_timers_;
  Timestamp next_tick_, next_observation_, next_absent_;
  state::SnapshotPtr snapshot_;
  bool sweep_due_ = false;
  size_t queued_bytes_ = 0;  // of all sessions of this shard

  std::thread thread_;
  std::atomic<bool> stopping_{false}, drained_{false}, quit_{false};
  bool goodbye_said_ = false;
};

}  // namespace fleetward::broker
