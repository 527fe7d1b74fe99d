#include "bench/load/stream.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdexcept>
#include <sys/socket.h>

#include <netdb.h>
#include <unistd.h>

namespace fleetward::load {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

[[noreturn]] void fail_tls(const std::string& what) {
  char text[256] = "connection closed";
  if (const unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof(text));
  throw std::runtime_error(what + ": " + text);
}

// One context for each set of files, for ever.
SSL_CTX* context_of(const TlsFiles& files) {
  static std::mutex mutex;
  static std::map<std::string, SSL_CTX*> contexts;
  const std::lock_guard lock(mutex);
  SSL_CTX*& context = contexts[files.ca_file + "\n" + files.certificate_file + "\n" + files.key_file];
  if (context != nullptr) return context;
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (!files.ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(context, files.ca_file.c_str(), nullptr) != 1) fail_tls(files.ca_file);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  if (!files.certificate_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context, files.certificate_file.c_str()) != 1)
      fail_tls(files.certificate_file);
    if (SSL_CTX_use_PrivateKey_file(context, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
      fail_tls(files.key_file);
  }
  return context;
}

}  // namespace

struct Stream::Tls {
  SSL* ssl = nullptr;
  ~Tls() { SSL_free(ssl); }
};

Stream::Stream(const std::string& host, uint16_t port, const TlsFiles& tls, uint32_t source) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int rc = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); rc != 0) {
    throw std::runtime_error(host + ": " + gai_strerror(rc));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> holder(found, freeaddrinfo);
  fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) fail("socket");
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (source != 0) {
    setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + source);
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&from), sizeof(from)) != 0) fail("bind");
  }
  if (connect(fd_, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
    const int cause = errno;
    close(fd_);
    errno = cause;
    fail("connect to " + host + ":" + std::to_string(port));
  }
  if (tls.enabled) start_tls(host, tls);
}

Stream::~Stream() {
  tls_.reset();
  close(fd_);
}

void Stream::start_tls(const std::string& host, const TlsFiles& files) {
  tls_ = std::make_unique<Tls>();
  tls_->ssl = SSL_new(context_of(files));
  SSL_set_fd(tls_->ssl, fd_);
  SSL_set_connect_state(tls_->ssl);
  in6_addr address{};
  const bool literal =
      inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
  if (literal) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_->ssl), host.c_str());
  } else {
    SSL_set_tlsext_host_name(tls_->ssl, host.c_str());
    SSL_set1_host(tls_->ssl, host.c_str());
  }
}

bool Stream::establish() {
  if (established_) return true;
  if (!connected_) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    if (error != 0) fail("connect");
    connected_ = true;
    wants_write_ = false;
  }
  if (tls_) {
    ERR_clear_error();
    const int rc = SSL_do_handshake(tls_->ssl);
    if (rc != 1) {
      const int why = SSL_get_error(tls_->ssl, rc);
      wants_write_ = why == SSL_ERROR_WANT_WRITE;
      if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) fail_tls("TLS handshake");
      return false;
    }
  }
  wants_write_ = false;
  return established_ = true;
}

size_t Stream::read(char* buffer, size_t size) {
  if (!tls_) {
    const ssize_t n = recv(fd_, buffer, size, 0);
    if (n > 0) return static_cast<size_t>(n);
    if (n == 0) throw std::runtime_error("the server closed the connection");
    if (errno == EAGAIN || errno == EINTR) return 0;
    fail("read");
  }
  ERR_clear_error();
  const int n = SSL_read(tls_->ssl, buffer, static_cast<int>(size));
  if (n > 0) return static_cast<size_t>(n);
  const int why = SSL_get_error(tls_->ssl, n);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return 0;
  fail_tls("TLS read");
}

size_t Stream::write(const char* bytes, size_t size) {
  wants_write_ = false;
  if (!tls_) {
    const ssize_t n = send(fd_, bytes, size, MSG_NOSIGNAL);
    if (n >= 0) {
      wants_write_ = static_cast<size_t>(n) < size;
      return static_cast<size_t>(n);
    }
    if (errno != EAGAIN && errno != EINTR) fail("write");
    wants_write_ = true;
    return 0;
  }
  ERR_clear_error();
  const int n = SSL_write(tls_->ssl, bytes, static_cast<int>(size));
  if (n > 0) {
    wants_write_ = static_cast<size_t>(n) < size;
    return static_cast<size_t>(n);
  }
  const int why = SSL_get_error(tls_->ssl, n);
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) fail_tls("TLS write");
  wants_write_ = true;
  return 0;
}

bool Stream::pending() const {
  return tls_ && SSL_pending(tls_->ssl) > 0;
}

}  // namespace fleetward::load
