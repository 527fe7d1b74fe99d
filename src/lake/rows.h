#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lake/database.h"
#include "lake/local_content.h"
#include "lake/object_store.h"

// The index's rows as values, and back.
namespace fleetward::lake {

std::string encode_tags(const std::vector<Tag>& tags);
std::vector<Tag> decode_tags(std::string_view text);
// `upload`: the id of the upload that made the object, so that a repeated CompleteMultipartUpload is seen.
std::string encode_attributes(const ObjectAttributes& attributes, std::string_view upload);
ObjectAttributes decode_attributes(std::string_view text, std::string* upload = nullptr);

struct ObjectRow {
  ObjectInfo info;
  ContentRef content;
  std::string upload;
};
std::optional<ObjectRow> find_object(Connection& db, int64_t bucket, std::string_view key);
// Replaces the row of the key, if any.
void insert_object(Connection& db, int64_t bucket, const ObjectRow& row);

struct PartRow {
  int number = 0;
  uint64_t size = 0;
  std::string md5;       // raw
  std::string checksum;  // raw, of the upload's algorithm; empty if none
  Timestamp modified;
  ContentRef content;
};
// A row of "SELECT number, size, md5, checksum, modified_ms, content, inlined".
PartRow read_part(const Statement& row);
PartInfo to_info(const PartRow& part, ChecksumAlgorithm algorithm);

// The row's id; nullopt if there is no such bucket.
std::optional<int64_t> find_bucket(Connection& db, std::string_view name);
tl::unexpected<StoreError> no_such_bucket(std::string_view name);

// The least byte string greater than every string that starts with `prefix`; nullopt if there is none.
std::optional<std::string> after_prefix(std::string prefix);

}  // namespace fleetward::lake
