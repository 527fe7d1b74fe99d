#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/socket.h>
#include <vector>

#include "core/result.h"

namespace fleetward::broker {

struct SocketAddress {
  std::string ip;  // "192.0.2.7", "2001:db8::1"; an IPv4 client of an IPv6 socket in its IPv4 form
  uint16_t port = 0;
};
SocketAddress describe_address(const sockaddr_storage& address);

struct BoundSockets {
  std::vector<int> descriptors;  // listening, non-blocking; the caller's to close
  std::string address;           // the real "address:port"
};
// `count` sockets on one address ("0.0.0.0:8883", "[::1]:0"), between which the kernel spreads the
// connections (SO_REUSEPORT). kConflict if anybody else listens there, kPermissionDenied, kInvalidArgument.
Result<BoundSockets> bind_listeners(const std::string& address, size_t count);

}  // namespace fleetward::broker
