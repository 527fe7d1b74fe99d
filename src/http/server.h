#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/address_list.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/result.h"
#include "core/socket_address.h"
#include "core/time.h"
#include "core/tls.h"
#include "http/message.h"

namespace fleetward::http {

struct ServerOptions {
  int io_threads = 2;             // read and write sockets
  int worker_threads = 8;         // run handlers
  size_t worker_queue_max = 256;  // requests waiting for a worker; beyond: 503
  // Accepted beyond this are closed at once, counted; and so are the idle ones, to make room for the next.
  size_t connections_max = 1024;
  size_t header_bytes_max = 64 * 1024;
  uint64_t body_bytes_max = uint64_t{1} << 20;  // unless Handler::before_body raises it
  size_t memory_body_max = size_t{1} << 20;     // larger ones go to Handler::taker(), or a file
  std::string spool_directory;                  // for such files
  Duration head_timeout{10'000};                // a TLS handshake; a request's head, from its first byte
  Duration read_timeout{60'000};                // between two bytes of a request's body
  Duration idle_timeout{120'000};               // between requests of a connection
};

struct ListenOptions {
  // Every request that is no upgrade is refused, and RequestHead says so to the handler.
  bool websockets_only = false;
  // Unless null, each connection comes from one of these and begins with the header of the PROXY protocol;
  // the address in it is the client's.
  std::shared_ptr<const AddressList> proxies = nullptr;
};

// HTTP/1.1 server of the control plane (Boost.Beast inside). start/listen/stop from one thread.
class Server {
 public:
  Server(ServerOptions options, std::shared_ptr<Handler> handler, Logger& logger, Metrics& metrics);
  ~Server();

  // "127.0.0.1:4566"; port 0 takes a free one. The real "address:port" in the answer. With `tls` speaks
  // HTTPS, asks for (but does not require) a client certificate, and reports its id in RequestHead.
  // kConflict: port in use.
  Result<std::string> listen(const std::string& address, const TlsFiles* tls = nullptr,
                             const ListenOptions& options = {});
  // Takes over an accepted, connected TCP socket on which nothing was read yet (the ALPN listener hands over
  // those that are not MQTT). `prefix` holds bytes read already; with `tls` the server performs the TLS
  // handshake itself. Any thread; after stop() the socket is closed.
  void adopt(int socket_descriptor, const SocketAddress& peer, std::string prefix, const TlsFiles* tls);
  // Reads the certificates of all listeners again: new handshakes use them. Any thread; if one cannot be
  // used, all stay as they are (kInvalidArgument).
  Status reload_certificates();
  // Refuses new work, finishes what is in flight (at most `grace`), then returns.
  void stop(Duration grace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetward::http
