#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/hooks.h"
#include "broker/subscription_index.h"

namespace fleetward::broker {

// The counters of one client id (or of one thing whose certificate was refused before it named a client id),
// plain integers that the shard which owns the id bumps.
struct Observed {
  std::string thing;  // registered thing, or the client id
  bool registered = false;
  bool connected = false;
  Timestamp from;  // of the running delta
  Timestamp disconnected_since;
  uint64_t messages_sent = 0, messages_received = 0;
  uint64_t bytes_total = 0, bytes_min = 0, bytes_max = 0;
  uint64_t authorization_failures = 0, connection_attempts = 0, disconnects = 0;
  std::vector<std::string> source_addresses;
  bool changed = false;  // since the last collect(), beside what `connected` says

  void sent(size_t bytes) {
    if (messages_sent++ == 0 || bytes < bytes_min) bytes_min = bytes;
    if (bytes > bytes_max) bytes_max = bytes;
    bytes_total += bytes;
    changed = true;
  }
  void received() {
    ++messages_received;
    changed = true;
  }
  void authorization_failed() {
    ++authorization_failures;
    changed = true;
  }
  void address(std::string_view address);
};

// The Observed of one shard. One thread. References stay valid until collect() drops the entry, which it does
// only while not connected.
class Observations {
 public:
  explicit Observations(size_t clients_max) : clients_max_(clients_max) {}

  // Never fails: beyond the bound, clients that are not `connected` share one entry that is not reported.
  Observed& of(std::string_view client_id, bool connected, Timestamp now);
  // One delta for each client that is connected or that something happened to; the counters start again. With
  // `only_absent` those that are not connected now: what is left of ended connections and of refused ones.
  std::vector<Observation> collect(Timestamp now, bool only_absent);

 private:
  const size_t clients_max_;
  TextMap<Observed> clients_;
  Observed overflow_;
};

}  // namespace fleetward::broker
