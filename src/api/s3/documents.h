#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/s3/errors.h"
#include "lake/object_store.h"

// The XML documents that clients send. Pure. Bounds: kDocumentBytesMax, and those of each document.
namespace fleetward::api::s3 {

// A CompleteMultipartUpload of 10,000 parts with SHA-256 checksums takes about 2 MiB.
inline constexpr size_t kDocumentBytesMax = size_t{4} << 20;
inline constexpr size_t kDeleteKeysMax = 1000;

struct DeleteDocument {
  struct Entry {
    std::string key;
    std::string version_id;
    std::string etag;  // without quotes; empty: no condition
  };
  std::vector<Entry> entries;
  bool quiet = false;
};
ApiResult<DeleteDocument> parse_delete_document(std::string_view text);

ApiResult<std::vector<lake::CompletedPart>> parse_complete_document(std::string_view text, int parts_max);

ApiResult<std::vector<lake::Tag>> parse_tagging_document(std::string_view text);
std::string tagging_document(const std::vector<lake::Tag>& tags);

struct CreateBucketDocument {
  std::string location;  // empty: not given
  std::vector<lake::Tag> tags;
};
// An empty text is an empty document. NotImplemented for directory buckets.
ApiResult<CreateBucketDocument> parse_create_bucket_document(std::string_view text);

// "Enabled" or "Suspended".
ApiResult<std::string> parse_versioning_document(std::string_view text);
// "BucketOwnerEnforced", "BucketOwnerPreferred" or "ObjectWriter".
ApiResult<std::string> parse_ownership_document(std::string_view text);
// "BucketOwner" or "Requester".
ApiResult<std::string> parse_request_payment_document(std::string_view text);
// Does the root, which must be `root`, hold no elements?
ApiResult<bool> is_empty_document(std::string_view text, std::string_view root);

}  // namespace fleetward::api::s3
