#include "lake/errors.h"

namespace fleetward::lake {
namespace {

ErrorCode code_of(Reason reason) {
  switch (reason) {
    case Reason::kNoSuchBucket:
    case Reason::kNoSuchKey:
    case Reason::kNoSuchUpload:
    case Reason::kNoSuchBucketPolicy:
    case Reason::kNoSuchTagSet:
      return ErrorCode::kNotFound;
    case Reason::kBucketAlreadyOwned:
      return ErrorCode::kAlreadyExists;
    case Reason::kBucketNotEmpty:
      return ErrorCode::kConflict;
    case Reason::kPreconditionFailed:
    case Reason::kNotModified:
      return ErrorCode::kVersionConflict;
    case Reason::kKeyTooLong:
    case Reason::kMetadataTooLarge:
    case Reason::kEntityTooLarge:
    case Reason::kTooMany:
      return ErrorCode::kLimitExceeded;
    case Reason::kUnavailable:
      return ErrorCode::kUnavailable;
    case Reason::kCorrupt:
      return ErrorCode::kCorrupt;
    case Reason::kInvalidBucketName:
    case Reason::kInvalidArgument:
    case Reason::kInvalidTag:
    case Reason::kMalformedPolicy:
    case Reason::kInvalidPart:
    case Reason::kInvalidPartOrder:
    case Reason::kPartNumber:
    case Reason::kEntityTooSmall:
    case Reason::kInvalidDigest:
    case Reason::kBadDigest:
    case Reason::kInvalidRange:
    case Reason::kInvalidRequest:
      return ErrorCode::kInvalidArgument;
  }
  return ErrorCode::kInternal;
}

}  // namespace

Error to_error(const StoreError& error) {
  return {code_of(error.reason), error.message};
}

}  // namespace fleetward::lake
