#include "api/s3/fields.h"
#include "api/s3/operations.h"
#include "api/s3/upload.h"
#include "api/s3/xml.h"

namespace fleetward::api::s3 {
namespace {

constexpr uint64_t kCopyBytesMax = uint64_t{5} << 30;

// The source, once the caller may read it and the x-amz-copy-source-if-* conditions hold.
ApiResult<std::unique_ptr<lake::ObjectReader>> open_source(const Environment& environment, Request& request,
                                                           const CopySource& source) {
  auto allowed = environment.access.check(request.http, "s3:GetObject", source.bucket, source.key);
  if (!allowed) return tl::unexpected(allowed.error());
  if (auto ok = check_version_id(source.version_id); !ok) return tl::unexpected(ok.error());
  auto reader = environment.store.open(source.bucket, source.key);
  if (!reader) return store_fail(reader.error());
  const auto conditions = parse_conditions(request.http.headers, "x-amz-copy-source-");
  // Unlike a GET, a copy knows no "not modified": every condition that does not hold is a failed one.
  if (!lake::check_read_conditions(conditions, (*reader)->info())) {
    return s3_fail("PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
  }
  return std::move(*reader);
}

// COPY (the default) or REPLACE.
ApiResult<bool> replaces(const Request& request, std::string_view header) {
  const std::string value = request.header(header);
  if (value.empty() || value == "COPY") return false;
  if (value == "REPLACE") return true;
  return s3_fail("InvalidArgument", "Unknown metadata directive.");
}

ApiResult<lake::ObjectAttributes> copied_attributes(const Request& request, const lake::ObjectInfo& source,
                                                    bool same_object) {
  auto given = read_attributes(request.http.headers);
  if (!given) return tl::unexpected(given.error());
  const auto replace_metadata = replaces(request, "x-amz-metadata-directive");
  if (!replace_metadata) return tl::unexpected(replace_metadata.error());
  const auto replace_tags = replaces(request, "x-amz-tagging-directive");
  if (!replace_tags) return tl::unexpected(replace_tags.error());
  if (same_object && !*replace_metadata && !*replace_tags) {
    return s3_fail(
        "InvalidRequest",
        "This copy request is illegal because it is trying to copy an object to itself without changing "
        "the object's metadata, storage class, website redirect location or encryption attributes.");
  }
  lake::ObjectAttributes attributes = *replace_metadata ? *given : source.attributes;
  attributes.website_redirect = given->website_redirect;  // never copied
  attributes.tags = *replace_tags ? given->tags : source.attributes.tags;
  return attributes;
}

std::string copy_result(const char* root, const std::string& etag, Timestamp modified,
                        const lake::Checksum& checksum) {
  XmlWriter xml(root);
  xml.text("LastModified", to_iso8601(modified));
  xml.text("ETag", quoted(etag));
  if (!checksum.value.empty()) {
    xml.text(checksum_element(checksum.algorithm), checksum.value);
    xml.text("ChecksumType", to_string(checksum.type));
  }
  return xml.finish();
}

}  // namespace

ApiResponse copy_object(const Environment& environment, Request& request) {
  const auto source = parse_copy_source(request.header("x-amz-copy-source"));
  if (!source) return tl::unexpected(source.error());
  auto reader = open_source(environment, request, *source);
  if (!reader) return tl::unexpected(reader.error());
  const lake::ObjectInfo& info = (*reader)->info();
  if (info.size > kCopyBytesMax) {
    return s3_fail("InvalidRequest",
                   "The specified copy source is larger than the maximum allowable size for a "
                   "copy source: 5368709120");
  }
  const bool same = source->bucket == request.bucket() && source->key == request.key();
  auto attributes = copied_attributes(request, info, same);
  if (!attributes) return tl::unexpected(attributes.error());
  auto algorithm = named_algorithm(request.http.headers, "x-amz-checksum-algorithm");
  if (!algorithm) return tl::unexpected(algorithm.error());
  if (*algorithm == lake::ChecksumAlgorithm::kNone) *algorithm = info.checksum.algorithm;
  if (*algorithm == lake::ChecksumAlgorithm::kNone) *algorithm = lake::ChecksumAlgorithm::kCrc64Nvme;
  auto content = copy_bytes(environment, **reader, 0, info.size, {*algorithm});
  if (!content) return tl::unexpected(content.error());
  lake::PutRequest put;
  put.attributes = std::move(*attributes);
  put.conditions = parse_conditions(request.http.headers);
  const auto made =
      environment.store.put(request.bucket(), request.key(), std::move(*content), std::move(put));
  if (!made) return store_fail(made.error());
  return xml_response(copy_result("CopyObjectResult", made->etag, made->modified, made->checksum));
}

ApiResponse upload_part_copy(const Environment& environment, Request& request) {
  const auto number = parse_integer(request.query("partNumber"), 1, environment.store.limits().parts_max);
  if (!number)
    return s3_fail("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
  const auto source = parse_copy_source(request.header("x-amz-copy-source"));
  if (!source) return tl::unexpected(source.error());
  auto reader = open_source(environment, request, *source);
  if (!reader) return tl::unexpected(reader.error());
  ByteRange bytes{0, (*reader)->info().size};
  if (const std::string range = request.header("x-amz-copy-source-range"); !range.empty()) {
    const auto parsed = parse_copy_range(range, bytes.size);
    if (!parsed) return tl::unexpected(parsed.error());
    bytes = *parsed;
  }
  const std::string upload_id = request.query("uploadId");
  const auto upload = environment.store.upload(request.bucket(), request.key(), upload_id);
  if (!upload) return store_fail(upload.error());
  auto content = copy_bytes(environment, **reader, bytes.offset, bytes.size, {upload->checksum_algorithm});
  if (!content) return tl::unexpected(content.error());
  const auto part = environment.store.put_part(request.bucket(), request.key(), upload_id,
                                               static_cast<int>(*number), std::move(*content), {});
  if (!part) return store_fail(part.error());
  return xml_response(copy_result("CopyPartResult", part->etag, part->modified, part->checksum));
}

}  // namespace fleetward::api::s3
