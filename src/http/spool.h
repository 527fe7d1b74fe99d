#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "http/message.h"

namespace fleetward::http {

// A body that is all in memory.
std::unique_ptr<Body> memory_body(std::string bytes);

// A body too large for memory, as it arrives: an unlinked temporary file of `directory`, which dies with the
// Body. One thread.
class BodySpool {
 public:
  explicit BodySpool(std::string directory);
  ~BodySpool();
  BodySpool(const BodySpool&) = delete;
  BodySpool& operator=(const BodySpool&) = delete;

  // kUnavailable if the disk refuses.
  Status append(std::string_view bytes);
  // Once.
  std::unique_ptr<Body> finish();

 private:
  Status open_file();

  std::string directory_;
  int file_ = -1;
  uint64_t size_ = 0;
};

}  // namespace fleetward::http
