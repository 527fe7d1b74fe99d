#include "core/high_water.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "core/files.h"
#include "core/text.h"

namespace fleetward {
namespace {

constexpr size_t kDigits = 20;

// The number twice: a damaged file does not pass for a smaller number.
std::string text_of(uint64_t value) {
  char text[2 * kDigits + 3];
  std::snprintf(text, sizeof text, "%020llu %020llu\n", static_cast<unsigned long long>(value),
                static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

HighWater::~HighWater() {
  close();
}

void HighWater::close() {
  if (descriptor_ < 0) return;
  ::fdatasync(descriptor_);
  ::close(descriptor_);
  descriptor_ = -1;
}

Status HighWater::read(std::string path) {
  path_ = std::move(path);
  value_.reset();
  const auto text = read_file(path_);
  if (!text && text.error().code == ErrorCode::kNotFound) return {};
  if (!text) return fail(text.error());
  const auto number = parse_number<uint64_t>(std::string_view(*text).substr(0, kDigits));
  if (!number || *text != text_of(*number)) return fail(ErrorCode::kCorrupt, path_ + ": damaged");
  value_ = *number;
  return {};
}

Status HighWater::open(uint64_t value) {
  close();
  if (auto written = write_file(path_, text_of(value), 0600); !written) return written;
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0) return fail(ErrorCode::kUnavailable, path_ + ": " + std::strerror(errno));
  value_ = value;
  return {};
}

void HighWater::raise(uint64_t value) {
  value_ = value;
  if (descriptor_ < 0) return;
  const std::string text = text_of(value);
  if (::pwrite(descriptor_, text.data(), text.size(), 0) < 0) return;
}

}  // namespace fleetward
