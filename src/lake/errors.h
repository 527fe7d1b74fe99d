#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"

namespace fleetward::lake {

// Why the store refused, as finely as S3's clients tell the cases apart.
enum class Reason {
  kNoSuchBucket,
  kNoSuchKey,
  kNoSuchUpload,
  kNoSuchBucketPolicy,
  kNoSuchTagSet,
  kBucketAlreadyOwned,
  kBucketNotEmpty,
  kInvalidBucketName,
  kInvalidArgument,
  kInvalidTag,
  kMalformedPolicy,
  kKeyTooLong,
  kMetadataTooLarge,
  kInvalidPart,
  kInvalidPartOrder,
  kPartNumber,  // a part number that the object does not have
  kEntityTooSmall,
  kEntityTooLarge,
  kInvalidDigest,  // a digest that is no digest
  kBadDigest,      // a digest that is not the body's
  kPreconditionFailed,
  kNotModified,
  kInvalidRange,
  kInvalidRequest,
  kTooMany,      // a bound of this store: buckets, open uploads
  kUnavailable,  // the disk is full or refuses, the store is closing: try again
  kCorrupt,      // stored bytes are missing or changed
};

struct StoreError {
  Reason reason = Reason::kUnavailable;
  std::string message;
};

template <typename T>
using StoreResult = tl::expected<T, StoreError>;
using StoreStatus = StoreResult<void>;

inline tl::unexpected<StoreError> refuse(Reason reason, std::string message) {
  return tl::unexpected<StoreError>(StoreError{reason, std::move(message)});
}
inline tl::unexpected<StoreError> refuse(StoreError error) {
  return tl::unexpected<StoreError>(std::move(error));
}

// In the terms of the other rooms.
Error to_error(const StoreError& error);

}  // namespace fleetward::lake
