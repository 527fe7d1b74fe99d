#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"
#include "lake/object_store.h"

namespace fleetward::lake {

// Where whole objects go, without reading back: this server's own store or an S3 outside. Repeating a put
// with the same name and bytes leaves the same object. Thread safe; blocks.
class Sink {
 public:
  struct Object {
    std::string bucket;
    std::string key;
    std::string content_type;      // empty: "application/octet-stream"
    std::string content_encoding;  // empty: none
    std::string_view bytes;        // must outlive the call
  };

  virtual ~Sink() = default;
  // kNotFound: no such bucket; kPermissionDenied, kUnauthenticated: refused by the store; kInvalidArgument
  // and kLimitExceeded: will never succeed as it is; kThrottled, kUnavailable: try again. The message is for
  // a person and names the store's own error.
  virtual Status put(const Object& object) = 0;
  // The policy of a bucket, for whoever decides in the bucket's place what a role may put there. Null: there
  // is none, or the store outside asks its own. kUnavailable, kCorrupt.
  virtual Result<std::shared_ptr<const identity::PolicyDocument>> bucket_policy(
      const std::string& bucket) = 0;
  // Rises when a bucket or the policy of one changed, so that what was refused may succeed now. Cheap.
  virtual uint64_t buckets_version() const = 0;
};

class LocalSink final : public Sink {
 public:
  explicit LocalSink(ObjectStore& store) : store_(store) {}
  Status put(const Object& object) override;
  Result<std::shared_ptr<const identity::PolicyDocument>> bucket_policy(const std::string& bucket) override;
  uint64_t buckets_version() const override { return store_.buckets_version(); }

 private:
  ObjectStore& store_;
};

}  // namespace fleetward::lake
