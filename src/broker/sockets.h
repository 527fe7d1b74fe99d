#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/result.h"

namespace fleetward::broker {

struct BoundSockets {
  std::vector<int> descriptors;  // listening, non-blocking; the caller's to close
  std::string address;           // the real "address:port"
};
// `count` sockets on one address ("0.0.0.0:8883", "[::1]:0"), between which the kernel spreads the
// connections (SO_REUSEPORT). kConflict if anybody else listens there, kPermissionDenied, kInvalidArgument.
Result<BoundSockets> bind_listeners(const std::string& address, size_t count);

// One listening socket at a path of the file system, whose mode becomes `mode` (0600). A socket that nobody
// listens on any more is replaced. kConflict: somebody does; kInvalidArgument: the path is too long, or
// something else is there.
Result<int> bind_unix_listener(const std::string& path, unsigned mode);

}  // namespace fleetward::broker
