#include <algorithm>

#include "api/s3/fields.h"
#include "api/s3/operations.h"
#include "api/s3/upload.h"
#include "api/s3/xml.h"

namespace fleetward::api::s3 {
namespace {

constexpr size_t kReadPieceBytes = size_t{256} << 10;

// A request may ask for other content headers in the answer, if it is signed.
struct Override {
  const char* parameter;
  const char* header;
};
constexpr Override kOverrides[] = {
    {"response-content-type", "Content-Type"},
    {"response-content-language", "Content-Language"},
    {"response-expires", "Expires"},
    {"response-cache-control", "Cache-Control"},
    {"response-content-disposition", "Content-Disposition"},
    {"response-content-encoding", "Content-Encoding"},
};

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; });
}

ApiStatus apply_overrides(const Request& request, http::Headers& headers) {
  for (const Override& one : kOverrides) {
    const auto* parameter = request.http.find_query(one.parameter);
    if (parameter == nullptr) continue;
    if (request.http.caller.kind == identity::Caller::Kind::kAnonymous) {
      return s3_fail("InvalidRequest",
                     "Request specific response headers cannot be used for anonymous GET requests.");
    }
    if (has_control_characters(parameter->value)) {
      return s3_fail("InvalidArgument",
                     "The value of " + std::string(one.parameter) + " is not a header value.");
    }
    headers.set(one.header, parameter->value);
  }
  return {};
}

void add_if(http::Headers& headers, const char* name, const std::string& value) {
  if (!value.empty()) headers.add(name, value);
}

// What every answer about an object says of it; 304 has the first four only.
void add_identity_headers(const lake::ObjectInfo& info, http::Headers& headers) {
  headers.add("ETag", quoted(info.etag));
  headers.add("Last-Modified", to_http_date(info.modified));
  headers.add("Accept-Ranges", "bytes");
  add_if(headers, "Cache-Control", info.attributes.cache_control);
}

void add_object_headers(const lake::ObjectInfo& info, http::Headers& headers) {
  add_identity_headers(info, headers);
  const lake::ObjectAttributes& attributes = info.attributes;
  headers.add("Content-Type",
              attributes.content_type.empty() ? "binary/octet-stream" : attributes.content_type);
  add_if(headers, "Content-Encoding", attributes.content_encoding);
  add_if(headers, "Content-Disposition", attributes.content_disposition);
  add_if(headers, "Content-Language", attributes.content_language);
  add_if(headers, "Expires", attributes.expires);
  add_if(headers, "x-amz-website-redirect-location", attributes.website_redirect);
  for (const auto& [name, value] : attributes.user) headers.add("x-amz-meta-" + name, value);
  if (!attributes.tags.empty()) headers.add("x-amz-tagging-count", std::to_string(attributes.tags.size()));
}

// To those who may not list the bucket, whether a key exists is not told.
tl::unexpected<ApiError> missing_key(const Environment& environment, const Request& request,
                                     const lake::StoreError& error) {
  if (error.reason == lake::Reason::kNoSuchKey &&
      !environment.access.check(request.http, "s3:ListBucket", request.bucket(), "")) {
    return s3_fail("AccessDenied", "Access Denied");
  }
  auto failed = store_fail(error);
  failed.value().extra["Key"] = request.key();
  return failed;
}

