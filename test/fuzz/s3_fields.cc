#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/s3/address.h"
#include "api/s3/fields.h"

// Header values, query values and addresses of S3 requests.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward::api::s3;  // NOLINT
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const uint64_t object_size = data[0];
  if (const auto range = parse_range(text, object_size); range && *range) {
    if ((*range)->size == 0 || (*range)->offset + (*range)->size > object_size) std::abort();
  }
  if (const auto range = parse_copy_range(text, object_size)) {
    if (range->size == 0 || range->offset + range->size > object_size) std::abort();
  }
  if (const auto source = parse_copy_source(text)) {
    if (source->bucket.empty() || source->key.empty()) std::abort();
  }
  (void)parse_http_date(text);
  (void)parse_etags(text);
  (void)parse_tagging_header(text);
  (void)parse_integer(text, INT64_MIN, INT64_MAX);
  (void)stored_content_encoding(text);
  const size_t half = text.size() / 2;
  (void)parse_address(text.substr(0, half), text.substr(half), {"localhost", "s3.localhost"});
  return 0;
}
