#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace fleetward::load {

// The simplest server that a publisher can talk to, on one thread: accepts every CONNECT and answers every
// QoS 1 PUBLISH with its PUBACK, looking at nothing else. What the generator does against it is the
// generator's limit.
class Sink {
 public:
  Sink();
  ~Sink();
  uint16_t port() const { return port_; }

 private:
  void run();

  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace fleetward::load
