#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace fleetward::load {

// The client's TLS settings of one identity; empty: plain TCP.
struct TlsFiles {
  bool enabled = false;
  std::string ca_file, certificate_file, key_file;
};

// A non-blocking connection, plain or TLS. All failures throw std::runtime_error.
class Stream {
 public:
  // Starts connecting to a literal or resolvable host, from 127.0.0.1 + `source` if that is not 0.
  Stream(const std::string& host, uint16_t port, const TlsFiles& tls, uint32_t source = 0);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int fd() const { return fd_; }
  // Goes on with connection and handshake; true when bytes can flow.
  bool establish();
  // Bytes read, 0 if there are none now.
  size_t read(char* buffer, size_t size);
  // Bytes taken, 0 if the socket is full.
  size_t write(const char* bytes, size_t size);
  bool wants_write() const { return wants_write_; }
  // TLS has decrypted bytes that epoll does not know of.
  bool pending() const;

 private:
  struct Tls;
  void start_tls(const std::string& host, const TlsFiles& files);

  int fd_ = -1;
  bool connected_ = false, established_ = false, wants_write_ = true;
  std::unique_ptr<Tls> tls_;
};

}  // namespace fleetward::load
