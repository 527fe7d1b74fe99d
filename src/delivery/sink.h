#pragma once

#include <string_view>

#include "core/result.h"

namespace fleetward::delivery {

// One whole object to store. Views live for the call.
struct ObjectUpload {
  std::string_view bucket;
  std::string_view key;
  std::string_view body;
  std::string_view content_type;      // "application/octet-stream"
  std::string_view content_encoding;  // empty: none
};

// Where delivery streams put their objects: the local object store or an outside S3. Thread safe; may block.
class ObjectSink {
 public:
  virtual ~ObjectSink() = default;
  // Replaces the object if the key exists. Success: the object is durable. kNotFound: no such bucket;
  // kPermissionDenied: the store refuses; kUnavailable: not reached or no room, and the outcome may be
  // unknown. All are tried again, with the same bytes under the same key.
  virtual Status put(const ObjectUpload& object) = 0;
};

}  // namespace fleetward::delivery
