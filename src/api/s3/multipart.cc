#include "api/s3/documents.h"
#include "api/s3/fields.h"
#include "api/s3/operations.h"
#include "api/s3/upload.h"
#include "api/s3/xml.h"
#include "core/encoding.h"

namespace fleetward::api::s3 {
namespace {

// x-amz-checksum-algorithm and -type of CreateMultipartUpload. Source: S3 User Guide, "Checking object
// integrity": which algorithms go with which type, and the defaults.
ApiResult<lake::UploadRequest> read_upload_request(const http::Headers& headers) {
  using lake::ChecksumAlgorithm;
  using lake::ChecksumType;
  lake::UploadRequest upload;
  const auto algorithm = named_algorithm(headers, "x-amz-checksum-algorithm");
  if (!algorithm) return tl::unexpected(algorithm.error());
  upload.checksum_algorithm = *algorithm;
  const std::string_view type = headers.get("x-amz-checksum-type");
  if (*algorithm == ChecksumAlgorithm::kNone) {
    if (!type.empty()) {
      return s3_fail("InvalidRequest",
                     "The x-amz-checksum-type header can only be used with the "
                     "x-amz-checksum-algorithm header.");
    }
    upload.checksum_algorithm = ChecksumAlgorithm::kCrc64Nvme;
    upload.checksum_type = ChecksumType::kFullObject;
    return upload;
  }
  const bool is_sha = *algorithm == ChecksumAlgorithm::kSha1 || *algorithm == ChecksumAlgorithm::kSha256;
  const bool is_crc64 = *algorithm == ChecksumAlgorithm::kCrc64Nvme;
  if (type.empty()) {
    upload.checksum_type = is_crc64 ? ChecksumType::kFullObject : ChecksumType::kComposite;
  } else if (type == "FULL_OBJECT" && !is_sha) {
    upload.checksum_type = ChecksumType::kFullObject;
  } else if (type == "COMPOSITE" && !is_crc64) {
    upload.checksum_type = ChecksumType::kComposite;
  } else if (type == "FULL_OBJECT" || type == "COMPOSITE") {
    return s3_fail("InvalidRequest", "The " + std::string(type) + " checksum type cannot be used with the " +
                                         std::string(lake::to_string(*algorithm)) + " checksum algorithm.");
  } else {
    return s3_fail("InvalidRequest", "Value for x-amz-checksum-type header is invalid.");
  }
  return upload;
}

std::string location_of(const Environment& environment, const Request& request) {
  const std::string scheme = request.http.tls ? "https://" : "http://";
  const std::string key = percent_encode(request.key(), true);
  const std::string host = request.header("host");
  // Virtual-host style names hold the bucket already.
  if (host.substr(0, request.bucket().size() + 1) == request.bucket() + ".") return scheme + host + "/" + key;
  if (host.empty())
    return "http://" + request.bucket() + ".s3." + environment.scope.region + ".amazonaws.com/" + key;
  return scheme + host + "/" + request.bucket() + "/" + key;
}

void write_person(XmlWriter& xml, const char* element, const AccountScope& scope) {
  xml.open(element);
  xml.text("ID", canonical_user_id(scope));
  xml.text("DisplayName", scope.account.str());
  xml.close(element);
}

void write_checksum_kind(XmlWriter& xml, const lake::UploadInfo& upload) {
  if (upload.checksum_algorithm == lake::ChecksumAlgorithm::kNone) return;
  xml.text("ChecksumAlgorithm", lake::to_string(upload.checksum_algorithm));
  xml.text("ChecksumType", to_string(upload.checksum_type));
}

ApiResult<lake::CompleteRequest> read_complete_request(const Environment& environment, Request& request) {
  lake::CompleteRequest complete;
  auto announced = announced_checksum(request.http.headers);
  if (!announced) return tl::unexpected(announced.error());
  const std::string type = request.header("x-amz-checksum-type");
  if (!type.empty() && type != "FULL_OBJECT" && type != "COMPOSITE") {
    return s3_fail("InvalidRequest", "Value for x-amz-checksum-type header is invalid.");
  }
  if (!type.empty()) {
    complete.expected_type =
        type == "COMPOSITE" ? lake::ChecksumType::kComposite : lake::ChecksumType::kFullObject;
  }
  if (!announced->value.empty()) {
    complete.expected = {announced->algorithm, lake::ChecksumType::kFullObject, announced->value};
  }
  if (const auto size = parse_integer(request.header("x-amz-mp-object-size"), 0, INT64_MAX)) {
    complete.expected_size = static_cast<uint64_t>(*size);
  }
  complete.conditions = parse_conditions(request.http.headers);
  // The checksum header is of the object, not of this document.
  std::string text;
  for (;;) {
    auto piece = request.http.body->next();
    if (!piece) return tl::unexpected(piece.error());
    if (piece->empty()) break;
    if (text.size() + piece->size() > kDocumentBytesMax) {
      return s3_fail("MaxMessageLengthExceeded", "Your request was too big.");
    }
    text += *piece;
  }
  auto parts = parse_complete_document(text, environment.store.limits().parts_max);
  if (!parts) return tl::unexpected(parts.error());
  complete.parts = std::move(*parts);
  return complete;
}

class PartUpload final : public Upload {
 public:
  PartUpload(const Environment& environment, const Request& request) : Upload(environment, request) {}
  static ApiResult<std::unique_ptr<Upload>> begin(const Environment& environment, Request& request) {
    const auto number = parse_integer(request.query("partNumber"), 1, environment.store.limits().parts_max);
    if (!number) {
      return s3_fail("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
    }
    auto upload = std::make_unique<PartUpload>(environment, request);
    upload->number_ = static_cast<int>(*number);
    upload->id_ = request.query("uploadId");
    const auto begun = environment.store.upload(request.bucket(), request.key(), upload->id_);
    if (!begun) return store_fail(begun.error());
    if (auto opened = upload->open(begun->checksum_algorithm); !opened) return tl::unexpected(opened.error());
    return upload;
  }

 private:
  ApiResponse store(std::unique_ptr<lake::ContentWriter> content, lake::ExpectedDigests expected) override {
    const lake::Checksum said = expected.checksum;
    const auto part = environment_.store.put_part(request_.bucket(), request_.key(), id_, number_,
                                                  std::move(content), std::move(expected));
    if (!part) return store_fail(part.error());
    http::Response response;
    response.headers.add("ETag", quoted(part->etag));
    const lake::Checksum& shown = said.algorithm == lake::ChecksumAlgorithm::kNone ? part->checksum : said;
    if (!shown.value.empty()) response.headers.add(checksum_header(shown.algorithm), shown.value);
    return response;
  }

  int number_ = 0;
  std::string id_;
};

}  // namespace

ApiResponse create_multipart_upload(const Environment& environment, Request& request) {
  auto upload = read_upload_request(request.http.headers);
  if (!upload) return tl::unexpected(upload.error());
  auto attributes = read_attributes(request.http.headers);
  if (!attributes) return tl::unexpected(attributes.error());
  upload->attributes = std::move(*attributes);
  const bool named = request.http.headers.has("x-amz-checksum-algorithm");
  const auto info = environment.store.begin_upload(request.bucket(), request.key(), std::move(*upload));
  if (!info) return store_fail(info.error());
  XmlWriter xml("InitiateMultipartUploadResult");
  xml.text("Bucket", request.bucket());
  xml.text("Key", request.key());
  xml.text("UploadId", info->id);
  http::Response response = xml_response(xml.finish());
  if (named) {
    response.headers.add("x-amz-checksum-algorithm", std::string(lake::to_string(info->checksum_algorithm)));
    response.headers.add("x-amz-checksum-type", std::string(to_string(info->checksum_type)));
  }
  return response;
}

ApiResult<std::unique_ptr<Upload>> begin_upload_part(const Environment& environment, Request& request) {
  return PartUpload::begin(environment, request);
}

ApiResponse upload_part(const Environment& environment, Request& request) {
  return run_upload(begin_upload_part, environment, request);
}

ApiResponse complete_multipart_upload(const Environment& environment, Request& request) {
  auto complete = read_complete_request(environment, request);
  if (!complete) return tl::unexpected(complete.error());
  const auto info = environment.store.complete_upload(request.bucket(), request.key(),
                                                      request.query("uploadId"), std::move(*complete));
  if (!info) return store_fail(info.error());
  XmlWriter xml("CompleteMultipartUploadResult");
  xml.text("Location", location_of(environment, request));
  xml.text("Bucket", request.bucket());
  xml.text("Key", request.key());
  xml.text("ETag", quoted(info->etag));
  if (!info->checksum.value.empty()) {
    xml.text(checksum_element(info->checksum.algorithm), info->checksum.value);
    xml.text("ChecksumType", to_string(info->checksum.type));
  }
  return xml_response(xml.finish());
}

ApiResponse abort_multipart_upload(const Environment& environment, Request& request) {
  auto ok = environment.store.abort_upload(request.bucket(), request.key(), request.query("uploadId"));
  if (!ok) return store_fail(ok.error());
  return empty_response(204);
}

ApiResponse list_parts(const Environment& environment, Request& request) {
  const auto max = page_size(request, "max-parts", environment.store.limits().page_max);
  if (!max) return tl::unexpected(max.error());
  const auto after = page_size(request, "part-number-marker", INT32_MAX);
  if (!after) return tl::unexpected(after.error());
  const int marker = request.has_query("part-number-marker") ? static_cast<int>(*after) : 0;
  const std::string upload_id = request.query("uploadId");
  const auto page = environment.store.list_parts(request.bucket(), request.key(), upload_id, marker, *max);
  if (!page) return store_fail(page.error());
  XmlWriter xml("ListPartsResult");
  xml.text("Bucket", request.bucket());
  xml.text("Key", request.key());
  xml.text("UploadId", upload_id);
  write_person(xml, "Initiator", environment.scope);
  write_person(xml, "Owner", environment.scope);
  xml.text("StorageClass", "STANDARD");
  write_checksum_kind(xml, page->upload);
  xml.number("PartNumberMarker", static_cast<uint64_t>(marker));
  xml.number("NextPartNumberMarker", static_cast<uint64_t>(page->last_number));
  xml.number("MaxParts", *max);
  xml.boolean("IsTruncated", page->truncated);
  for (const lake::PartInfo& part : page->parts) {
    xml.open("Part");
    xml.number("PartNumber", static_cast<uint64_t>(part.number));
    xml.text("LastModified", to_iso8601(part.modified));
    xml.text("ETag", quoted(part.etag));
    xml.number("Size", part.size);
    if (!part.checksum.value.empty())
      xml.text(checksum_element(part.checksum.algorithm), part.checksum.value);
    xml.close("Part");
  }
  return xml_response(xml.finish());
}

ApiResponse list_multipart_uploads(const Environment& environment, Request& request) {
  lake::UploadQuery query;
  query.prefix = request.query("prefix");
  query.delimiter = request.query("delimiter");
  query.key_after = request.query("key-marker");
  query.upload_after = request.query("upload-id-marker");
  const auto max = page_size(request, "max-uploads", environment.store.limits().page_max);
  if (!max) return tl::unexpected(max.error());
  query.max = *max;
  const auto url = url_encoding(request);
  if (!url) return tl::unexpected(url.error());
  const auto shown = [&](std::string_view text) {
    return *url ? percent_encode(text, true) : std::string(text);
  };
  const auto page = environment.store.list_uploads(request.bucket(), query);
  if (!page) return store_fail(page.error());
  XmlWriter xml("ListMultipartUploadsResult");
  xml.text("Bucket", request.bucket());
  xml.text("KeyMarker", shown(query.key_after));
  xml.text("UploadIdMarker", query.upload_after);
  if (page->truncated) {
    xml.text("NextKeyMarker", shown(page->last_key));
    xml.text("NextUploadIdMarker", page->last_upload);
  }
  xml.text("Prefix", shown(query.prefix));
  xml.text_if("Delimiter", shown(query.delimiter));
  if (*url) xml.text("EncodingType", "url");
  xml.number("MaxUploads", *max);
  xml.boolean("IsTruncated", page->truncated);
  for (const lake::UploadInfo& upload : page->uploads) {
    xml.open("Upload");
    xml.text("Key", shown(upload.key));
    xml.text("UploadId", upload.id);
    write_person(xml, "Initiator", environment.scope);
    write_person(xml, "Owner", environment.scope);
    xml.text("StorageClass", "STANDARD");
    xml.text("Initiated", to_iso8601(upload.initiated));
    write_checksum_kind(xml, upload);
    xml.close("Upload");
  }
  for (const std::string& prefix : page->common_prefixes) {
    xml.open("CommonPrefixes");
    xml.text("Prefix", shown(prefix));
    xml.close("CommonPrefixes");
  }
  return xml_response(xml.finish());
}

}  // namespace fleetward::api::s3
