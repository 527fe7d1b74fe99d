#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "mqtt/session.h"

// A client that sends any bytes in pieces, against an owner that answers in every way it may. What the
// session writes must always be whole packets that a client's decoder accepts.
namespace {

using namespace fleetward;
using namespace fleetward::mqtt;

void require(bool ok) {
  if (!ok) std::abort();
}

class Owner final : public SessionHandler {
 public:
  Session session{options()};
  std::string out;
  std::vector<AckTicket> tickets;
  uint8_t mood = 0;  // what to do at the next event

  static std::shared_ptr<const SessionOptions> options() {
    auto o = std::make_shared<SessionOptions>();
    o->receive_maximum = 4;
    o->inflight_max = 4;
    o->unreleased_max = 4;
    o->packet_bytes_max = 4096;
    return o;
  }
  void on_connect(const Connect&) override {
    if (mood % 4 == 3) session.remember(std::vector<uint16_t>{1, 300});
    if (mood % 8 == 1) return session.reject(out, ReasonCode::kNotAuthorized, "no");
    session.accept(out, {.session_present = mood % 2 == 0}, {1});
    if (mood % 8 == 2) session.resend(out, message(), 7, 7);
    if (mood % 8 == 3) session.adopt(8, 8, true);
  }
  void on_publish(const Publish& publish, AckTicket ticket) override {
    require(!publish.topic.empty());
    if (ticket != kNoTicket) tickets.push_back(ticket);
    session.publish(out, publish, 1);
    if (mood % 32 == 9) reserve();
    if (mood % 4 == 0) acknowledge();
    if (mood % 16 == 5) session.pause();
    if (mood % 64 == 7) session.disconnect(out, ReasonCode::kQuotaExceeded, "enough");
  }
  void on_repeated_publish(const Publish& publish, AckTicket ticket) override {
    require(publish.qos == 2);
    tickets.push_back(ticket);
    if (mood % 4 == 0) acknowledge();
  }
  void on_pubrel(uint16_t, AckTicket ticket, bool) override {
    tickets.push_back(ticket);
    if (mood % 4 == 0) acknowledge();
  }
  void on_subscribe(uint16_t id, std::span<const RequestedSubscription> list, const Properties&) override {
    std::vector<ReasonCode> codes;
    for (const auto& each : list) codes.push_back(each.check);
    session.suback(out, id, codes);
  }
  void on_unsubscribe(uint16_t id, std::span<const std::string_view> filters, const Properties&) override {
    session.unsuback(out, id, std::vector<ReasonCode>(filters.size(), ReasonCode::kSuccess));
  }
  void on_puback(uint16_t, ReasonCode, uint64_t) override { session.publish(out, message(), 2); }
  void on_pubrec(uint16_t packet_id, uint64_t) override {
    if (mood % 4 != 1) session.release(out, packet_id);
  }
  void on_disconnect(const Disconnect&) override { require(session.closed()); }
  void on_error(ReasonCode reason, std::string_view text) override {
    require(session.closed() && is_error(reason) && !text.empty());
  }

  void reserve() {
    if (const auto id = session.reserve(3)) session.publish_reserved(out, message(), *id, mood % 64 == 9);
  }
  void acknowledge() {
    while (!tickets.empty()) {
      mood % 16 == 4 ? session.drop(out, tickets.back()) : session.acknowledge(out, tickets.back());
      tickets.pop_back();
    }
  }
  static Publish message() {
    Publish publish;
    publish.qos = 1;
    publish.topic = "t";
    publish.payload = "p";
    return publish;
  }
};

void check_output(const Owner& owner) {
  DecoderOptions options;
  options.receiver = Receiver::kClient;
  Decoder decoder(options);
  decoder.set_version(owner.session.version());
  Packet packet;
  std::string_view bytes = owner.out;
  while (!bytes.empty()) {
    const auto outcome = decoder.next(bytes, packet);
    require(outcome.kind == Decoder::Kind::kPacket);
    bytes.remove_prefix(outcome.bytes);
  }
}

}  // namespace

// Input: pieces, each with a byte of mood, a byte of length and as many bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Owner owner;
  Packet scratch;
  std::string buffer;
  for (size_t at = 0; at + 2 <= size && !owner.session.closed();) {
    owner.mood = data[at];
    const size_t length = std::min<size_t>(data[at + 1], size - at - 2);
    buffer.append(reinterpret_cast<const char*>(data) + at + 2, length);
    at += 2 + length;
    const auto result = owner.session.feed(buffer, {1}, owner.out, owner, scratch);
    require(result.consumed <= buffer.size());
    require(result.close == owner.session.closed());
    buffer.erase(0, result.consumed);
    // Both windows, the PUBRELs of one, and what an earlier connection left.
    require(owner.session.unacknowledged() <= 8 && owner.session.inflight().size() <= 5);
    require(owner.session.unreleased().size() <= 6);
    if (owner.mood % 3 == 0) owner.session.resume();
    if (owner.mood % 5 == 0) owner.acknowledge();
  }
  check_output(owner);
  return 0;
}
