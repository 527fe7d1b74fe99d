#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/time.h"
#include "identity/policy.h"
#include "lake/checksum.h"
#include "lake/errors.h"

// The object store as the rest of the program sees it: buckets and objects with S3's meaning, without S3's
// wire.
namespace fleetward::lake {

struct Tag {
  std::string key;
  std::string value;
  bool operator==(const Tag&) const = default;
};

// Bounds of what clients can make the store keep. S3's own numbers unless said otherwise.
struct StoreLimits {
  size_t buckets_max = 1000;
  uint64_t put_bytes_max = uint64_t{5} << 30;     // one PUT or one part
  uint64_t object_bytes_max = uint64_t{5} << 40;  // after CompleteMultipartUpload
  uint64_t part_bytes_min = uint64_t{5} << 20;    // all parts but the last
  int parts_max = 10'000;
  size_t uploads_open_max = 10'000;  // of the store; ours
  size_t key_bytes_max = 1024;
  size_t user_metadata_bytes_max = 2048;   // names and values
  size_t content_header_bytes_max = 4096;  // each of Content-Type, Cache-Control, ...; ours
  size_t object_tags_max = 10;
  size_t bucket_tags_max = 50;
  size_t policy_bytes_max = 20 * 1024;
  size_t page_max = 1000;  // entries of one listing
};

struct BucketInfo {
  std::string name;
  Timestamp created;
  std::string region;  // as created
};

// What a client says of an object beside its bytes.
struct ObjectAttributes {
  std::string content_type, content_encoding, content_disposition, content_language, cache_control, expires;
  std::string website_redirect;  // kept and answered, nothing more
  std::vector<std::pair<std::string, std::string>>
      user;  // "x-amz-meta-" names without that prefix, lower case
  std::vector<Tag> tags;
};

struct ObjectInfo {
  std::string key;
  uint64_t version = 0;  // of this store; rises with every write
  uint64_t size = 0;
  std::string etag;  // without quotes: 32 hex digits, or "<32 hex>-<parts>"
  Timestamp modified;
  int parts = 0;  // 0: written by one PUT
  Checksum checksum;
  ObjectAttributes attributes;
};

// If-Match and friends. ETags without quotes; "*" matches any object.
struct Conditions {
  std::optional<std::vector<std::string>> if_match, if_none_match;
  std::optional<Timestamp> if_modified_since, if_unmodified_since;  // compared by the second
  bool empty() const { return !if_match && !if_none_match && !if_modified_since && !if_unmodified_since; }
};
// As RFC 9110 13.2.2 orders them, for a read of an object that exists: kPreconditionFailed or kNotModified.
StoreStatus check_read_conditions(const Conditions& conditions, const ObjectInfo& info);

// What the client said the body is; checked before anything is kept.
struct ExpectedDigests {
  std::string md5_base64;  // Content-MD5; empty: not said
  Checksum checksum;       // kNone: not said
};

// Bytes on their way into the store. Small bodies stay in memory, larger ones go to a file of the store that
// no index entry names yet. Destroyed without having been handed to put() or put_part(), it leaves nothing
// behind. Used by one thread at a time.
class ContentWriter {
 public:
  virtual ~ContentWriter() = default;
  // kEntityTooLarge over StoreLimits::put_bytes_max; kUnavailable if the disk refuses.
  virtual StoreStatus append(std::string_view bytes) = 0;
  virtual uint64_t size() const = 0;
};

struct PutRequest {
  ObjectAttributes attributes;
  ExpectedDigests expected;
  Conditions conditions;  // if_match, if_none_match only
};

// An object's bytes as they were when it was opened, whatever happens to the object since. Used by one thread
// at a time.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  virtual const ObjectInfo& info() const = 0;
  // The place of part `number` (from 1) in the object. A one-PUT object is its own part 1. kPartNumber.
  struct Span {
    uint64_t offset = 0;
    uint64_t size = 0;
    std::string checksum;  // base64, of the object's algorithm; empty if none is known
  };
  virtual StoreResult<Span> part(int number) const = 0;
  // Up to `count` bytes at `offset`; fewer only at a part's or the object's end, none at the end.
  virtual StoreResult<std::string> read(uint64_t offset, size_t count) = 0;
};

struct ListQuery {
  std::string prefix;
  std::string delimiter;  // empty: none
  // Only keys after this one. If it is itself a common prefix of this query, the keys under it are left out.
  std::string after;
  size_t max = 1000;  // entries, objects and common prefixes together; bounded by StoreLimits::page_max
};
struct ObjectSummary {
  std::string key;
  uint64_t size = 0;
  std::string etag;
  Timestamp modified;
  ChecksumAlgorithm checksum_algorithm = ChecksumAlgorithm::kNone;
  ChecksumType checksum_type = ChecksumType::kFullObject;
};
struct ObjectPage {
  std::vector<ObjectSummary> objects;        // in byte order
  std::vector<std::string> common_prefixes;  // in byte order
  bool truncated = false;
  std::string last;  // the greatest entry of this page, to go on `after` it; empty page: empty
};

