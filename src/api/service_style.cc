#include "api/service_style.h"

namespace fleetward::api {

// Sources: iot-core API reference (errors of each operation), Firehose, IAM, STS and SNS API references.
const ServiceStyle kIotStyle{
    .invalid = {400, "InvalidRequestException"},
    .not_found = {404, "ResourceNotFoundException"},
    .already_exists = {409, "ResourceAlreadyExistsException"},
    .conflict = {409, "DeleteConflictException"},
    .version_conflict = {409, "VersionConflictException"},
    .unauthenticated = {401, "UnauthorizedException"},
    .denied = {403, "AccessDeniedException"},
    .limit = {410, "LimitExceededException"},
    .throttled = {400, "ThrottlingException"},
    .unavailable = {503, "ServiceUnavailableException"},
    .internal = {500, "InternalFailureException"},
};

const ServiceStyle kIotDataStyle{
    .invalid = {400, "InvalidRequestException"},
    .not_found = {404, "ResourceNotFoundException"},
    .already_exists = {409, "ConflictException"},
    .conflict = {409, "ConflictException"},
    .version_conflict = {409, "ConflictException"},
    .unauthenticated = {401, "UnauthorizedException"},
    .denied = {403, "ForbiddenException"},
    .limit = {413, "RequestEntityTooLargeException"},
    .throttled = {429, "ThrottlingException"},
    .unavailable = {503, "ServiceUnavailableException"},
    .internal = {500, "InternalFailureException"},
};

const ServiceStyle kFirehoseStyle{
    .invalid = {400, "InvalidArgumentException"},
    .not_found = {400, "ResourceNotFoundException"},
    .already_exists = {400, "ResourceInUseException"},
    .conflict = {400, "ResourceInUseException"},
    .version_conflict = {400, "ConcurrentModificationException"},
    .unauthenticated = {400, "UnrecognizedClientException"},
    .denied = {400, "AccessDeniedException"},
    .limit = {400, "LimitExceededException"},
    .throttled = {400, "ThrottlingException"},
    // A fault: SDKs retry it because of the status.
    .unavailable = {503, "ServiceUnavailableException"},
    .internal = {500, "InternalFailure"},
};

const ServiceStyle kIamStyle{
    .invalid = {400, "ValidationError"},
    .not_found = {404, "NoSuchEntity"},
    .already_exists = {409, "EntityAlreadyExists"},
    .conflict = {409, "DeleteConflict"},
    .version_conflict = {409, "ConcurrentModification"},
    .unauthenticated = {403, "InvalidClientTokenId"},
    .denied = {403, "AccessDenied"},
    .limit = {409, "LimitExceeded"},
    .throttled = {400, "Throttling"},
    .unavailable = {503, "ServiceUnavailable"},
    .internal = {500, "ServiceFailure"},
    .text_scalars = true,
};

const ServiceStyle kStsStyle{
    .invalid = {400, "ValidationError"},
    .not_found = {403, "AccessDenied"},  // STS does not tell whether a role exists
    .already_exists = {400, "ValidationError"},
    .conflict = {400, "ValidationError"},
    .version_conflict = {400, "ValidationError"},
    .unauthenticated = {403, "InvalidClientTokenId"},
    .denied = {403, "AccessDenied"},
    .limit = {400, "PackedPolicyTooLarge"},
    .throttled = {400, "Throttling"},
    .unavailable = {503, "ServiceUnavailable"},
    .internal = {500, "InternalFailure"},
    .text_scalars = true,
};

const ServiceStyle kSnsStyle{
    .invalid = {400, "InvalidParameter"},
    .not_found = {404, "NotFound"},
    .already_exists = {400, "InvalidParameter"},
    .conflict = {400, "InvalidParameter"},
    .version_conflict = {400, "ConcurrentAccess"},
    .unauthenticated = {403, "InvalidClientTokenId"},
    .denied = {403, "AuthorizationError"},
    .limit = {403, "SubscriptionLimitExceeded"},
    .throttled = {429, "Throttled"},
    .unavailable = {503, "ServiceUnavailable"},
    .internal = {500, "InternalError"},
    .sns_wording = true,
    .text_scalars = true,
};

namespace {

const ServiceStyle::Name& name_of(const ServiceStyle& style, ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kMalformed:
    case ErrorCode::kUnimplemented:
      return style.invalid;
    case ErrorCode::kNotFound:
      return style.not_found;
    case ErrorCode::kAlreadyExists:
      return style.already_exists;
    case ErrorCode::kConflict:
      return style.conflict;
    case ErrorCode::kVersionConflict:
      return style.version_conflict;
    case ErrorCode::kUnauthenticated:
      return style.unauthenticated;
    case ErrorCode::kPermissionDenied:
      return style.denied;
    case ErrorCode::kLimitExceeded:
      return style.limit;
    case ErrorCode::kThrottled:
      return style.throttled;
    case ErrorCode::kUnavailable:
      return style.unavailable;
    case ErrorCode::kCorrupt:
    case ErrorCode::kInternal:
      return style.internal;
  }
  return style.internal;
}

}  // namespace

http::ApiError to_api_error(const ServiceStyle& style, const Error& error) {
  const ServiceStyle::Name& name = name_of(style, error.code);
  const bool hidden = error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kInternal;
  return {name.status, std::string(name.name), hidden ? "An internal error occurred." : error.message, {}};
}

}  // namespace fleetward::api
