#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"
#include "http/operation.h"
#include "identity/caller.h"
#include "identity/policy.h"

// The seam to the S3 service: the dispatcher has verified the signature; what the request means and whether
// it is allowed is the handler's business.
namespace fleetward::http {

// The object's bytes in order: aws-chunked is undone, chunk signatures and the signed hash are verified on
// the way. An object must not be committed before read() answered its end.
class S3Body {
 public:
  virtual ~S3Body() = default;
  // Bytes the body will yield (X-Amz-Decoded-Content-Length, else Content-Length or what arrived).
  virtual uint64_t size() const = 0;
  // Up to `count_max` bytes (at least one); empty at the end. Errors carry S3's names: SignatureDoesNotMatch,
  // XAmzContentSHA256Mismatch, IncompleteBody, InvalidRequest.
  virtual ApiResult<std::string> read(size_t count_max) = 0;
  // The trailer's fields ("x-amz-checksum-crc32"); complete once read() answered the end.
  virtual const Headers& trailers() const = 0;
};

struct S3Call {
  const RequestHead& head;
  const identity::Caller& caller;  // kind kAnonymous if unsigned
  bool presigned;
  const identity::RequestContext& context;  // aws:SourceIp, aws:SecureTransport, ...
  std::string_view request_id;
  S3Body& body;
};

// Thread safe; called on workers. The dispatcher adds x-amz-request-id, x-amz-id-2 and Server.
class S3Handler {
 public:
  virtual ~S3Handler() = default;
  virtual Response handle(const S3Call& call) = 0;
};

// S3's error document. Members of `error.extra` (strings) become elements: {"Key":..,"BucketName":..}. With
// `head_request` the body stays empty.
Response s3_error(const ApiError& error, std::string_view resource, std::string_view request_id,
                  bool head_request = false);

}  // namespace fleetward::http
