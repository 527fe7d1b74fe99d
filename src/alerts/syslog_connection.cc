#include "alerts/syslog_connection.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>

namespace fleetward::alerts {
namespace {

using Steady = std::chrono::steady_clock;
constexpr Duration kAcknowledgementPollMax{20};

tl::unexpected<Error> unavailable(std::string why) {
  return fail(ErrorCode::kUnavailable, std::move(why));
}

std::string system_error(const char* what, int error) {
  return std::string(what) + ": " + std::strerror(error);
}

std::string tls_error(const char* what, SSL* ssl) {
  std::string reason;
  if (const long verdict = ssl == nullptr ? X509_V_OK : SSL_get_verify_result(ssl); verdict != X509_V_OK) {
    reason = X509_verify_cert_error_string(verdict);
  } else if (const unsigned long code = ERR_peek_last_error(); code != 0) {
    char text[160];
    ERR_error_string_n(code, text, sizeof text);
    reason = text;
  } else {
    reason = "the connection was closed";
  }
  ERR_clear_error();
  return std::string(what) + ": " + reason;
}

// What may block of one attempt, and until when.
class Waiter {
 public:
  Waiter(int stop, Duration timeout) : stop_(stop), deadline_(Steady::now() + timeout) {}

  // Until the descriptor has one of `events` (0: only errors), at most `longest`. False: neither came in
  // time.
  Result<bool> wait(int descriptor, short events, Duration longest = Duration::max()) const {
    const auto left = std::chrono::duration_cast<Duration>(deadline_ - Steady::now());
    if (left.count() <= 0) return unavailable("no answer in time");
    pollfd polled[] = {{descriptor, events, 0}, {stop_, POLLIN, 0}};
    const int ready = ::poll(polled, 2, static_cast<int>(std::min(left, longest).count()) + 1);
    if (ready < 0 && errno != EINTR) return unavailable(system_error("poll", errno));
    if (ready > 0 && polled[1].revents != 0) return unavailable("the server stops");
    return ready > 0 && polled[0].revents != 0;
  }
  Status until(int descriptor, short events) const {
    for (;;) {
      const auto ready = wait(descriptor, events);
      if (!ready) return fail(ready.error());
      if (*ready) return {};
    }
  }

 private:
  const int stop_;
  const Steady::time_point deadline_;
};

int error_of(int descriptor) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

// TCP connects a socket to itself if nobody listens at a local address and its own port happens to be the one
// it asks for; it would then acknowledge all that it is sent.
bool is_connected_to_itself(int descriptor) {
  sockaddr_storage own{}, peer{};
  socklen_t own_size = sizeof own, peer_size = sizeof peer;
  return ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
         ::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 &&
         own_size == peer_size && std::memcmp(&own, &peer, own_size) == 0;
}

struct Closer {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

}  // namespace

// An open socket, with TLS over it if the target says so.
class SyslogConnection::Stream {
 public:
  static Result<std::unique_ptr<Stream>> open(const Target& target, const Waiter& waiter) {
    const auto address = parse_address(target.address);
    if (!address) return fail(address.error());
    auto out = std::make_unique<Stream>();
    out->datagrams_ = target.transport == Target::Transport::kUdp;
    if (auto ok = out->connect(*address, waiter); !ok) return fail(ok.error());
    if (target.transport == Target::Transport::kTls) {
      if (auto ok = out->start_tls(target, address->host, waiter); !ok) return fail(ok.error());
    }
    return out;
  }
  ~Stream() {
    if (ssl_) SSL_shutdown(ssl_.get());  // close_notify; nobody waits for the answer
    ssl_.reset();
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  // Did the other side close, or fail, since we wrote last? What it sent is thrown away.
  bool ended() {
    char bytes[4096];
    for (;;) {
      ERR_clear_error();
      const auto got = ssl_ ? SSL_read(ssl_.get(), bytes, sizeof bytes)
                            : static_cast<int>(::recv(descriptor_, bytes, sizeof bytes, MSG_DONTWAIT));
      if (got > 0) continue;
      if (ssl_) return SSL_get_error(ssl_.get(), got) != SSL_ERROR_WANT_READ;
      return got == 0 ? !datagrams_ : errno != EAGAIN && errno != EINTR;
    }
  }

  Status write(std::string_view bytes, const Waiter& waiter) {
    if (datagrams_) return write_datagram(bytes);
    while (!bytes.empty()) {
      const auto sent = ssl_ ? write_tls(bytes, waiter) : write_plain(bytes, waiter);
      if (!sent) return fail(sent.error());
      bytes.remove_prefix(*sent);
    }
    return await_acknowledgement(waiter);
  }

 private:
  Status connect(const HostPort& to, const Waiter& waiter) {
    addrinfo hints{};
    hints.ai_socktype = datagrams_ ? SOCK_DGRAM : SOCK_STREAM;
    addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(to.host.c_str(), to.port.c_str(), &hints, &list); error != 0) {
      return unavailable(to.host + ": " + ::gai_strerror(error));
    }
    const std::unique_ptr<addrinfo, Closer> owner(list);
    Status last = unavailable(to.host + ": no address");
    for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
      last = connect_to(*at, waiter);
      if (last) return {};
    }
    return last;
  }

