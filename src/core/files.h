#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace fleetward {

// The whole file, at most 16 MiB. kNotFound or kUnavailable with the system's reason.
Result<std::string> read_file(const std::string& path);
// Replaces the file in one step (temporary file, sync, rename), with the given permission bits.
Status write_file(const std::string& path, std::string_view text, unsigned mode);
// With its parents; a directory that is there keeps its permissions.
Status make_directory(const std::string& path, unsigned mode);

}  // namespace fleetward
