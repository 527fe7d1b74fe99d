#include "lake/contents.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

namespace fleetward::lake {
namespace {

constexpr uint64_t kFilesPerDirectory = 4096;  // three hex digits

std::string hex16(uint64_t id) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, id);
  return text;
}

tl::unexpected<StoreError> disk_error(const std::string& what) {
  return refuse(Reason::kUnavailable, what + ": " + std::strerror(errno));
}

}  // namespace

StoreStatus write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return disk_error("the object store cannot write");
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

StoreStatus sync_directory(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return disk_error("cannot open " + path);
  const int failed = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  if (failed != 0) return disk_error("cannot sync " + path);
  return {};
}

ContentFiles::ContentFiles(std::string directory, Index::Watermarks watermarks)
    : directory_(std::move(directory)), next_id_(std::max(watermarks.next_id, uint64_t{1})) {}

uint64_t ContentFiles::reserve() {
  const std::lock_guard lock(mutex_);
  const uint64_t id = next_id_++;
  in_flight_.insert(id);
  return id;
}

void ContentFiles::settle(uint64_t id) {
  const std::lock_guard lock(mutex_);
  in_flight_.erase(id);
}

Index::Watermarks ContentFiles::watermarks() const {
  const std::lock_guard lock(mutex_);
  return {next_id_, in_flight_.empty() ? next_id_ : *in_flight_.begin()};
}

std::string ContentFiles::directory_of(uint64_t id) const {
  return directory_ + "/" + hex16(id).substr(0, 13);
}

std::string ContentFiles::path(uint64_t id) const {
  return directory_of(id) + "/" + hex16(id);
}

StoreResult<int> ContentFiles::create(uint64_t id) {
  const std::string file = path(id);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  int descriptor = ::open(file.c_str(), kFlags, 0600);
  if (descriptor < 0 && errno == ENOENT) {
    if (::mkdir(directory_of(id).c_str(), 0700) != 0 && errno != EEXIST) {
      return disk_error("the object store cannot make a directory");
    }
    if (auto ok = sync_directory(directory_); !ok) return refuse(ok.error());
    descriptor = ::open(file.c_str(), kFlags, 0600);
  }
  if (descriptor < 0) return disk_error("the object store cannot make a file");
  return descriptor;
}

StoreStatus ContentFiles::sync(uint64_t id, int descriptor) {
  if (::fdatasync(descriptor) != 0) return disk_error("the object store cannot sync");
  return sync_directory(directory_of(id));
}

void ContentFiles::discard(uint64_t id) {
  if (::unlink(path(id).c_str()) == 0) (void)sync_directory(directory_of(id));
  settle(id);
}

void ContentFiles::pin(const std::vector<uint64_t>& ids) {
  const std::lock_guard lock(mutex_);
  for (const uint64_t id : ids) ++pins_[id];
}

void ContentFiles::unpin(const std::vector<uint64_t>& ids) {
  const std::lock_guard lock(mutex_);
  for (const uint64_t id : ids) {
    const auto it = pins_.find(id);
    if (it == pins_.end() || --it->second > 0) continue;
    pins_.erase(it);
    if (doomed_.erase(id) > 0) remove(id);
  }
}

void ContentFiles::doom(const std::vector<uint64_t>& ids) {
  const std::lock_guard lock(mutex_);
  for (const uint64_t id : ids) {
    if (pins_.count(id) > 0) {
      doomed_.insert(id);
    } else {
      remove(id);
    }
  }
}

void ContentFiles::remove(uint64_t id) {
  // A file that cannot be removed now stays garbage in the index and is tried again at the next start.
  if (::unlink(path(id).c_str()) == 0 || errno == ENOENT) removed_.push_back(id);
}

std::vector<uint64_t> ContentFiles::take_removed(size_t count_min) {
  std::vector<uint64_t> removed;
  {
    const std::lock_guard lock(mutex_);
    if (removed_.size() < count_min) return {};
    removed.swap(removed_);
  }
  std::set<std::string> directories;
  for (const uint64_t id : removed) directories.insert(directory_of(id));
  for (const std::string& directory : directories) {
    std::error_code ignored;
    if (std::filesystem::exists(directory, ignored) && !sync_directory(directory)) return {};
  }
  return removed;
}

std::vector<uint64_t> ContentFiles::scan(uint64_t from) const {
  std::vector<uint64_t> ids;
  std::error_code error;
  for (const auto& directory : std::filesystem::directory_iterator(directory_, error)) {
    const std::string name = directory.path().filename().string();
    const uint64_t first = std::strtoull(name.c_str(), nullptr, 16) * kFilesPerDirectory;
    if (first + kFilesPerDirectory <= from) continue;
    std::error_code inner;
    for (const auto& file : std::filesystem::directory_iterator(directory.path(), inner)) {
      const std::string file_name = file.path().filename().string();
      char* end = nullptr;
      const uint64_t id = std::strtoull(file_name.c_str(), &end, 16);
      if (file_name.size() == 16 && *end == '\0' && id >= from) ids.push_back(id);
    }
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

void ContentFiles::raise_next_id(uint64_t at_least) {
  const std::lock_guard lock(mutex_);
  next_id_ = std::max(next_id_, at_least);
}

}  // namespace fleetward::lake
