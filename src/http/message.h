#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/socket_address.h"
#include "core/tls.h"

namespace fleetward::http {

// Header fields in the order received; names compare without case.
class Headers {
 public:
  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string_view name, std::string value);  // replaces all of that name
  // The first value, or empty.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// One decoded name=value of the query string, in order; `has_value` tells "?acl" from "?acl=".
struct QueryParameter {
  std::string name;
  std::string value;
  bool has_value = true;
};

// What is known once the header section is read.
struct RequestHead {
  std::string method;
  std::string target;    // as received: raw path and raw query
  std::string raw_path;  // percent-encoded, as received, without the query
  std::string path;      // decoded
  std::vector<QueryParameter> query;
  Headers headers;
  uint64_t content_length = 0;  // 0 if chunked or absent
  bool tls = false;
  std::string peer_address;           // "192.0.2.7"
  std::string server_name;            // SNI, or empty
  std::string client_certificate_id;  // of a verified mutual-TLS peer, else empty
  bool websockets_only = false;       // it came to a listener of that kind

  const QueryParameter* find_query(std::string_view name) const;
};

// Also for form bodies. '+' is a space; kMalformed on a bad escape, kLimitExceeded over 2000 parameters.
Result<std::vector<QueryParameter>> parse_query(std::string_view text);

// Fills target, raw_path, path and query of `head`. kMalformed: not an origin-form target or a bad escape.
// '+' in the query is a space.
Status parse_target(std::string_view target, RequestHead& head);

// The body as it arrived. Small ones are in memory, larger ones in a temporary file that dies with this
// object.
class Body {
 public:
  virtual ~Body() = default;
  virtual uint64_t size() const = 0;
  // The whole body; only for callers that bounded the size. kLimitExceeded over kTextBytesMax.
  static constexpr uint64_t kTextBytesMax = uint64_t{16} << 20;
  virtual Result<std::string> text() const = 0;
  // Up to `count` bytes at `position`; fewer only at the end.
  virtual Result<std::string> read(uint64_t position, size_t count) const = 0;
};

struct Request : RequestHead {
  std::unique_ptr<Body> body;  // never null
};

// Produces a body piece by piece: answers an empty string at the end. Called on a control thread.
using BodySource = std::function<Result<std::string>()>;

struct Response {
  int status = 200;
  Headers headers;
  std::string body;   // used if `source` is empty
  BodySource source;  // streamed, with `source_length` bytes in total
  // Without `source` and with an empty `body`: the Content-Length a HEAD announces.
  uint64_t source_length = 0;
};

// Takes a body as it arrives, instead of letting it be gathered first. Called on control threads, one call at
// a time; may block. Destroyed without finish(), the body did not arrive, and nothing of it is kept.
class BodyTaker {
 public:
  virtual ~BodyTaker() = default;
  // The next bytes, at most about ServerOptions::memory_body_max; none to ask whether the body is wanted at
  // all. A response refuses the request: nothing else is called then.
  virtual std::unique_ptr<Response> take(std::string_view bytes) = 0;
  // All of it was taken.
  virtual Response finish() = 0;
};

// A connection that has left HTTP.
struct Upgraded {
  int descriptor = -1;             // connected, non-blocking; the taker's to close
  std::unique_ptr<TlsEngine> tls;  // open; null: plain TCP
  std::string received;            // decrypted, after the request
  SocketAddress peer;
};

// The answer to a request for another protocol: with `take`, response 101 and then the connection goes to
// it, on an I/O thread; without, a refusal.
struct Upgrade {
  Response response;
  std::function<void(Upgraded)> take;
};

// Why the server itself refuses a request.
enum class Refusal {
  kOverloaded,      // 503: too many requests wait for a worker, or the server is stopping
  kBodyTooLarge,    // 413
  kLengthRequired,  // 411: a body without length where one is needed
  kFailed,          // 500: the handler broke its word
};

// Answers requests. Called on control threads, several at once; may block. Thread safe.
class Handler {
 public:
  virtual ~Handler() = default;
  // The answer in the request's own protocol. The default is plain text.
  virtual Response refusal(const RequestHead& head, Refusal why);
  // Before the body is read (and before "100 Continue"), on an I/O thread: a response refuses the request
  // unread; nullptr lets the body come. Must not block on more than the processor. `body_bytes_max` is
  // in/out: the handler may raise or lower the bound for this request.
  virtual std::unique_ptr<Response> before_body(const RequestHead& head, uint64_t& body_bytes_max) = 0;
  // After before_body(), on an I/O thread, for a body over ServerOptions::memory_body_max and for a client
  // that waits for leave to send: who takes the body as it arrives, in place of handle(). nullptr: it is
  // gathered (a large one in a file) and comes with handle().
  virtual std::unique_ptr<BodyTaker> taker(const RequestHead&) { return nullptr; }
  // In place of all this, for a request with "Connection: Upgrade" and no body, on an I/O thread. Must not
  // block on more than the processor.
  virtual Upgrade upgrade(const RequestHead& head);
  virtual Response handle(Request request) = 0;
};

}  // namespace fleetward::http
