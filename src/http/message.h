#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

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
  std::string client_certificate_id;  // of a verified mutual-TLS peer, else empty

  const QueryParameter* find_query(std::string_view name) const;
};

// The body as it arrived. Small ones are in memory, larger ones in a temporary file that dies with this
// object.
class Body {
 public:
  virtual ~Body() = default;
  virtual uint64_t size() const = 0;
  // The whole body; only for callers that bounded the size (ServerOptions::memory_body_max). kLimitExceeded
  // otherwise.
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
  uint64_t source_length = 0;
};

// Answers requests. Called on control threads, several at once; may block. Thread safe.
class Handler {
 public:
  virtual ~Handler() = default;
  // Before the body is read (and before "100 Continue"): a response refuses the request unread; nullopt lets
  // the body come. `body_bytes_max` is in/out: the handler may raise or lower the bound for this request.
  virtual std::unique_ptr<Response> before_body(const RequestHead& head, uint64_t& body_bytes_max) = 0;
  virtual Response handle(Request request) = 0;
};

}  // namespace fleetward::http
