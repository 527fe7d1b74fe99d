#include "api/s3/errors.h"

#include <map>

namespace fleetward::api::s3 {
namespace {

// Source: Amazon S3 API Reference, "Error responses". What is not here is 400.
const std::map<std::string_view, int>& statuses() {
  static const std::map<std::string_view, int> table = {
      {"AccessDenied", 403},
      {"AccessForbidden", 403},
      {"BucketAlreadyExists", 409},
      {"BucketAlreadyOwnedByYou", 409},
      {"BucketNotEmpty", 409},
      {"InternalError", 500},
      {"InvalidPartNumber", 416},
      {"InvalidRange", 416},
      {"MethodNotAllowed", 405},
      {"MissingContentLength", 411},
      {"NoSuchBucket", 404},
      {"NoSuchBucketPolicy", 404},
      {"NoSuchCORSConfiguration", 404},
      {"NoSuchConfiguration", 404},
      {"NoSuchKey", 404},
      {"NoSuchLifecycleConfiguration", 404},
      {"NoSuchPublicAccessBlockConfiguration", 404},
      {"NoSuchTagSet", 404},
      {"NoSuchUpload", 404},
      {"NoSuchVersion", 404},
      {"NoSuchWebsiteConfiguration", 404},
      {"NotImplemented", 501},
      {"NotModified", 304},
      {"ObjectLockConfigurationNotFoundError", 404},
      {"PreconditionFailed", 412},
      {"ReplicationConfigurationNotFoundError", 404},
      {"ServerSideEncryptionConfigurationNotFoundError", 404},
      {"ServiceUnavailable", 503},
  };
  return table;
}

const char* code_of(lake::Reason reason) {
  using lake::Reason;
  switch (reason) {
    case Reason::kNoSuchBucket:
      return "NoSuchBucket";
    case Reason::kNoSuchKey:
      return "NoSuchKey";
    case Reason::kNoSuchUpload:
      return "NoSuchUpload";
    case Reason::kNoSuchBucketPolicy:
      return "NoSuchBucketPolicy";
    case Reason::kNoSuchTagSet:
      return "NoSuchTagSet";
    case Reason::kBucketAlreadyOwned:
      return "BucketAlreadyOwnedByYou";
    case Reason::kBucketNotEmpty:
      return "BucketNotEmpty";
    case Reason::kInvalidBucketName:
      return "InvalidBucketName";
    case Reason::kInvalidArgument:
      return "InvalidArgument";
    case Reason::kInvalidTag:
      return "InvalidTag";
    case Reason::kMalformedPolicy:
      return "MalformedPolicy";
    case Reason::kKeyTooLong:
      return "KeyTooLongError";
    case Reason::kMetadataTooLarge:
      return "MetadataTooLarge";
    case Reason::kInvalidPart:
      return "InvalidPart";
    case Reason::kInvalidPartOrder:
      return "InvalidPartOrder";
    case Reason::kPartNumber:
      return "InvalidPartNumber";
    case Reason::kEntityTooSmall:
      return "EntityTooSmall";
    case Reason::kEntityTooLarge:
      return "EntityTooLarge";
    case Reason::kInvalidDigest:
      return "InvalidDigest";
    case Reason::kBadDigest:
      return "BadDigest";
    case Reason::kPreconditionFailed:
      return "PreconditionFailed";
    case Reason::kNotModified:
      return "NotModified";
    case Reason::kInvalidRange:
      return "InvalidRange";
    case Reason::kInvalidRequest:
      return "InvalidRequest";
    case Reason::kTooMany:
      return "TooManyBuckets";
    case Reason::kUnavailable:
      return "ServiceUnavailable";
    case Reason::kCorrupt:
      return "InternalError";
  }
  return "InternalError";
}

}  // namespace

tl::unexpected<ApiError> s3_fail(std::string code, std::string message) {
  const auto it = statuses().find(code);
  return http::api_fail(it == statuses().end() ? 400 : it->second, std::move(code), std::move(message));
}

tl::unexpected<ApiError> not_implemented(std::string_view what) {
  return s3_fail("NotImplemented", std::string(what) + " is not implemented by this server.");
}

tl::unexpected<ApiError> store_fail(const lake::StoreError& error) {
  return s3_fail(code_of(error.reason), error.message);
}

}  // namespace fleetward::api::s3
