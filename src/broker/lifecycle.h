#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/hooks.h"

// The messages on `$aws/events/...` about connections (AWS IoT Developer Guide, Lifecycle events). Pure.
namespace fleetward::broker::lifecycle {

struct Subject {
  std::string_view client_id;
  std::string_view thing_name;  // only of an exclusive association, else empty
  std::string_view session_id;  // of the connection
  std::string_view principal;   // certificate id; empty on a plain listener
  int64_t version = 0;
  Timestamp now;
};

MessagePtr connected(const Subject& subject, std::string_view ip_address);
MessagePtr disconnected(const Subject& subject, bool client_initiated, std::string_view reason);
MessagePtr connect_failed(const Subject& subject, std::string_view reason);
MessagePtr subscriptions(const Subject& subject, bool subscribed, const std::vector<std::string>& filters);

// Client ids with a wildcard have no events: their topic would be none.
bool has_events(std::string_view client_id);

}  // namespace fleetward::broker::lifecycle
