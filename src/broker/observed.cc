#include "broker/observed.h"

#include <algorithm>

namespace fleetward::broker {

void Observed::address(std::string_view address) {
  changed = true;
  if (source_addresses.size() >= Observation::kSourceAddressesMax) return;
  if (std::find(source_addresses.begin(), source_addresses.end(), address) == source_addresses.end()) {
    source_addresses.emplace_back(address);
  }
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

namespace {

Observation delta_of(const Observed& seen, Timestamp now) {
  Observation delta;
  delta.thing = seen.thing;
  delta.registered = seen.registered;
  delta.from = seen.from;
  delta.to = now;
  delta.messages_sent = seen.messages_sent;
  delta.messages_received = seen.messages_received;
  delta.message_bytes_total = seen.bytes_total;
  delta.message_bytes_min = seen.bytes_min;
  delta.message_bytes_max = seen.bytes_max;
  delta.authorization_failures = seen.authorization_failures;
  delta.connection_attempts = seen.connection_attempts;
  delta.disconnects = seen.disconnects;
  delta.connected = seen.connected;
  delta.disconnected_since = seen.disconnected_since;
  delta.source_addresses = seen.source_addresses;
  return delta;
}

}  // namespace

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
