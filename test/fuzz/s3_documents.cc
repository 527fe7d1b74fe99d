#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/s3/documents.h"

// The XML that S3 clients send. The first byte chooses the document.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward::api::s3;  // NOLINT
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr int kPartsMax = 10;
  switch (data[0] % 5) {
    case 0:
      if (const auto document = parse_delete_document(text)) {
        if (document->entries.empty() || document->entries.size() > kDeleteKeysMax) std::abort();
      }
      break;
    case 1:
      if (const auto parts = parse_complete_document(text, kPartsMax)) {
        for (const auto& part : *parts) {
          if (part.number < 1 || part.number > kPartsMax || part.etag.empty()) std::abort();
        }
      }
      break;
    case 2:
      (void)parse_tagging_document(text);
      break;
    case 3:
      (void)parse_create_bucket_document(text);
      break;
    default:
      (void)parse_versioning_document(text);
  }
  return 0;
}
