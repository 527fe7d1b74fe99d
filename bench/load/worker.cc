#include "bench/load/worker.h"

#include <array>
#include <cstring>
#include <stdexcept>
#include <sys/epoll.h>

#include <unistd.h>

namespace fleetward::load {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kConnectingMax =
    32;  // at once: a server's listen queue is short, and who is not in it waits seconds
constexpr size_t kUnsentBytesMax = 64 * 1024;  // of QoS 0, which has no window

}  // namespace

struct Worker::Connection {
  Identity identity;
  size_t number = 0;
  bool subscriber = false;
  bool held = false;
  std::unique_ptr<Stream> stream;
  bool said_connect = false, accepted = false;
  uint32_t watched = 0;
  mqtt::Decoder decoder{mqtt::DecoderOptions{.receiver = mqtt::Receiver::kClient}};
  mqtt::PublishFrame frame;
  std::string rest;  // of a packet that has not wholly arrived
  std::string out;
  size_t out_sent = 0;
  std::vector<uint16_t> free_ids;
  std::vector<uint64_t> sent_at;  // by packet id
};

Worker::Worker(Shared& shared) : shared_(shared), options_(shared.options), buffer_(kReadBytes) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
}

Worker::~Worker() {
  close(epoll_);
}

uint64_t Worker::now_ns() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count());
}

void Worker::add(const Identity& identity, size_t number, bool subscriber) {
  auto c = std::make_unique<Connection>();
  c->identity = identity;
  c->number = number;
  c->subscriber = subscriber;
  c->decoder.set_version(options_.version);
  const std::string topic = fill_in(options_.topic, number, identity.client_id);
  const std::string payload(options_.payload_bytes, 'x');
  mqtt::Publish publish;
  publish.qos = static_cast<uint8_t>(options_.qos);
  publish.topic = topic;
  publish.payload = payload;
  c->frame = mqtt::make_frame(options_.version, publish);
  if (options_.qos == 1 && !subscriber) {
    c->sent_at.resize(options_.window + 1);
    for (size_t id = options_.window; id > 0; --id) c->free_ids.push_back(static_cast<uint16_t>(id));
  }
  connections_.push_back(std::move(c));
}

void Worker::open(Connection& c) {
  c.stream = std::make_unique<Stream>(
      options_.host, options_.port,
      TlsFiles{options_.tls, options_.ca_file, c.identity.certificate_file, c.identity.key_file},
      options_.sources == 0 ? 0 : static_cast<uint32_t>(1 + c.number % options_.sources));
  epoll_event event{};
  event.events = c.watched = EPOLLIN | EPOLLOUT;
  event.data.ptr = &c;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, c.stream->fd(), &event);
}

void Worker::run() {
  std::array<epoll_event, 256> events;
  while (true) {
    const Phase phase = shared_.phase.load(std::memory_order_relaxed);
    const bool starts = phase_ == Phase::kConnect && phase != Phase::kConnect;
    phase_ = phase;
    if (phase == Phase::kDone) break;
    open_more();
    now_ = now_ns();
    if (starts) {
      for (const auto& c : connections_) {
        if (c->accepted) handle(*c, EPOLLOUT);
      }
    }
    const int n = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), held_.empty() ? 20 : 1);
    for (int i = 0; i < n; ++i)
      handle(*static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr),
             events[static_cast<size_t>(i)].events);
    report();
    refill_held();
  }
}

void Worker::open_more() {
  while (opened_ < connections_.size() && opened_ < ready_ + kConnectingMax) {
    Connection& c = *connections_[opened_++];
    try {
      open(c);
    } catch (const std::exception& e) {
      drop(c, e.what());
    }
  }
}

void Worker::report() {
  shared_.acked.fetch_add(counts_.published - reported_, std::memory_order_relaxed);
  reported_ = counts_.published;
  if (!options_.closed) return;
  shared_.written.fetch_add(written_, std::memory_order_relaxed);
  shared_.delivered.fetch_add(delivered_, std::memory_order_relaxed);
  written_ = delivered_ = 0;
}

void Worker::refill_held() {
  std::vector<Connection*> held;
  held.swap(held_);
  for (Connection* c : held) {
    c->held = false;
    handle(*c, 0);
  }
}

bool Worker::may_publish() const {
  if (!options_.closed) return true;
  const uint64_t fan = options_.filter.find("%c") == std::string::npos ? options_.subscribers : 1;
  const uint64_t written = shared_.written.load(std::memory_order_relaxed) + written_;
  const uint64_t delivered = shared_.delivered.load(std::memory_order_relaxed) + delivered_;
  return written * fan < delivered + options_.window * options_.connections * fan;
}

void Worker::handle(Connection& c, uint32_t events) {
  if (!c.stream) return;
  try {
    if (!c.said_connect) {
      if (!c.stream->establish()) return watch(c);
      mqtt::Connect connect;
      connect.version = options_.version;
      connect.client_id = c.identity.client_id;
      connect.keep_alive_s = 600;
      mqtt::encode(c.out, connect);
      c.said_connect = true;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) receive(c);
    if (c.accepted && phase_ != Phase::kConnect) fill(c);
    flush(c);
    watch(c);
  } catch (const std::exception& e) {
    drop(c, e.what());
  }
}

void Worker::receive(Connection& c) {
  while (true) {
    const size_t n = c.stream->read(buffer_.data(), buffer_.size());
    if (n == 0) return;
    now_ = now_ns();
    if (c.rest.empty()) {
      const size_t used = decode(c, {buffer_.data(), n});
      c.rest.assign(buffer_.data() + used, n - used);
    } else {
      c.rest.append(buffer_.data(), n);
      c.rest.erase(0, decode(c, c.rest));
    }
    if (n < buffer_.size() && !c.stream->pending()) return;
  }
}

