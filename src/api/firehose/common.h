#pragma once

#include <string>
#include <string_view>

#include "api/firehose/firehose.h"
#include "api/input.h"

namespace fleetward::api::firehose {

inline constexpr CharSet kStreamNameChars("a-zA-Z0-9_.-");
inline constexpr StringRule kStreamName{.min = 1, .max = 64, .chars = &kStreamNameChars};

// The ARN that operations on one stream are authorized on.
std::function<std::string(const json::object&)> stream_resource(const Dependencies& d);

// kNotFound with AWS's sentence.
Error no_such_stream(const Dependencies& d, std::string_view name);

// Changes one stream in a transaction: `change` gets a copy. kNotFound if there is none, kConflict (in use)
// unless it is ACTIVE.
Status change_active(const Dependencies& d, const std::string& name,
                     const std::function<Status(delivery::Stream&)>& change);

}  // namespace fleetward::api::firehose
