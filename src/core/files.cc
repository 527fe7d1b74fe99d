#include "core/files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

namespace fleetward {
namespace {

constexpr std::uintmax_t kFileBytesMax = 16 << 20;

tl::unexpected<Error> system_error(const std::string& path) {
  const int reason = errno;
  return fail(reason == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
              path + ": " + std::strerror(reason));
}

Status write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0) return system_error(path);
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

// The new name of a file outlives a power cut only once its directory is synced.
Status sync_directory(const std::string& path) {
  const std::string directory = path.empty() ? "." : path;
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error(directory);
  Status synced;
  if (::fsync(fd) != 0) synced = system_error(directory);
  ::close(fd);
  return synced;
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  std::error_code ec;
  const std::uintmax_t size = std::filesystem::file_size(path, ec);
  if (!ec && size > kFileBytesMax) return fail(ErrorCode::kLimitExceeded, path + ": larger than 16 MiB");
  if (std::filesystem::is_directory(path, ec)) {  // it would open, and read as nothing
    return fail(ErrorCode::kUnavailable, path + ": is a directory");
  }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return system_error(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

Status write_file(const std::string& path, std::string_view text, unsigned mode) {
  const std::string temporary = path + ".new";
  const int fd =
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, static_cast<mode_t>(mode));
  if (fd < 0) return system_error(temporary);
  Status written = write_all(fd, text, temporary);
  if (written && (::fchmod(fd, static_cast<mode_t>(mode)) != 0 || ::fsync(fd) != 0))
    written = system_error(temporary);
  ::close(fd);
  if (!written) return written;
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return system_error(path);
  return sync_directory(std::filesystem::path(path).parent_path().string());
}

Status make_directory(const std::string& path, unsigned mode) {
  std::error_code ec;
  const bool created = std::filesystem::create_directories(path, ec);
  if (ec) return fail(ErrorCode::kUnavailable, path + ": " + ec.message());
  if (created && ::chmod(path.c_str(), static_cast<mode_t>(mode)) != 0) return system_error(path);
  return {};
}

}  // namespace fleetward
