#include <benchmark/benchmark.h>

#include "mqtt/session.h"

// The cost of the wire on one core: what a shard does for each packet besides routing it.
namespace fleetward::mqtt {
namespace {

constexpr size_t kPayloadBytes = 300;
constexpr size_t kBatch = 100;  // publishes that one read brings

std::string connect_bytes(Version version) {
  Connect connect;
  connect.version = version;
  connect.client_id = "bench";
  std::string out;
  encode(out, connect);
  return out;
}

std::string publish_batch(Version version, uint8_t qos) {
  const std::string payload(kPayloadBytes, 'x');
  std::string out;
  for (size_t i = 0; i < kBatch; ++i) {
    Publish publish;
    publish.qos = qos;
    publish.packet_id = static_cast<uint16_t>(qos > 0 ? i + 1 : 0);
    publish.topic = "fleet/device-0042/telemetry";
    publish.payload = payload;
    encode(out, version, publish);
  }
  return out;
}

// Accepts everything and acknowledges at once.
class Sink final : public SessionHandler {
 public:
  Session* session = nullptr;
  std::string out;
  uint64_t payload_bytes = 0;

  void on_connect(const Connect&) override { session->accept(out, {}, {1}); }
  void on_publish(const Publish& publish, AckTicket ticket) override {
    payload_bytes += publish.payload.size();
    if (ticket != kNoTicket) session->acknowledge(out, ticket);
  }
  void on_repeated_publish(const Publish&, AckTicket ticket) override { session->acknowledge(out, ticket); }
  void on_pubrel(uint16_t, AckTicket ticket, bool) override { session->acknowledge(out, ticket); }
  void on_subscribe(uint16_t, std::span<const RequestedSubscription>, const Properties&) override {}
  void on_unsubscribe(uint16_t, std::span<const std::string_view>, const Properties&) override {}
  void on_puback(uint16_t, ReasonCode, uint64_t) override {}
  void on_pubrec(uint16_t packet_id, uint64_t) override { session->release(out, packet_id); }
  void on_disconnect(const Disconnect&) override {}
  void on_error(ReasonCode, std::string_view) override {}
};

// Publishes of 300 bytes through a session, each acknowledged: items/s is messages per second and core.
void BM_SessionIngest(benchmark::State& state) {
  const auto version = static_cast<Version>(state.range(0));
  const auto qos = static_cast<uint8_t>(state.range(1));
  Session session(std::make_shared<SessionOptions>());
  Sink sink;
  sink.session = &session;
  Packet scratch;
  session.feed(connect_bytes(version), {1}, sink.out, sink, scratch);
  const std::string batch = publish_batch(version, qos);
  for (auto _ : state) {
    sink.out.clear();
    const auto result = session.feed(batch, {1}, sink.out, sink, scratch);
    if (result.consumed != batch.size()) state.SkipWithError("not all was parsed");
    benchmark::DoNotOptimize(sink.out.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * batch.size()));
}
BENCHMARK(BM_SessionIngest)
    ->ArgNames({"version", "qos"})
    ->Args({4, 0})
    ->Args({4, 1})
    ->Args({5, 0})
    ->Args({5, 1});

// One message to many sessions, QoS 1, from one shared encoding.
void BM_FanOut(benchmark::State& state) {
  Session session(std::make_shared<SessionOptions>());
  Sink sink;
  sink.session = &session;
  Packet scratch;
  session.feed(connect_bytes(Version::k311), {1}, sink.out, sink, scratch);
  const std::string payload(kPayloadBytes, 'x');
  Publish message;
  message.topic = "fleet/device-0042/telemetry";
  message.payload = payload;
  PublishFrames frames(message);
  std::string ack;
  for (auto _ : state) {
    sink.out.clear();
    ack.clear();
    for (size_t i = 0; i < kBatch; ++i) session.publish(sink.out, frames.get(Version::k311, 1, false), i);
    for (const auto& entry : session.inflight())
      encode_ack(ack, PacketType::kPuback, Version::k311, entry.packet_id);
    session.feed(ack, {1}, sink.out, sink, scratch);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(BM_FanOut);

void BM_Matches(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(matches("fleet/+/telemetry/#", "fleet/device-0042/telemetry/engine"));
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(BM_Matches);

}  // namespace
}  // namespace fleetward::mqtt
