#include "app/data_directory.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/file.h>

#include <fcntl.h>
#include <unistd.h>

#include "core/files.h"
#include "core/text.h"

namespace fleetward::app {
namespace {

// 1 kept open violations of Detect under other keys, 2 Detect's rows of values and states in other forms.
constexpr int kFormat = 3;

// What every directory holds that has served once, which endpoints.json tells: it is written last.
constexpr const char* kLog = "log/CURRENT";
constexpr std::array kPieces = {"state.db", kLog, "pki/ca.pem", "pki/ca.key"};

// A missing piece would be made anew, empty: the account would be gone, and what refers to it dropped,
// without a word.
Status check_pieces(const std::string& path, bool accept_loss) {
  std::error_code ec;
  if (!std::filesystem::exists(path + "/endpoints.json", ec)) return {};
  for (const char* piece : kPieces) {
    const std::string file = path + "/" + piece;
    const std::uintmax_t size = std::filesystem::file_size(file, ec);
    if ((!ec && size > 0) || (accept_loss && piece == kLog)) continue;
    return fail(ErrorCode::kCorrupt,
                file + " is " + (ec ? "missing" : "empty") + " in a data directory that was in use");
  }
  return {};
}

Status check_format(const std::string& path, bool accept_loss) {
  const std::string file = path + "/format";
  const auto text = read_file(file);
  if (text) {
    const std::string found = text->substr(0, text->find('\n'));
    const auto number = parse_number<int>(found);
    if (number == kFormat) return check_pieces(path, accept_loss);
    if (found.empty()) return fail(ErrorCode::kCorrupt, file + " is empty");
    const bool older = number && *number < kFormat;
    return fail(ErrorCode::kInvalidArgument,
                path + " has format " + found + "; this Fleetward knows format " + std::to_string(kFormat) +
                    ". It was written by " +
                    (older ? "an older one, before the first release, and cannot be carried over: begin with "
                             "a new directory."
                           : "a newer one."));
  }
  if (text.error().code != ErrorCode::kNotFound) return fail(text.error());
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(path, ec)) {
    // A first start that was killed leaves the lock and perhaps the half-written format.
    if (const auto name = entry.path().filename(); name != "lock" && name != "format.new") {
      return fail(ErrorCode::kInvalidArgument, path + " is not empty and not a data directory of Fleetward");
    }
  }
  return write_file(file, std::to_string(kFormat) + "\n", 0644);
}

}  // namespace

Result<DataDirectory> DataDirectory::open(const std::string& path, bool accept_loss) {
  if (auto ok = make_directory(path, 0700); !ok) return fail(ok.error());
  const std::string lock_file = path + "/lock";
  const int fd = ::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail(ErrorCode::kUnavailable, lock_file + ": " + std::strerror(errno));
  DataDirectory out(std::filesystem::absolute(path).lexically_normal().string(), fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::kConflict, "another process holds the data directory " + path);
  }
  if (auto ok = check_format(path, accept_loss); !ok) return fail(ok.error());
  return out;
}

DataDirectory::DataDirectory(DataDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_(other.lock_) {
  other.lock_ = -1;
}

DataDirectory::~DataDirectory() {
  if (lock_ >= 0) ::close(lock_);  // releases the lock
}

}  // namespace fleetward::app
