#include "broker/sockets.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/un.h>

#include <unistd.h>

#include "core/socket_address.h"
#include "core/text.h"

namespace fleetward::broker {
namespace {

constexpr int kBacklog = 4096;

struct Parsed {
  sockaddr_storage address{};
  socklen_t size = 0;
};

Result<Parsed> parse(const std::string& text) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument, "'" + text + "' is not <address>:<port>, such as 0.0.0.0:8883");
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return bad();
  std::string host = text.substr(0, colon);
  const std::string_view port_text = std::string_view(text).substr(colon + 1);
  const auto port = parse_number<uint16_t>(port_text);
  if (!port) return bad();
  if (host == "localhost") host = "127.0.0.1";
  Parsed out;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.address);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(*port);
    if (::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6->sin6_addr) != 1) return bad();
    out.size = sizeof *v6;
    return out;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.address);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(*port);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) != 1) return bad();
  out.size = sizeof *v4;
  return out;
}

tl::unexpected<Error> system_error(const std::string& address, int error) {
  const std::string text = address + ": " + std::strerror(error);
  if (error == EADDRINUSE) return fail(ErrorCode::kConflict, text);
  if (error == EACCES || error == EPERM) return fail(ErrorCode::kPermissionDenied, text);
  if (error == EADDRNOTAVAIL) return fail(ErrorCode::kInvalidArgument, text);
  return fail(ErrorCode::kUnavailable, text);
}

Result<int> bind_one(const Parsed& to, const std::string& text, bool shared) {
  const int descriptor = ::socket(to.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return system_error(text, errno);
  const int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared) ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&to.address), to.size) != 0 ||
      (::listen(descriptor, kBacklog) != 0)) {
    const int error = errno;
    ::close(descriptor);
    return system_error(text, error);
  }
  return descriptor;
}

}  // namespace

Result<BoundSockets> bind_listeners(const std::string& address, size_t count) {
  auto to = parse(address);
  if (!to) return fail(to.error());
  // SO_REUSEPORT would share the port with another process of the same user: a first socket without it finds
  // out whether anybody is there, and which port 0 becomes.
  auto probe = bind_one(*to, address, false);
  if (!probe) return fail(probe.error());
  sockaddr_storage real{};
  socklen_t size = sizeof real;
  ::getsockname(*probe, reinterpret_cast<sockaddr*>(&real), &size);
  ::close(*probe);
  to->address = real;
  BoundSockets out;
  const SocketAddress described = describe_address(real);
  out.address = (real.ss_family == AF_INET6 ? "[" + described.ip + "]" : described.ip) + ":" +
                std::to_string(described.port);
  for (size_t i = 0; i < count; ++i) {
    auto descriptor = bind_one(*to, address, true);
    if (!descriptor) {
      for (const int open : out.descriptors) ::close(open);
      return fail(descriptor.error());
    }
    out.descriptors.push_back(*descriptor);
  }
  return out;
}

Result<int> bind_unix_listener(const std::string& path, unsigned mode) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof to.sun_path) {
    return fail(ErrorCode::kInvalidArgument, "'" + path + "' is no path of at most 107 bytes");
  }
  std::memcpy(to.sun_path, path.data(), path.size());
  const auto* address = reinterpret_cast<const sockaddr*>(&to);
  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return fail(ErrorCode::kInvalidArgument, path + " is there and no socket");
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return system_error(path, errno);
    // Of a server that died nothing is left but the name.
    const bool dead = ::connect(probe, address, sizeof to) != 0 && errno == ECONNREFUSED;
    ::close(probe);
    if (!dead) return fail(ErrorCode::kConflict, path + ": somebody listens there");
    if (::unlink(path.c_str()) != 0) return system_error(path, errno);
  }
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return system_error(path, errno);
  // The mode before the name is there: nobody comes in between the two.
  if (::fchmod(descriptor, mode) != 0 || ::bind(descriptor, address, sizeof to) != 0 ||
      ::chmod(path.c_str(), mode) != 0 || ::listen(descriptor, kBacklog) != 0) {
    const int error = errno;
    ::close(descriptor);
    return system_error(path, error);
  }
  return descriptor;
}

}  // namespace fleetward::broker
