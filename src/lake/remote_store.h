#pragma once

#include <memory>
#include <string>

#include "core/metrics.h"
#include "core/time.h"
#include "lake/sink.h"

namespace fleetward::lake {

// An S3 outside this program: AWS, MinIO, Ceph, another Fleetward.
struct RemoteStoreOptions {
  std::string endpoint;  // "https://s3.eu-west-1.amazonaws.com", "http://minio:9000"; no path
  std::string region = "us-east-1";
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // of temporary credentials; else empty
  bool path_style =
      true;             // "endpoint/bucket/key"; else "bucket.endpoint/key" (not for dotted names on https)
  std::string ca_file;  // PEM; empty: the system's
  Duration connect_timeout{5'000};
  Duration request_timeout{60'000};  // of one attempt, whole
  // Below this rate for `request_timeout`/4 an attempt is given up.
  int bytes_per_second_min = 1024;
  int attempts_max = 3;  // of one put, while the error may pass
  Duration first_backoff{200};
  size_t object_bytes_max = size_t{512} << 20;
};

// Uploads with one signed PUT each (libcurl; connections are kept and reused). Thread safe; puts of several
// threads run at the same time.
class RemoteStore final : public Sink {
 public:
  // kInvalidArgument if the options make no sense (endpoint, empty keys, bounds).
  static Result<std::unique_ptr<RemoteStore>> create(RemoteStoreOptions options, Metrics& metrics);
  ~RemoteStore() override;

  Status put(const Object& object) override;
  Result<std::shared_ptr<const identity::PolicyDocument>> bucket_policy(const std::string&) override {
    return nullptr;
  }
  uint64_t buckets_version() const override { return 0; }
  // HEAD of the bucket: does it exist, may we, can we reach it? For start-up checks and /health.
  Status check_bucket(const std::string& bucket);

 private:
  struct Impl;
  explicit RemoteStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetward::lake
