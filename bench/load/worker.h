#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/histogram.h"
#include "bench/load/options.h"
#include "bench/load/stream.h"
#include "mqtt/decoder.h"
#include "mqtt/encoder.h"

namespace fleetward::load {

// What the main thread tells all workers.
enum class Phase : int { kConnect, kWarmUp, kMeasure, kDone };

struct Shared {
  const Options& options;
  std::atomic<Phase> phase{Phase::kConnect};
  std::atomic<size_t> ready{0};  // connections that are accepted (and subscribed)
  // Refreshed by each worker once a wake-up.
  std::atomic<uint64_t> acked{0};                  // measured
  std::atomic<uint64_t> written{0}, delivered{0};  // since the first publish
};

// What a worker counted in the measured phase.
struct Counts {
  uint64_t published = 0;  // acknowledged, or written with QoS 0
  uint64_t received = 0;
  uint64_t errors = 0;
  std::string first_error;
  Histogram publish_latency;   // PUBLISH written to PUBACK read
  Histogram delivery_latency;  // PUBLISH written by one connection to PUBLISH read by another
};

// One thread's connections, from connect to the end.
class Worker {
 public:
  explicit Worker(Shared& shared);
  ~Worker();
  void add(const Identity& identity, size_t number, bool subscriber);
  void run();
  const Counts& counts() const { return counts_; }

 private:
  struct Connection;
  using Clock = std::chrono::steady_clock;

  void open(Connection& c);
  void handle(Connection& c, uint32_t events);
  void receive(Connection& c);
  size_t decode(Connection& c, std::string_view bytes);
  void on_packet(Connection& c);
  void on_ack(Connection& c, uint16_t packet_id);
  void on_delivery(Connection& c);
  void fill(Connection& c);
  void flush(Connection& c);
  void watch(Connection& c);
  void drop(Connection& c, const std::string& why);
  void stamp(Connection& c, size_t frame_at, uint64_t now);
  static uint64_t now_ns();
  bool measuring() const { return phase_ == Phase::kMeasure; }
  // Whether one more message may be on its way (--closed).
  bool may_publish() const;
  void open_more();
  void refill_held();
  void report();

  Shared& shared_;
  const Options& options_;
  int epoll_ = -1;
  Phase phase_ = Phase::kConnect;
  uint64_t now_ = 0;
  uint64_t reported_ = 0;
  size_t opened_ = 0, ready_ = 0;         // of connections_, in order
  uint64_t written_ = 0, delivered_ = 0;  // not yet in shared_
  std::vector<Connection*> held_;         // publishers that may_publish() stopped
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<char> buffer_;
  mqtt::Packet packet_;
  Counts counts_;
};

}  // namespace fleetward::load