  Status connect_to(const addrinfo& address, const Waiter& waiter) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = ::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor_ < 0) return unavailable(system_error("socket", errno));
    if (::connect(descriptor_, address.ai_addr, address.ai_addrlen) != 0) {
      if (errno != EINPROGRESS) return unavailable(system_error("connect", errno));
      if (auto ok = waiter.until(descriptor_, POLLOUT); !ok) return ok;
      if (const int error = error_of(descriptor_); error != 0)
        return unavailable(system_error("connect", error));
    }
    if (!datagrams_) {
      if (is_connected_to_itself(descriptor_)) return unavailable("nobody listens");
      const int on = 1;
      ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ::setsockopt(descriptor_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    return {};
  }

  // RFC 5425: TLS 1.2 or later, the server's certificate checked against its name or address. Files are read
  // at each connect, so that renewed ones are seen.
  Status start_tls(const Target& target, const std::string& host, const Waiter& waiter) {
    const std::unique_ptr<SSL_CTX, Closer> context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    // Bytes not yet written may move between attempts to write them.
    SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const bool trust = target.ca_file.empty() ? SSL_CTX_set_default_verify_paths(context.get()) == 1
                                              : SSL_CTX_load_verify_locations(
                                                    context.get(), target.ca_file.c_str(), nullptr) == 1;
    if (!trust) return unavailable(tls_error("ca_file", nullptr));
    if (!target.certificate_file.empty() &&
        (SSL_CTX_use_certificate_chain_file(context.get(), target.certificate_file.c_str()) != 1 ||
         SSL_CTX_use_PrivateKey_file(context.get(), target.key_file.c_str(), SSL_FILETYPE_PEM) != 1)) {
      return unavailable(tls_error("certificate_file and key_file", nullptr));
    }
    ssl_.reset(SSL_new(context.get()));
    in6_addr numeric{};
    if (::inet_pton(AF_INET, host.c_str(), &numeric) == 1 ||
        ::inet_pton(AF_INET6, host.c_str(), &numeric) == 1) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str());
    } else {
      SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
      SSL_set1_host(ssl_.get(), host.c_str());
    }
    SSL_set_fd(ssl_.get(), descriptor_);
    for (;;) {
      ERR_clear_error();
      const int done = SSL_connect(ssl_.get());
      if (done == 1) return {};
      if (auto ok = await_tls(done, "TLS handshake", waiter); !ok) return ok;
    }
  }

  // After an SSL call that wants more: until the socket has it.
  Status await_tls(int result, const char* what, const Waiter& waiter) {
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        return waiter.until(descriptor_, POLLIN);
      case SSL_ERROR_WANT_WRITE:
        return waiter.until(descriptor_, POLLOUT);
      default:
        return unavailable(tls_error(what, ssl_.get()));
    }
  }

  Result<size_t> write_tls(std::string_view bytes, const Waiter& waiter) {
    for (;;) {
      size_t sent = 0;
      ERR_clear_error();
      const int done = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent);
      if (done == 1) return sent;
      if (auto ok = await_tls(done, "TLS", waiter); !ok) return fail(ok.error());
    }
  }

  Result<size_t> write_plain(std::string_view bytes, const Waiter& waiter) {
    for (;;) {
      const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0) return static_cast<size_t>(sent);
      if (errno != EAGAIN && errno != EINTR) return unavailable(system_error("send", errno));
      if (auto ok = waiter.until(descriptor_, POLLOUT); !ok) return fail(ok.error());
    }
  }

  Status write_datagram(std::string_view bytes) {
    ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    // The first error may be of the datagram before: "nobody listens there".
    if (sent < 0) return unavailable(system_error("send", errno));
    if (const int error = error_of(descriptor_); error != 0) return unavailable(system_error("send", error));
    return {};
  }

  // Until nothing is left in our socket's queue: the other machine has it all.
  Status await_acknowledgement(const Waiter& waiter) {
    for (Duration pause{1};; pause = std::min(pause * 2, kAcknowledgementPollMax)) {
      int unacknowledged = 0;
      if (::ioctl(descriptor_, SIOCOUTQ, &unacknowledged) != 0) {
        return unavailable(system_error("ioctl", errno));
      }
      if (const int error = error_of(descriptor_); error != 0)
        return unavailable(system_error("send", error));
      if (unacknowledged == 0) return {};
      if (auto failed = waiter.wait(descriptor_, 0, pause); !failed) return fail(failed.error());
    }
  }

  int descriptor_ = -1;
  bool datagrams_ = false;
  std::unique_ptr<SSL, Closer> ssl_;
};

SyslogConnection::SyslogConnection(const Target& target, int stop_descriptor)
    : target_(target), stop_(stop_descriptor) {}

SyslogConnection::~SyslogConnection() = default;

Status SyslogConnection::send(std::string_view bytes) {
  const Waiter waiter(stop_, target_.timeout);
  if (stream_ && stream_->ended()) stream_.reset();
  if (!stream_) {
    auto opened = Stream::open(target_, waiter);
    if (!opened) return fail(opened.error());
    stream_ = std::move(*opened);
  }
  auto sent = stream_->write(bytes, waiter);
  if (!sent) stream_.reset();
  return sent;
}

}  // namespace fleetward::alerts
