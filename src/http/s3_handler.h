#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "http/message.h"
#include "http/operation.h"
#include "identity/caller.h"
#include "identity/policy.h"

// Where S3 requests leave this room: S3 is REST-XML with streamed bodies and does not fit the operation
// table.
namespace fleetward::http {

// The body of an S3 request, once through: aws-chunked framing is removed, its chunk signatures are checked.
class S3BodyReader {
 public:
  virtual ~S3BodyReader() = default;
  // The next piece (at most about 1 MiB), empty at the end. What the signature promised
  // (x-amz-content-sha256, chunk and trailer signatures, X-Amz-Decoded-Content-Length) is checked at the
  // latest by the call that answers the end: nothing may be kept of a body that failed. Errors are ready for
  // the wire: XAmzContentSHA256Mismatch, SignatureDoesNotMatch, IncompleteBody, ...
  virtual ApiResult<std::string> next() = 0;
  // Bytes of the decoded body, if the request says so.
  virtual std::optional<uint64_t> size() const = 0;
  // Trailer fields of the aws-chunked framing (x-amz-checksum-crc32, ...); complete after the end was
  // answered.
  virtual const Headers& trailers() const = 0;
};

struct S3Request : RequestHead {
  identity::Caller caller;  // verified; kAnonymous if the request carries no signature at all
  std::string request_id;
  bool presigned = false;
  // Condition keys of the request (aws:SourceIp, aws:SecureTransport, aws:CurrentTime, ...); never null.
  std::shared_ptr<const identity::RequestContext> context;
  std::unique_ptr<S3BodyReader> body;  // never null; ends at once if there is no body
};

// Implemented by api/s3. Called on control threads, several at once; may block. Thread safe.
class S3Handler {
 public:
  virtual ~S3Handler() = default;
  // The bound of the (decoded) body of this request, asked before the body is read.
  virtual uint64_t body_bytes_max(const RequestHead& head) const = 0;
  virtual Response handle(S3Request request) = 0;
  // The <Error> document for what was found before handle(): signatures, framing, bounds.
  virtual Response refuse(const RequestHead& head, const ApiError& error,
                          const std::string& request_id) const = 0;
};

}  // namespace fleetward::http