size_t Worker::decode(Connection& c, std::string_view bytes) {
  size_t used = 0;
  while (true) {
    const auto outcome = c.decoder.next(bytes.substr(used), packet_);
    if (outcome.kind == mqtt::Decoder::Kind::kNeedMore) return used;
    if (outcome.kind == mqtt::Decoder::Kind::kError)
      throw std::runtime_error("server sent: " + std::string(outcome.error.text));
    used += outcome.bytes;
    on_packet(c);
  }
}

void Worker::on_packet(Connection& c) {
  switch (packet_.type) {
    case mqtt::PacketType::kPuback:
      return on_ack(c, packet_.ack.packet_id);
    case mqtt::PacketType::kPublish:
      return on_delivery(c);
    case mqtt::PacketType::kConnack:
      if (packet_.connack.reason != mqtt::ReasonCode::kSuccess) {
        throw std::runtime_error("CONNECT refused: " + std::string(to_string(packet_.connack.reason)));
      }
      if (c.subscriber) {
        mqtt::Subscribe subscribe;
        subscribe.packet_id = 1;
        mqtt::Subscription one;
        const std::string filter = fill_in(options_.filter, c.number - options_.connections);
        one.filter = filter;
        one.qos = static_cast<uint8_t>(options_.qos);
        subscribe.subscriptions.push_back(one);
        mqtt::encode(c.out, options_.version, subscribe);
        return;
      }
      if (packet_.connack.properties.number(mqtt::Property::kReceiveMaximum, 65'535) < options_.window) {
        throw std::runtime_error("the server's Receive Maximum is below --window");
      }
      c.accepted = true;
      ++ready_;
      ++shared_.ready;
      return;
    case mqtt::PacketType::kSuback:
      if (is_error(packet_.subscription_ack.reasons.at(0))) throw std::runtime_error("SUBSCRIBE refused");
      ++ready_;
      ++shared_.ready;
      return;
    case mqtt::PacketType::kDisconnect:
      throw std::runtime_error(
          "DISCONNECT: " + std::string(to_string(packet_.disconnect.reason)) + " " +
          std::string(packet_.disconnect.properties.text(mqtt::Property::kReasonString)));
    default:
      return;
  }
}

void Worker::on_ack(Connection& c, uint16_t packet_id) {
  if (packet_id >= c.sent_at.size() || c.sent_at[packet_id] == 0)
    throw std::runtime_error("PUBACK of nothing");
  if (measuring()) {
    counts_.publish_latency.add(now_ - c.sent_at[packet_id]);
    ++counts_.published;
  }
  if (is_error(packet_.ack.reason))
    throw std::runtime_error("PUBACK: " + std::string(to_string(packet_.ack.reason)));
  c.sent_at[packet_id] = 0;
  c.free_ids.push_back(packet_id);
}

void Worker::on_delivery(Connection& c) {
  const mqtt::Publish& publish = packet_.publish;
  ++delivered_;
  if (measuring()) {
    ++counts_.received;
    uint64_t sent = 0;
    if (publish.payload.size() >= sizeof(sent)) {
      std::memcpy(&sent, publish.payload.data(), sizeof(sent));
      if (sent <= now_) counts_.delivery_latency.add(now_ - sent);
    }
  }
  if (publish.qos == 1) encode_ack(c.out, mqtt::PacketType::kPuback, options_.version, publish.packet_id);
}

// The time of sending, in the payload, for whoever receives it.
void Worker::stamp(Connection& c, size_t frame_at, uint64_t now) {
  if (options_.subscribers == 0 || options_.payload_bytes < sizeof(now)) return;
  std::memcpy(c.out.data() + frame_at + c.frame.bytes.size() - options_.payload_bytes, &now, sizeof(now));
}

void Worker::fill(Connection& c) {
  if (c.subscriber || options_.idle) return;
  if (options_.qos == 0) {
    while (c.out.size() - c.out_sent < kUnsentBytesMax) {
      const size_t at = c.out.size();
      c.frame.append_to(c.out, 0);
      stamp(c, at, now_);
      if (measuring()) ++counts_.published;
    }
    return;
  }
  while (!c.free_ids.empty()) {
    if (!may_publish()) {
      if (!c.held) held_.push_back(&c);
      c.held = true;
      return;
    }
    ++written_;
    const uint16_t id = c.free_ids.back();
    c.free_ids.pop_back();
    const size_t at = c.out.size();
    c.frame.append_to(c.out, id);
    stamp(c, at, now_);
    c.sent_at[id] = now_;
  }
}

void Worker::flush(Connection& c) {
  while (c.out_sent < c.out.size()) {
    const size_t n = c.stream->write(c.out.data() + c.out_sent, c.out.size() - c.out_sent);
    c.out_sent += n;
    if (n == 0) return;
    if (c.stream->wants_write()) return;
  }
  c.out.clear();
  c.out_sent = 0;
}

void Worker::watch(Connection& c) {
  const bool sends = c.stream->wants_write() || c.out_sent < c.out.size() ||
                     (options_.qos == 0 && !c.subscriber && c.accepted && phase_ != Phase::kConnect);
  const uint32_t wanted = EPOLLIN | (sends ? EPOLLOUT : 0U);
  if (wanted == c.watched) return;
  epoll_event event{};
  event.events = c.watched = wanted;
  event.data.ptr = &c;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, c.stream->fd(), &event);
}

void Worker::drop(Connection& c, const std::string& why) {
  c.stream.reset();
  c.accepted = false;
  ++counts_.errors;
  if (counts_.first_error.empty()) counts_.first_error = c.identity.client_id + ": " + why;
}

}  // namespace fleetward::load
