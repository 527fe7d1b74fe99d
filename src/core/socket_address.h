#pragma once

#include <cstdint>
#include <string>
#include <sys/socket.h>

namespace fleetward {

// Where a client's connection comes from.
struct SocketAddress {
  std::string ip;  // "192.0.2.7", "2001:db8::1"; an IPv4 client of an IPv6 socket in its IPv4 form
  uint16_t port = 0;
};

// Empty for what is neither IPv4 nor IPv6.
SocketAddress describe_address(const sockaddr_storage& address);

}  // namespace fleetward
