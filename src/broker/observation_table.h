#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// What counts for which cloud-side metric of a device, in one place: the code that counts is held to it by a
// test that makes each of these things happen to a real broker, and docs/reference/metrics.md shows it. AWS
// documents little of it; docs/decisions/055 has the reasons.
namespace fleetward::broker {

enum CountsFor : uint8_t {
  kNothing = 0,
  kMessagesSent = 1 << 0,           // aws:num-messages-sent and aws:message-byte-size
  kMessagesReceived = 1 << 1,       // aws:num-messages-received
  kAuthorizationFailures = 1 << 2,  // aws:num-authorization-failures
  kConnectionAttempts = 1 << 3,     // aws:num-connection-attempts
  kSourceAddress = 1 << 4,          // aws:source-ip-address
  kDisconnects = 1 << 5,            // aws:num-disconnects
  kDisconnectedSince = 1 << 6,      // aws:disconnect-duration begins to run
};

struct Happening {
  std::string_view what;
  uint8_t counts;  // of CountsFor, for the device it happens to
  std::string_view remark;
};
std::span<const Happening> happenings();

// A section of docs/reference/metrics.md.
std::string observation_reference_markdown();

}  // namespace fleetward::broker