// The bytes asked for: the whole object, a range or one part. Sets the status and the range headers.
// `checksum` becomes that of the part, or nothing for a range: a checksum of the whole would only mislead.
ApiResult<ByteRange> choose_bytes(const Request& request, const lake::ObjectReader& reader,
                                  http::Response& response, lake::Checksum& checksum) {
  const uint64_t size = reader.info().size;
  ByteRange chosen{0, size};
  const std::string part_text = request.query("partNumber");
  const std::string range_text = request.header("range");
  if (!part_text.empty()) {
    if (!range_text.empty())
      return s3_fail("InvalidRequest", "Cannot specify both Range header and partNumber query parameter");
    const auto number = parse_integer(part_text, 1, 10'000);
    if (!number)
      return s3_fail("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
    const auto span = reader.part(static_cast<int>(*number));
    if (!span) return store_fail(span.error());
    chosen = {span->offset, span->size};
    checksum.value = span->checksum;
    if (reader.info().parts > 0) {
      response.headers.add("x-amz-mp-parts-count", std::to_string(reader.info().parts));
    }
    response.status = 206;
  } else if (!range_text.empty()) {
    const auto range = parse_range(range_text, size);
    if (!range) {
      auto failed = range.error();
      failed.extra["RangeRequested"] = range_text;
      failed.extra["ActualObjectSize"] = std::to_string(size);
      return tl::unexpected(std::move(failed));
    }
    if (*range) {
      chosen = **range;
      response.status = 206;
      if (chosen.size < size) checksum.value.clear();
    }
  }
  if (response.status == 206 && chosen.size > 0) {
    response.headers.add("Content-Range", "bytes " + std::to_string(chosen.offset) + "-" +
                                              std::to_string(chosen.offset + chosen.size - 1) + "/" +
                                              std::to_string(size));
  }
  return chosen;
}

http::BodySource source_of(std::shared_ptr<lake::ObjectReader> reader, ByteRange bytes) {
  return [reader = std::move(reader), bytes]() mutable -> Result<std::string> {
    auto piece =
        reader->read(bytes.offset, static_cast<size_t>(std::min<uint64_t>(bytes.size, kReadPieceBytes)));
    if (!piece) return fail(lake::to_error(piece.error()));
    bytes.offset += piece->size();
    bytes.size -= piece->size();
    return std::move(*piece);
  };
}

ApiResponse answer_object(const Environment& environment, Request& request, bool with_body) {
  if (auto ok = check_version_id(request.query("versionId")); !ok) return tl::unexpected(ok.error());
  auto opened = environment.store.open(request.bucket(), request.key());
  if (!opened) return missing_key(environment, request, opened.error());
  const std::shared_ptr<lake::ObjectReader> reader = std::move(*opened);
  const lake::ObjectInfo& info = reader->info();
  http::Response response;
  const auto conditions = lake::check_read_conditions(parse_conditions(request.http.headers), info);
  if (!conditions && conditions.error().reason == lake::Reason::kNotModified) {
    response.status = 304;
    add_identity_headers(info, response.headers);
    return response;
  }
  if (!conditions) return store_fail(conditions.error());
  lake::Checksum checksum = info.checksum;
  const auto bytes = choose_bytes(request, *reader, response, checksum);
  if (!bytes) return tl::unexpected(bytes.error());
  add_object_headers(info, response.headers);
  if (request.header("x-amz-checksum-mode") == "ENABLED") add_checksum_headers(checksum, response.headers);
  if (auto ok = apply_overrides(request, response.headers); !ok) return tl::unexpected(ok.error());
  response.source_length = bytes->size;
  if (with_body && bytes->size > 0) response.source = source_of(reader, *bytes);
  return response;
}

class PutUpload final : public Upload {
 public:
  PutUpload(const Environment& environment, const Request& request) : Upload(environment, request) {}
  static ApiResult<std::unique_ptr<Upload>> begin(const Environment& environment, Request& request) {
    auto upload = std::make_unique<PutUpload>(environment, request);
    auto attributes = read_attributes(request.http.headers);
    if (!attributes) return tl::unexpected(attributes.error());
    upload->put_.attributes = std::move(*attributes);
    upload->put_.conditions = parse_conditions(request.http.headers);
    const auto announced = announced_checksum(request.http.headers);
    if (!announced) return tl::unexpected(announced.error());
    // S3 computes CRC64NVME for those who send none.
    const bool none = announced->algorithm == lake::ChecksumAlgorithm::kNone;
    auto opened = upload->open(none ? lake::ChecksumAlgorithm::kCrc64Nvme : lake::ChecksumAlgorithm::kNone);
    if (!opened) return tl::unexpected(opened.error());
    return upload;
  }

 private:
  ApiResponse store(std::unique_ptr<lake::ContentWriter> content, lake::ExpectedDigests expected) override {
    put_.expected = std::move(expected);
    const auto info =
        environment_.store.put(request_.bucket(), request_.key(), std::move(content), std::move(put_));
    if (!info) return store_fail(info.error());
    http::Response response;
    response.headers.add("ETag", quoted(info->etag));
    add_checksum_headers(info->checksum, response.headers);
    return response;
  }

  lake::PutRequest put_;
};

}  // namespace

ApiResult<std::unique_ptr<Upload>> begin_put_object(const Environment& environment, Request& request) {
  return PutUpload::begin(environment, request);
}

ApiResponse put_object(const Environment& environment, Request& request) {
  return run_upload(begin_put_object, environment, request);
}

ApiResponse get_object(const Environment& environment, Request& request) {
  return answer_object(environment, request, true);
}

ApiResponse head_object(const Environment& environment, Request& request) {
  return answer_object(environment, request, false);
}

ApiResponse get_object_attributes(const Environment& environment, Request& request) {
  if (auto ok = check_version_id(request.query("versionId")); !ok) return tl::unexpected(ok.error());
  const std::string wanted = "," + request.header("x-amz-object-attributes") + ",";
  const auto asked = [&](std::string_view name) {
    return wanted.find("," + std::string(name) + ",") != std::string::npos;
  };
  if (wanted == ",,") return s3_fail("InvalidArgument", "The header x-amz-object-attributes is missing.");
  const auto info = environment.store.head(request.bucket(), request.key());
  if (!info) return missing_key(environment, request, info.error());
  XmlWriter xml("GetObjectAttributesResponse");
  if (asked("ETag")) xml.text("ETag", info->etag);
  if (asked("Checksum") && !info->checksum.value.empty()) {
    xml.open("Checksum");
    xml.text(checksum_element(info->checksum.algorithm), info->checksum.value);
    xml.text("ChecksumType", to_string(info->checksum.type));
    xml.close("Checksum");
  }
  if (asked("ObjectParts") && info->parts > 0) {
    const auto max = parse_integer(request.header("x-amz-max-parts"), 0, 1000).value_or(1000);
    const auto after = parse_integer(request.header("x-amz-part-number-marker"), 0, 10'000).value_or(0);
    const auto parts = environment.store.object_parts(request.bucket(), request.key(),
                                                      static_cast<int>(after), static_cast<size_t>(max) + 1);
    if (!parts) return store_fail(parts.error());
    const size_t shown = std::min(parts->size(), static_cast<size_t>(max));
    xml.open("ObjectParts");
    xml.number("PartsCount", static_cast<uint64_t>(info->parts));
    xml.number("PartNumberMarker", static_cast<uint64_t>(after));
    if (shown > 0) xml.number("NextPartNumberMarker", static_cast<uint64_t>((*parts)[shown - 1].number));
    xml.number("MaxParts", static_cast<uint64_t>(max));
    xml.boolean("IsTruncated", parts->size() > shown);
    for (size_t i = 0; i < shown; ++i) {
      xml.open("Part");
      xml.number("PartNumber", static_cast<uint64_t>((*parts)[i].number));
      xml.number("Size", (*parts)[i].size);
      if (!(*parts)[i].checksum.value.empty()) {
        xml.text(checksum_element(info->checksum.algorithm), (*parts)[i].checksum.value);
      }
      xml.close("Part");
    }
    xml.close("ObjectParts");
  }
  if (asked("StorageClass")) xml.text("StorageClass", "STANDARD");
  if (asked("ObjectSize")) xml.number("ObjectSize", info->size);
  http::Response response = xml_response(xml.finish());
  response.headers.add("Last-Modified", to_http_date(info->modified));
  return response;
}

}  // namespace fleetward::api::s3
