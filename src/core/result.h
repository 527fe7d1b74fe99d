#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace fleetward {

// What went wrong, in terms every room shares. A protocol's edge maps the code to its own wire form (MQTT
// reason code, AWS error name and HTTP status); `message` is for a person and may be shown to the client.
enum class ErrorCode {
  kInvalidArgument,  // the request can never succeed as written
  kMalformed,        // bytes that do not parse
  kNotFound,
  kAlreadyExists,
  kConflict,         // in use, or still has children
  kVersionConflict,  // optimistic lock lost
  kUnauthenticated,
  kPermissionDenied,
  kLimitExceeded,  // a quota or a size bound
  kThrottled,
  kUnimplemented,  // a documented feature this release does not have
  kUnavailable,    // try again: a dependency is away, the disk is full, shutting down
  kCorrupt,        // stored bytes do not parse
  kInternal,
};

// Stable lower-case name, for logs and metric labels ("invalid_argument").
std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace fleetward
