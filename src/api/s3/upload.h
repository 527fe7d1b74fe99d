#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/s3/request.h"

// What a request brings into the store: the object's headers and its bytes.
namespace fleetward::api::s3 {

// Content headers, x-amz-meta-*, x-amz-tagging. Refuses by name what this server does not do (encryption,
// storage classes, object lock, ACLs).
ApiResult<lake::ObjectAttributes> read_attributes(const http::Headers& headers);

// The checksum that a request announces in x-amz-checksum-*, x-amz-trailer or (`named`) the algorithm header.
struct AnnouncedChecksum {
  lake::ChecksumAlgorithm algorithm = lake::ChecksumAlgorithm::kNone;
  std::string value;  // from a header; empty if it comes in the trailer
  bool in_trailer = false;
};
ApiResult<AnnouncedChecksum> announced_checksum(const http::Headers& headers);
// x-amz-checksum-algorithm, x-amz-sdk-checksum-algorithm; kNone if absent.
ApiResult<lake::ChecksumAlgorithm> named_algorithm(const http::Headers& headers, std::string_view header);

// PutObject or UploadPart: takes the bytes of the object as they come, then makes them its. Everything that
// can be refused without them was refused when it was begun.
class Upload {
 public:
  virtual ~Upload() = default;
  ApiStatus append(std::string_view bytes);
  // All bytes were appended.
  ApiResponse finish(const http::Headers& trailers);

 protected:
  Upload(const Environment& environment, const Request& request)
      : environment_(environment), request_(request) {}
  // Checks what the request says of its bytes and opens the store for them. `also`: a checksum to compute
  // besides the one announced, or instead of it, if none is (kNone: nothing).
  ApiStatus open(lake::ChecksumAlgorithm also);
  virtual ApiResponse store(std::unique_ptr<lake::ContentWriter> content, lake::ExpectedDigests expected) = 0;

  const Environment& environment_;
  const Request& request_;  // both outlive the upload

 private:
  AnnouncedChecksum announced_;
  std::unique_ptr<lake::ContentWriter> content_;
};
using BeginUpload = ApiResult<std::unique_ptr<Upload>> (*)(const Environment& environment, Request& request);
ApiResult<std::unique_ptr<Upload>> begin_put_object(const Environment& environment, Request& request);
ApiResult<std::unique_ptr<Upload>> begin_upload_part(const Environment& environment, Request& request);
// The whole of it, with the body that the request has.
ApiResponse run_upload(BeginUpload begin, const Environment& environment, Request& request);

// Streams a range of an object into the store.
ApiResult<std::unique_ptr<lake::ContentWriter>> copy_bytes(
    const Environment& environment, lake::ObjectReader& source, uint64_t offset, uint64_t size,
    const std::vector<lake::ChecksumAlgorithm>& algorithms);

// The whole body of a request whose body is a document; Content-MD5 and announced checksums are verified.
// `digest_required`: InvalidRequest without one of them.
ApiResult<std::string> receive_document(Request& request, bool digest_required = false);

// "x-amz-checksum-crc32" and the like.
std::string checksum_header(lake::ChecksumAlgorithm algorithm);
void add_checksum_headers(const lake::Checksum& checksum, http::Headers& headers);
// "ChecksumCRC32" and the like.
std::string checksum_element(lake::ChecksumAlgorithm algorithm);
std::string_view to_string(lake::ChecksumType type);

}  // namespace fleetward::api::s3
