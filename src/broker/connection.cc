#include "broker/connection.h"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <utility>

#include <unistd.h>

#include "broker/client_hello.h"
#include "broker/shard.h"
#include "core/proxy_protocol.h"

namespace fleetward::broker {
namespace {

constexpr size_t kKeptCapacity = 256 * 1024;
const std::string kNone;

// Gives memory of a burst back.
void reset(std::string& buffer) {
  if (buffer.capacity() > kKeptCapacity) {
    std::string().swap(buffer);
  } else {
    buffer.clear();
  }
}

}  // namespace

const char* to_string(EndReason reason) {
  constexpr std::array kNames = {"CLIENT_INITIATED_DISCONNECT",
                                 "AUTH_ERROR",
                                 "CLIENT_ERROR",
                                 "CONNECTION_LOST",
                                 "DUPLICATE_CLIENTID",
                                 "MQTT_KEEP_ALIVE_TIMEOUT",
                                 "SERVER_ERROR",
                                 "SERVER_INITIATED_DISCONNECT",
                                 "API_INITIATED_DISCONNECT",
                                 "THROTTLED",
                                 "CLIENT_INITIATED_DISCONNECT",
                                 "WEBSOCKET_TTL_EXPIRATION"};
  return kNames[static_cast<size_t>(reason)];
}

Connection::Connection(uint64_t id, int descriptor, SocketAddress peer,
                       std::shared_ptr<const ListenerState> listener,
                       std::shared_ptr<const mqtt::SessionOptions> options, size_t access_cache_max,
                       Timestamp connect_deadline)
    : access(access_cache_max),
      deadline(connect_deadline),
      id_(id),
      descriptor_(descriptor),
      peer_(std::move(peer)),
      listener_(std::move(listener)),
      protocol_(std::move(options)) {
  listener_->unfinished->fetch_add(1, std::memory_order_relaxed);
  if (listener_->listener.proxies) {
    stage_ = Stage::kProxy;
  } else {
    begin_stage();
  }
}

void Connection::begin_stage() {
  stage_ = listener_->listener.kind == Listener::Kind::kAlpn ? Stage::kHello : Stage::kHandshake;
  if (listener_->listener.kind == Listener::Kind::kMqtts) start_tls();
}

void Connection::set_stage(Stage stage) {
  stage_ = stage;
  if (stage != Stage::kConnected || !unfinished_) return;
  unfinished_ = false;
  listener_->unfinished->fetch_sub(1, std::memory_order_relaxed);
}

Connection::~Connection() {
  if (unfinished_) listener_->unfinished->fetch_sub(1, std::memory_order_relaxed);
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status Connection::attach(Shard& shard) {
  shard_ = &shard;
  interest_read_ = reading_ && !blocked_;
  interest_write_ = write_blocked_;
  return shard.loop().add(descriptor_, this, interest_read_, interest_write_);
}

void Connection::detach() {
  shard_->loop().remove(descriptor_, this);
  shard_ = nullptr;
}

std::string Connection::name() const {
  return std::to_string(id_ >> kIdShardShift) + "-" +
         std::to_string(id_ & ((uint64_t{1} << kIdShardShift) - 1));
}

const std::string& Connection::certificate_id() const {
  return tls_ ? tls_->certificate_id() : kNone;
}

void Connection::start_tls() {
  tls_ = std::make_unique<TlsEngine>(listener_->tls);
}

void Connection::begin_websocket(WebSocketClient& client) {
  tls_ = std::move(client.tls);
  websocket_ = std::make_unique<WebSocket>();
  device.caller = std::move(client.caller);
  if (!client.received.empty()) take_plain(client.received);
}

void Connection::on_event(bool readable, bool writable) {
  if (stage_ == Stage::kDead) return;
  if (writable && write_blocked_) {
    write_blocked_ = false;
    flush();
    if (stage_ == Stage::kDead) return;
    if (live()) shard_->on_writable(*this);
  }
  if (readable) read();
}

void Connection::read() {
  if (stage_ == Stage::kClosing) {
    // Only to notice that the peer is gone.
    char drop[4096];
    const ssize_t n = ::recv(descriptor_, drop, sizeof drop, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) kill();
    return;
  }
  if (reading_ && shard_->must_pause(*this)) {
    shard_->pause(*this);
    return;
  }
  const bool in_handshake = stage_ == Stage::kHello || (stage_ == Stage::kHandshake && tls_);
  if (in_handshake && !shard_->may_shake_hands()) return;  // the loop calls again
  const auto buffer = shard_->read_buffer();
  const ssize_t n = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (n < 0) {
    if (errno != EAGAIN && errno != EINTR) lost(EndReason::kConnectionLost);
    return;
  }
  if (n == 0) {
    lost(EndReason::kConnectionLost);
    return;
  }
  shard_->after_receive(static_cast<size_t>(n));
  read_first({buffer.data(), static_cast<size_t>(n)});
  if (live()) shard_->count_packets(*this);
}

// By the outermost layer that is not done with.
void Connection::read_first(std::string_view bytes) {
  if (stage_ == Stage::kProxy) {
    read_proxy_header(bytes);
  } else if (stage_ == Stage::kHello) {
    read_hello(bytes);
  } else if (tls_) {
    take_encrypted(bytes);
  } else {
    take_plain(bytes);
  }
}

void Connection::read_proxy_header(std::string_view bytes) {
  in_.append(bytes);
  ProxyHeader header = parse_proxy_header(in_);
  if (header.state == ProxyHeader::State::kIncomplete) return;
  if (header.state == ProxyHeader::State::kInvalid) {
    shard_->refuse(*this, Refusal::kProxyHeader, "not a header of the PROXY protocol");
    kill();
    return;
  }
  if (header.source) peer_ = std::move(*header.source);
  begin_stage();
  if (stage_ == Stage::kHandshake && !shard_->admit_arrival(*this)) return;
  const std::string rest = std::exchange(in_, {}).substr(header.bytes);
  if (!rest.empty()) read_first(rest);
}

void Connection::read_hello(std::string_view bytes) {
  in_.append(bytes);
  const ClientHello hello = parse_client_hello(in_);
  if (hello.state == ClientHello::State::kIncomplete) return;
  if (hello.state == ClientHello::State::kInvalid) {
    shard_->refuse(*this, Refusal::kTlsHandshake, "not a TLS ClientHello");
    kill();
    return;
  }
  for (const std::string& name : hello.alpn) {
    if (name == kAlpnMqtt) {
      if (!shard_->admit_arrival(*this)) return;
      stage_ = Stage::kHandshake;
      start_tls();
      const std::string prefix = std::exchange(in_, {});
      take_encrypted(prefix);
      return;
    }
    if (name == "mqtt") {
      shard_->refuse(*this, Refusal::kAlpn,
                     "ALPN 'mqtt' (custom authorizers) is not implemented; use 'x-amzn-mqtt-ca'");
      kill();
      return;
    }
  }
  // Not MQTT: the descriptor changes hands.
  shard_->loop().remove(descriptor_, this);
  const int descriptor = std::exchange(descriptor_, -1);
  if (listener_->listener.https) {
    listener_->listener.https(descriptor, peer_, std::exchange(in_, {}));
  } else {
    ::close(descriptor);
  }
  stage_ = Stage::kDead;
  shard_->bury(*this);
}

void Connection::take_encrypted(std::string_view bytes) {
  std::string& plain = shard_->plain_buffer();
  plain.clear();
  const bool was_open = tls_->state() == TlsEngine::State::kOpen;
  const bool open = tls_->feed(bytes, plain);
  shard_->mark_dirty(*this);  // handshake messages, alerts
  if (!was_open && tls_->state() == TlsEngine::State::kOpen) shard_->count_handshake(tls_->resumed());
  if (!was_open && tls_->state() == TlsEngine::State::kFailed) {
    shard_->refuse(*this, Refusal::kTlsHandshake, tls_->failure());
  }
  if (!plain.empty()) take_plain(plain);
  if (open || stage_ == Stage::kDead || stage_ == Stage::kClosing) return;
  flush();  // the alert, before the socket closes
  if (stage_ != Stage::kDead) lost(EndReason::kConnectionLost);
}

void Connection::take_plain(std::string_view bytes) {
  if (!websocket_) {
    process(bytes);
    return;
  }
  std::string& data = shard_->message_buffer();
  data.clear();
  const WebSocket::State state = websocket_->feed(bytes, data);
  if (websocket_->must_answer()) shard_->mark_dirty(*this);
  if (!data.empty()) process(data);
  if (state == WebSocket::State::kOpen || stage_ == Stage::kDead || stage_ == Stage::kClosing) return;
  if (state == WebSocket::State::kFailed) {
    shard_->refuse(*this, Refusal::kWebSocket, websocket_->failure());
    shard_->end(*this, EndReason::kClientError);
  } else {
    shard_->end(*this, EndReason::kWebSocketClosed);
  }
}

void Connection::process(std::string_view bytes) {
  std::string_view input = bytes;
  const bool buffered = !in_.empty();
  if (buffered) {
    in_.append(bytes);
    input = in_;
  }
  if (input.empty()) return;
  const auto result = protocol_.feed(input, shard_->steady(), out_, *this, shard_->packet());
  if (stage_ == Stage::kDead) return;
  if (buffered) {
    in_.erase(0, result.consumed);
  } else if (result.consumed < input.size()) {
    in_.assign(input.substr(result.consumed));
  }
  if (!out_.empty()) shard_->mark_dirty(*this);
  if (result.close) {
    // on_error() and on_disconnect() have told the shard; a refused CONNECT has been answered.
    if (stage_ != Stage::kClosing) shard_->end(*this, EndReason::kClientError);
    return;
  }
  if (blocked_ != result.blocked) {
    blocked_ = result.blocked;
    update_interest();
  }
}

void Connection::resume_feed() {
  if (!blocked_ || stage_ == Stage::kClosing || stage_ == Stage::kDead) return;
  blocked_ = false;
  if (in_.empty()) {
    update_interest();
    return;
  }
  std::string waiting = std::exchange(in_, {});
  process(waiting);
  if (stage_ != Stage::kDead) update_interest();
}

void Connection::set_reading(bool reading) {
  reading_ = reading;
  update_interest();
}

void Connection::update_interest() {
  if (descriptor_ < 0 || shard_ == nullptr) return;
  const bool read = stage_ == Stage::kClosing || (reading_ && !blocked_);
  if (read == interest_read_ && write_blocked_ == interest_write_) return;
  interest_read_ = read;
  interest_write_ = write_blocked_;
  shard_->loop().change(descriptor_, this, interest_read_, interest_write_);
}

// From out_ to wire_, through the layers that there are.
void Connection::seal() {
  if (websocket_ && (!out_.empty() || websocket_->must_answer())) websocket_->wrap(out_);
  if (tls_) {
    if (!out_.empty() && tls_->state() == TlsEngine::State::kOpen) tls_->write(out_);
    tls_->take_output(wire_);
  } else if (websocket_) {
    wire_.append(out_);
  }
  if (tls_ || websocket_) reset(out_);
}

void Connection::flush() {
  if (stage_ == Stage::kDead || descriptor_ < 0) return;
  seal();
  if (write_blocked_) return;  // the loop calls again
  std::string& bytes = tls_ || websocket_ ? wire_ : out_;
  while (sent_ < bytes.size()) {
    const ssize_t n = ::send(descriptor_, bytes.data() + sent_, bytes.size() - sent_, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        write_blocked_ = true;
        break;
      }
      lost(EndReason::kConnectionLost);
      return;
    }
    sent_ += static_cast<size_t>(n);
    shard_->after_send(static_cast<size_t>(n));
  }
  if (sent_ == bytes.size()) {
    reset(bytes);
    sent_ = 0;
    if (stage_ == Stage::kClosing) {
      // Closing with unread bytes would reset the connection and take the last answer with it: the client
      // closes first, or the deadline does.
      if (deadline <= shard_->steady()) {
        kill();
      } else {
        ::shutdown(descriptor_, SHUT_WR);
      }
      return;
    }
  } else if (sent_ > kKeptCapacity) {
    bytes.erase(0, sent_);
    sent_ = 0;
  }
  update_interest();
}

void Connection::close_after_flush(Timestamp steady, Duration linger) {
  if (stage_ == Stage::kDead) return;
  stage_ = Stage::kClosing;
  deadline = steady + linger;
  seal();
  if (websocket_) {
    std::string goodbye;
    websocket_->append_close(goodbye);
    if (tls_) {
      tls_->write(goodbye);
    } else {
      wire_.append(goodbye);
    }
  }
  if (tls_) tls_->shutdown();
  if (deadline <= steady) {
    flush();
    if (stage_ == Stage::kDead) return;
    deadline = steady + Duration{1000};
  }
  update_interest();
  shard_->mark_dirty(*this);
  shard_->set_timer(*this);
}

void Connection::kill() {
  if (stage_ == Stage::kDead) return;
  stage_ = Stage::kDead;
  if (descriptor_ >= 0) {
    shard_->loop().remove(descriptor_, this);
    ::close(std::exchange(descriptor_, -1));
  }
  shard_->bury(*this);
}

void Connection::lost(EndReason reason) {
  if (stage_ == Stage::kClosing) {
    kill();
    return;
  }
  shard_->end(*this, reason);
}

void Connection::on_connect(const mqtt::Connect& connect) {
  shard_->on_connect(*this, connect);
}
void Connection::on_publish(const mqtt::Publish& publish, mqtt::AckTicket ticket) {
  packets_left -= 1;
  shard_->on_publish(*this, publish, ticket);
}
void Connection::on_subscribe(uint16_t packet_id, std::span<const mqtt::RequestedSubscription> subscriptions,
                              const mqtt::Properties& /*properties*/) {
  packets_left -= 1;
  shard_->on_subscribe(*this, packet_id, subscriptions);
}
void Connection::on_unsubscribe(uint16_t packet_id, std::span<const std::string_view> filters,
                                const mqtt::Properties& /*properties*/) {
  packets_left -= 1;
  shard_->on_unsubscribe(*this, packet_id, filters);
}
void Connection::on_puback(uint16_t /*packet_id*/, mqtt::ReasonCode /*reason*/, uint64_t cookie) {
  shard_->on_puback(*this, cookie);
}
void Connection::on_repeated_publish(const mqtt::Publish& publish, mqtt::AckTicket ticket) {
  shard_->on_repeated_publish(*this, publish, ticket);
}
void Connection::on_pubrel(uint16_t packet_id, mqtt::AckTicket ticket, bool known) {
  shard_->on_pubrel(*this, packet_id, ticket, known);
}
void Connection::on_pubrec(uint16_t packet_id, uint64_t cookie) {
  shard_->on_pubrec(*this, packet_id, cookie);
}
void Connection::on_disconnect(const mqtt::Disconnect& disconnect) {
  shard_->on_disconnect(*this, disconnect);
}
void Connection::on_error(mqtt::ReasonCode reason, std::string_view text) {
  shard_->on_protocol_error(*this, reason, text);
}

}  // namespace fleetward::broker
