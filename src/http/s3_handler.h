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
  std::unique_ptr<S3BodyReader> body;  // ends at once if there is no body; null for begin_upload()
  std::optional<uint64_t> body_size;   // of the decoded body, if the request says so
};

using ApiStatus = ApiResult<void>;

// An upload whose bytes are taken as they arrive. Destroyed without finish(), nothing of it is kept. One
// thread at a time.
class S3Upload {
 public:
  virtual ~S3Upload() = default;
  virtual ApiStatus append(std::string_view bytes) = 0;
  // All of the body was appended and kept what the signature promised of it.
  virtual ApiResult<Response> finish(const Headers& trailers) = 0;
};

// Implemented by api/s3. Called on control threads, several at once; may block. Thread safe.
class S3Handler {
 public:
  virtual ~S3Handler() = default;
  // The bound of the (decoded) body of this request, asked before the body is read.
  virtual uint64_t body_bytes_max(const RequestHead& head) const = 0;
  // "GetObject", "PutBucketPolicy", ...; empty if it is none.
  virtual std::string_view operation(const RequestHead& head) const = 0;
  // An error becomes the answer by refuse().
  virtual ApiResult<Response> handle(S3Request& request) = 0;
  // Is the body of this request bytes of an object? Then begin_upload() may be called in place of handle().
  virtual bool is_upload(const RequestHead& head) const = 0;
  // Everything that can be refused without the body is refused here. `request` outlives the upload.
  virtual ApiResult<std::unique_ptr<S3Upload>> begin_upload(S3Request& request) = 0;
  // The <Error> document for an error, found here or before: signatures, framing, bounds.
  virtual Response refuse(const RequestHead& head, const ApiError& error,
                          const std::string& request_id) const = 0;
};

}  // namespace fleetward::http
