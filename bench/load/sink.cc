#include "bench/load/sink.h"

#include <array>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unordered_map>
#include <vector>

#include <unistd.h>

namespace fleetward::load {
namespace {

// Appends the answers to the whole packets in `bytes`; how many bytes those were.
size_t answer(std::string_view bytes, std::string& out) {
  size_t at = 0;
  while (bytes.size() - at >= 2) {
    size_t remaining = 0;
    size_t header = 1;
    for (unsigned shift = 0;; shift += 7) {
      if (at + header >= bytes.size()) return at;
      const auto byte = static_cast<uint8_t>(bytes[at + header++]);
      remaining |= static_cast<size_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) break;
    }
    if (bytes.size() - at < header + remaining) return at;
    const auto first = static_cast<uint8_t>(bytes[at]);
    if (first >> 4 == 1) {
      // The protocol level tells the form of the CONNACK.
      const bool v5 = bytes[at + header + 6] == 5;
      v5 ? out.append("\x20\x03\x00\x00\x00", 5) : out.append("\x20\x02\x00\x00", 4);
    } else if (first >> 4 == 3 && (first & 6) != 0) {
      const size_t topic = static_cast<size_t>(static_cast<uint8_t>(bytes[at + header])) << 8 |
                           static_cast<uint8_t>(bytes[at + header + 1]);
      const char ack[4] = {0x40, 2, bytes[at + header + 2 + topic], bytes[at + header + 3 + topic]};
      out.append(ack, 4);
    }
    at += header + remaining;
  }
  return at;
}

}  // namespace

Sink::Sink() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
  listen(listener_, 1024);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

Sink::~Sink() {
  stop_ = true;
  thread_.join();
  close(listener_);
}

void Sink::run() {
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [&](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
  };
  watch(listener_);
  std::unordered_map<int, std::string> rest;
  std::vector<char> buffer(256 * 1024);
  std::string out;
  std::array<epoll_event, 256> events;
  while (!stop_) {
    const int n = epoll_wait(poll, events.data(), static_cast<int>(events.size()), 50);
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == listener_) {
        const int accepted = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0) continue;
        const int on = 1;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(accepted);
        continue;
      }
      const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        rest.erase(fd);
        close(fd);
        continue;
      }
      std::string& kept = rest[fd];
      out.clear();
      if (kept.empty()) {
        const std::string_view bytes(buffer.data(), static_cast<size_t>(got));
        kept.assign(bytes.substr(answer(bytes, out)));
      } else {
        kept.append(buffer.data(), static_cast<size_t>(got));
        kept.erase(0, answer(kept, out));
      }
      // Acknowledgements are small: the socket's buffer holds a window of them.
      if (!out.empty() && send(fd, out.data(), out.size(), MSG_NOSIGNAL) < 0) close(fd);
    }
  }
  for (const auto& [fd, bytes] : rest) close(fd);
  close(poll);
}

}  // namespace fleetward::load
