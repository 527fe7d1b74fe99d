#include "http/spool.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace fleetward::http {
namespace {

class MemoryBody final : public Body {
 public:
  explicit MemoryBody(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Result<std::string> text() const override { return bytes_; }
  Result<std::string> read(uint64_t position, size_t count) const override {
    if (position >= bytes_.size()) return std::string();
    return bytes_.substr(position, count);
  }

 private:
  std::string bytes_;
};

class FileBody final : public Body {
 public:
  FileBody(int file, uint64_t size) : file_(file), size_(size) {}
  ~FileBody() override { ::close(file_); }
  uint64_t size() const override { return size_; }
  Result<std::string> text() const override {
    if (size_ > kTextBytesMax) return fail(ErrorCode::kLimitExceeded, "the body is too large");
    return read(0, size_);
  }
  Result<std::string> read(uint64_t position, size_t count) const override {
    if (position >= size_) return std::string();
    std::string out(static_cast<size_t>(std::min<uint64_t>(count, size_ - position)), '\0');
    for (size_t done = 0; done < out.size();) {
      const ssize_t n =
          ::pread(file_, out.data() + done, out.size() - done, static_cast<off_t>(position + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return fail(ErrorCode::kUnavailable, "cannot read back a request's body");
      done += static_cast<size_t>(n);
    }
    return out;
  }

 private:
  int file_;
  uint64_t size_;
};

}  // namespace

std::unique_ptr<Body> memory_body(std::string bytes) {
  return std::make_unique<MemoryBody>(std::move(bytes));
}

BodySpool::BodySpool(std::string directory) : directory_(std::move(directory)) {}

BodySpool::~BodySpool() {
  if (file_ >= 0) ::close(file_);
}

Status BodySpool::open_file() {
  const std::string directory = directory_.empty() ? "/tmp" : directory_;
  file_ = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file_ >= 0) return {};
  // Some file systems have no O_TMPFILE.
  std::string path = directory + "/body-XXXXXX";
  file_ = ::mkostemp(path.data(), O_CLOEXEC);
  if (file_ < 0) {
    return fail(ErrorCode::kUnavailable,
                "cannot create a file in " + directory + ": " + std::strerror(errno));
  }
  ::unlink(path.c_str());
  return {};
}

Status BodySpool::append(std::string_view bytes) {
  if (file_ < 0 && !bytes.empty()) {
    if (auto ok = open_file(); !ok) return ok;
  }
  size_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t n = ::write(file_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return fail(ErrorCode::kUnavailable,
                  std::string("cannot write a request's body: ") + std::strerror(errno));
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

std::unique_ptr<Body> BodySpool::finish() {
  if (file_ < 0) return memory_body({});
  const int file = file_;
  file_ = -1;
  return std::make_unique<FileBody>(file, size_);
}

}  // namespace fleetward::http
