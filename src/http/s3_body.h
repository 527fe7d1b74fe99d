#pragma once

#include <memory>
#include <optional>

#include "http/message.h"
#include "http/s3_handler.h"
#include "http/sigv4.h"

namespace fleetward::http {

// Takes a body as it arrives: removes aws-chunked framing, checks what the signature promised of it. Errors
// are ready for the wire.
class S3BodyDecoder {
 public:
  virtual ~S3BodyDecoder() = default;
  // Decoded bytes are appended to `out`.
  virtual ApiStatus feed(std::string_view bytes, std::string& out) = 0;
  // All has been fed: nothing may be kept of a body that fails here.
  virtual ApiStatus finish() = 0;
  // Complete after finish().
  virtual const Headers& trailers() const = 0;
};

// `length` is the decoded body's, if the request says so.
struct S3Decoding {
  std::unique_ptr<S3BodyDecoder> decoder;
  std::optional<uint64_t> length;
};
// MissingContentLength if the form needs X-Amz-Decoded-Content-Length and it is missing.
ApiResult<S3Decoding> make_s3_decoder(const RequestHead& head, const Verified& verified);

// The reader over a body that has arrived whole.
std::unique_ptr<S3BodyReader> make_s3_reader(std::unique_ptr<Body> body, S3Decoding decoding);

}  // namespace fleetward::http
