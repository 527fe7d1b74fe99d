#include "broker/observed.h"

#include <algorithm>

namespace fleetward::broker {

namespace {

void add_address(std::vector<std::string>& known, std::string_view address) {
  if (known.size() >= Observation::kSourceAddressesMax) return;
  if (std::find(known.begin(), known.end(), address) == known.end()) known.emplace_back(address);
}

}  // namespace

void Observed::address(std::string_view address) {
  changed = true;
  if (!address.empty()) add_address(source_addresses, address);  // a Unix socket has none
}

Observed::Apart& Observed::apart_at(size_t counter) {
  for (Apart& counters : apart) {
    if (counters.counter == counter) return counters;
  }
  apart.emplace_back().counter = counter;
  return apart.back();
}

void Observed::note_address(Apart& counters, const CountedApart& of) {
  counters.connection = of.connection;
  if (!of.address.empty()) add_address(counters.source_addresses, of.address);
}

Observed& Observations::of(std::string_view client_id, bool connected, Timestamp now) {
  const auto it = clients_.find(client_id);
  if (it != clients_.end()) return it->second;
  if (!connected && clients_.size() >= clients_max_) {
    overflow_ = Observed{};
    return overflow_;
  }
  Observed& observed = clients_.emplace(std::string(client_id), Observed{}).first->second;
  observed.thing = client_id;
  observed.from = now;
  return observed;
}

Observation Observations::delta_of(const Observed& seen, Timestamp now) const {
  Observation delta;
  static_cast<MessageCounters&>(delta) = seen;
  delta.thing = seen.thing;
  delta.registered = seen.registered;
  delta.from = seen.from;
  delta.to = now;
  delta.connection_attempts = seen.connection_attempts;
  delta.disconnects = seen.disconnects;
  delta.connected = seen.connected;
  delta.disconnected_since = seen.disconnected_since;
  delta.source_addresses = seen.source_addresses;
  for (const Observed::Apart& apart : seen.apart) {
    DimensionCounters& out = delta.dimensions.emplace_back();
    static_cast<MessageCounters&>(out) = apart;
    out.dimension = counted_->dimensions[apart.counter / 2].name;
    out.in = apart.counter == counter_of(apart.counter / 2, true);
    out.source_addresses = apart.source_addresses;
  }
  return delta;
}

std::vector<Observation> Observations::collect(Timestamp now, bool only_absent) {
  std::vector<Observation> out;
  for (auto it = clients_.begin(); it != clients_.end();) {
    Observed& seen = it->second;
    if (seen.connected && only_absent) {
      ++it;
      continue;
    }
    if (seen.connected || seen.changed) out.push_back(delta_of(seen, now));
    if (!seen.connected) {
      it = clients_.erase(it);
      continue;
    }
    Observed next;
    next.thing = seen.thing;
    next.registered = seen.registered;
    next.connected = true;
    next.from = now;
    // A connection that stays open is still seen from its address.
    if (!seen.source_addresses.empty()) next.source_addresses.push_back(seen.source_addresses.back());
    seen = std::move(next);
    ++it;
  }
  return out;
}

}  // namespace fleetward::broker
