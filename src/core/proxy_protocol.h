#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/socket_address.h"

namespace fleetward {

// The header of the PROXY protocol, versions 1 and 2, which a load balancer puts before the bytes of a client
// (haproxy's proxy-protocol.txt). Extensions (TLVs) are skipped.
struct ProxyHeader {
  enum class State { kIncomplete, kInvalid, kComplete } state = State::kIncomplete;
  size_t bytes = 0;  // kComplete: what the header takes
  // The client's address; none if the balancer speaks for itself (LOCAL) or does not know (UNKNOWN, UNSPEC,
  // Unix): the connection's own address holds then.
  std::optional<SocketAddress> source;
};

// A header that takes more bytes than this is invalid.
constexpr size_t kProxyHeaderBytesMax = 4096;

// `bytes`: all that came so far. Pure.
ProxyHeader parse_proxy_header(std::string_view bytes);

}  // namespace fleetward
