#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "http/message.h"

namespace fleetward::http {

// Gathers a body as it arrives: in memory up to `memory_max`, then in an unlinked temporary file of
// `directory`, which dies with the Body. One thread.
class BodySpool {
 public:
  BodySpool(std::string directory, size_t memory_max);
  ~BodySpool();
  BodySpool(const BodySpool&) = delete;
  BodySpool& operator=(const BodySpool&) = delete;

  // kUnavailable if the disk refuses.
  Status append(std::string_view bytes);
  uint64_t size() const { return size_; }
  // Once.
  std::unique_ptr<Body> finish();

 private:
  Status open_file();

  std::string directory_;
  size_t memory_max_;
  std::string memory_;
  int file_ = -1;
  uint64_t size_ = 0;
};

}  // namespace fleetward::http
