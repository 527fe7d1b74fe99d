#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/s3/errors.h"
#include "core/time.h"
#include "http/message.h"
#include "lake/object_store.h"

// Values of header fields and query parameters. Pure.
namespace fleetward::api::s3 {

// RFC 9110's three date forms; nullopt if it is none of them.
std::optional<Timestamp> parse_http_date(std::string_view text);

// `"a", W/"b", *` or a bare value; without quotes.
std::vector<std::string> parse_etags(std::string_view text);
std::string strip_quotes(std::string_view etag);

// If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, each with `prefix` before its name.
lake::Conditions parse_conditions(const http::Headers& headers, std::string_view prefix = {});

struct ByteRange {
  uint64_t offset = 0;
  uint64_t size = 0;
};
// A Range header against an object's size: nullopt if it is absent in effect (malformed, several ranges, not
// bytes); InvalidRange if it cannot be satisfied.
ApiResult<std::optional<ByteRange>> parse_range(std::string_view text, uint64_t object_size);
// x-amz-copy-source-range: "bytes=first-last", both given and inside the source.
ApiResult<ByteRange> parse_copy_range(std::string_view text, uint64_t object_size);

struct CopySource {
  std::string bucket;
  std::string key;
  std::string version_id;  // empty: none given
};
// x-amz-copy-source: "[/]bucket/key[?versionId=id]", percent-encoded.
ApiResult<CopySource> parse_copy_source(std::string_view text);

// x-amz-tagging: "a=b&c=d". By key.
ApiResult<std::vector<lake::Tag>> parse_tagging_header(std::string_view text);

// A decimal integer in [min, max] and nothing else.
std::optional<int64_t> parse_integer(std::string_view text, int64_t min, int64_t max);

// A Content-Encoding without "aws-chunked", which is of the transfer and not of the object.
std::string stored_content_encoding(std::string_view text);

}  // namespace fleetward::api::s3