struct UploadRequest {
  ObjectAttributes attributes;
  ChecksumAlgorithm checksum_algorithm = ChecksumAlgorithm::kNone;
  ChecksumType checksum_type = ChecksumType::kComposite;
};
struct UploadInfo {
  std::string id;
  std::string key;
  Timestamp initiated;
  ChecksumAlgorithm checksum_algorithm = ChecksumAlgorithm::kNone;
  ChecksumType checksum_type = ChecksumType::kComposite;
};
struct UploadQuery {
  std::string prefix, delimiter;
  std::string key_after, upload_after;  // as S3's key-marker and upload-id-marker
  size_t max = 1000;
};
struct UploadPage {
  std::vector<UploadInfo> uploads;
  std::vector<std::string> common_prefixes;
  bool truncated = false;
  std::string last_key, last_upload;
};
struct PartInfo {
  int number = 0;
  uint64_t size = 0;
  std::string etag;
  Timestamp modified;
  Checksum checksum;
};
struct PartPage {
  UploadInfo upload;
  std::vector<PartInfo> parts;
  bool truncated = false;
  int last_number = 0;
};
struct CompletedPart {
  int number = 0;
  std::string etag;   // without quotes
  Checksum checksum;  // kNone: not said
};
struct CompleteRequest {
  std::vector<CompletedPart> parts;
  Checksum expected;                          // of the whole object; kNone: not said
  std::optional<ChecksumType> expected_type;  // kInvalidRequest if the upload was begun otherwise
  std::optional<uint64_t> expected_size;
  Conditions conditions;
};

// Thread safe; calls block on the disk. A change is durable when the call returns, and seen by every later
// read and listing. Changes of one key are applied in some order, conditions are checked in the same step as
// the change.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  virtual const StoreLimits& limits() const = 0;

  // Rises with every change of a bucket itself: created, deleted, its policy set. Cheap.
  virtual uint64_t buckets_version() const = 0;
  virtual StoreStatus create_bucket(const std::string& name, const std::string& region,
                                    std::vector<Tag> tags) = 0;
  virtual StoreStatus delete_bucket(const std::string& name) = 0;
  virtual StoreResult<BucketInfo> bucket(const std::string& name) = 0;
  // Names after `after` that start with `prefix`, in order.
  virtual StoreResult<std::vector<BucketInfo>> buckets(const std::string& prefix, const std::string& after,
                                                       size_t max) = 0;
  // kNoSuchBucketPolicy if there is none.
  virtual StoreResult<std::shared_ptr<const identity::PolicyDocument>> bucket_policy(
      const std::string& name) = 0;
  // Empty text removes it. kMalformedPolicy.
  virtual StoreStatus set_bucket_policy(const std::string& name, const std::string& text) = 0;
  virtual StoreResult<std::vector<Tag>> bucket_tags(const std::string& name) = 0;
  virtual StoreStatus set_bucket_tags(const std::string& name, std::vector<Tag> tags) = 0;

  // `algorithms`: the checksums to compute while the bytes pass (MD5 always is). kEntityTooLarge at once if
  // `expected_size` is over the bound.
  virtual StoreResult<std::unique_ptr<ContentWriter>> begin_content(
      const std::vector<ChecksumAlgorithm>& algorithms, std::optional<uint64_t> expected_size) = 0;
  virtual StoreResult<ObjectInfo> put(const std::string& bucket, const std::string& key,
                                      std::unique_ptr<ContentWriter> content, PutRequest request) = 0;
  virtual StoreResult<ObjectInfo> head(const std::string& bucket, const std::string& key) = 0;
  virtual StoreResult<std::unique_ptr<ObjectReader>> open(const std::string& bucket,
                                                          const std::string& key) = 0;
  // True if there was such an object. Conditions: if_match.
  virtual StoreResult<bool> erase(const std::string& bucket, const std::string& key,
                                  const Conditions& conditions = {}) = 0;
  // All in one step; absent keys are fine. Answers how many there were.
  virtual StoreResult<size_t> erase_many(const std::string& bucket, const std::vector<std::string>& keys) = 0;
  virtual StoreStatus set_object_tags(const std::string& bucket, const std::string& key,
                                      std::vector<Tag> tags) = 0;
  virtual StoreResult<ObjectPage> list(const std::string& bucket, const ListQuery& query) = 0;

  virtual StoreResult<UploadInfo> begin_upload(const std::string& bucket, const std::string& key,
                                               UploadRequest request) = 0;
  virtual StoreResult<UploadInfo> upload(const std::string& bucket, const std::string& key,
                                         const std::string& upload_id) = 0;
  virtual StoreResult<PartInfo> put_part(const std::string& bucket, const std::string& key,
                                         const std::string& upload_id, int number,
                                         std::unique_ptr<ContentWriter> content,
                                         ExpectedDigests expected) = 0;
  virtual StoreResult<PartPage> list_parts(const std::string& bucket, const std::string& key,
                                           const std::string& upload_id, int after, size_t max) = 0;
  // The parts of an object that was uploaded in parts (GetObjectAttributes).
  virtual StoreResult<std::vector<PartInfo>> object_parts(const std::string& bucket, const std::string& key,
                                                          int after, size_t max) = 0;
  virtual StoreResult<ObjectInfo> complete_upload(const std::string& bucket, const std::string& key,
                                                  const std::string& upload_id, CompleteRequest request) = 0;
  virtual StoreStatus abort_upload(const std::string& bucket, const std::string& key,
                                   const std::string& upload_id) = 0;
  virtual StoreResult<UploadPage> list_uploads(const std::string& bucket, const UploadQuery& query) = 0;
};

// 3..63 of [a-z0-9.-] and S3's other rules. kInvalidBucketName.
StoreStatus check_bucket_name(std::string_view name);
// 1..key_bytes_max bytes of UTF-8. kKeyTooLong, kInvalidArgument.
StoreStatus check_key(std::string_view key, const StoreLimits& limits);
// Keys 1..128, values 0..256, no key twice, none that starts with "aws:". kInvalidTag.
StoreStatus check_tags(const std::vector<Tag>& tags, size_t count_max);

}  // namespace fleetward::lake
