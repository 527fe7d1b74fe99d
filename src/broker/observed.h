#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/counted_topics.h"
#include "broker/hooks.h"
#include "broker/subscription_index.h"

namespace fleetward::broker {

// Which counters a message moves beside those of all messages, and where its connection comes from.
struct CountedApart {
  CounterMask mask = 0;
  uint64_t connection = 0;
  std::string_view address;
};

// The counters of one client id (or of one thing whose certificate was refused before it named a client id),
// plain integers that the shard which owns the id bumps.
struct Observed : MessageCounters {
  // Of one bit of a CounterMask.
  struct Apart : MessageCounters {
    size_t counter = 0;
    uint64_t connection = 0;  // whose address is the last one
    std::vector<std::string> source_addresses;
  };

  std::string thing;  // registered thing, or the client id
  bool registered = false;
  bool connected = false;
  Timestamp from;  // of the running delta
  Timestamp disconnected_since;
  uint64_t connection_attempts = 0, disconnects = 0;
  std::vector<std::string> source_addresses;
  std::vector<Apart> apart;  // those that counted something
  bool changed = false;      // since the last collect(), beside what `connected` says

  void sent(size_t bytes, const CountedApart& apart_of) {
    add_sent(*this, bytes);
    changed = true;
    if (apart_of.mask != 0) count_apart(apart_of, [&](MessageCounters& c) { add_sent(c, bytes); });
  }
  void received(const CountedApart& apart_of) {
    ++messages_received;
    changed = true;
    if (apart_of.mask != 0) count_apart(apart_of, [](MessageCounters& c) { ++c.messages_received; });
  }
  void authorization_failed(const CountedApart& apart_of) {
    ++authorization_failures;
    changed = true;
    if (apart_of.mask != 0) count_apart(apart_of, [](MessageCounters& c) { ++c.authorization_failures; });
  }
  void address(std::string_view address);

 private:
  static void add_sent(MessageCounters& counters, size_t bytes) {
    if (counters.messages_sent++ == 0 || bytes < counters.message_bytes_min) {
      counters.message_bytes_min = bytes;
    }
    if (bytes > counters.message_bytes_max) counters.message_bytes_max = bytes;
    counters.message_bytes_total += bytes;
  }
  template <typename Count>
  void count_apart(const CountedApart& of, Count&& count) {
    for (CounterMask left = of.mask; left != 0; left &= left - 1) {
      Apart& counters = apart_at(static_cast<size_t>(__builtin_ctz(left)));
      count(counters);
      if (counters.connection != of.connection) note_address(counters, of);
    }
  }
  Apart& apart_at(size_t counter);
  static void note_address(Apart& counters, const CountedApart& of);
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
  // What the bits of the masks mean from now on (may be null: there are none). Everything counted so far must
  // have been collected.
  void set_counted(CountedTopicsPtr counted) { counted_ = std::move(counted); }

 private:
  Observation delta_of(const Observed& seen, Timestamp now) const;

  const size_t clients_max_;
  CountedTopicsPtr counted_;
  TextMap<Observed> clients_;
  Observed overflow_;
};

}  // namespace fleetward::broker
