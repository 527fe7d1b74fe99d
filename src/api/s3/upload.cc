#include "api/s3/upload.h"

#include <algorithm>

#include "api/s3/documents.h"
#include "api/s3/fields.h"
#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::api::s3 {
namespace {

constexpr std::string_view kMetaPrefix = "x-amz-meta-";
constexpr std::string_view kChecksumPrefix = "x-amz-checksum-";
constexpr size_t kCopyPieceBytes = size_t{1} << 20;

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Headers that ask for what this server does not do. A client that sends them relies on it.
ApiStatus refuse_unsupported(const http::Headers& headers) {
  for (const auto& [field, value] : headers.all()) {
    const std::string name = to_lower(field);
    if (starts_with(name, "x-amz-server-side-encryption")) return not_implemented("Server-side encryption");
    if (starts_with(name, "x-amz-object-lock-")) return not_implemented("Object Lock");
    if (starts_with(name, "x-amz-grant-") ||
        (name == "x-amz-acl" && value != "private" && value != "bucket-owner-full-control")) {
      return s3_fail("AccessControlListNotSupported", "The bucket does not allow ACLs");
    }
    if (name == "x-amz-storage-class" && value != "STANDARD") {
      return not_implemented("The storage class " + value);
    }
    if (name == "x-amz-write-offset-bytes") return not_implemented("Appending to an object");
  }
  return {};
}

void add_user_metadata(const http::Headers& headers, lake::ObjectAttributes& attributes) {
  for (const auto& [field, value] : headers.all()) {
    const std::string name = to_lower(field);
    if (!starts_with(name, kMetaPrefix)) continue;
    const std::string short_name = name.substr(kMetaPrefix.size());
    const auto same = std::find_if(attributes.user.begin(), attributes.user.end(),
                                   [&](const auto& pair) { return pair.first == short_name; });
    if (same == attributes.user.end()) {
      attributes.user.emplace_back(short_name, value);
    } else {
      same->second += "," + value;
    }
  }
}

ApiStatus check_md5(const std::string& text, std::string_view body) {
  if (text.empty()) return {};
  const auto raw = from_base64(text);
  if (!raw || raw->size() != 16)
    return s3_fail("InvalidDigest", "The Content-MD5 you specified was invalid.");
  if (*raw == lake::md5(body)) return {};
  return s3_fail("BadDigest", "The Content-MD5 you specified did not match what we received.");
}

ApiStatus check_document_checksum(const Request& request, const AnnouncedChecksum& announced,
                                  std::string_view body) {
  if (announced.algorithm == lake::ChecksumAlgorithm::kNone) return {};
  const std::string value =
      announced.in_trailer
          ? std::string(request.http.body->trailers().get(checksum_header(announced.algorithm)))
          : announced.value;
  lake::Digests digests({announced.algorithm});
  digests.update(body);
  digests.finish();
  if (value == to_base64(digests.raw(announced.algorithm))) return {};
  return s3_fail("BadDigest", "The " + std::string(lake::to_string(announced.algorithm)) +
                                  " you specified did not match the calculated checksum.");
}

}  // namespace

ApiResult<lake::ObjectAttributes> read_attributes(const http::Headers& headers) {
  if (auto ok = refuse_unsupported(headers); !ok) return tl::unexpected(ok.error());
  const auto text = [&](std::string_view name) { return std::string(headers.get(name)); };
  lake::ObjectAttributes attributes;
  attributes.content_type = text("content-type");
  if (attributes.content_type.empty()) attributes.content_type = "binary/octet-stream";
  attributes.content_encoding = stored_content_encoding(headers.get("content-encoding"));
  attributes.content_disposition = text("content-disposition");
  attributes.content_language = text("content-language");
  attributes.cache_control = text("cache-control");
  attributes.expires = text("expires");
  attributes.website_redirect = text("x-amz-website-redirect-location");
  add_user_metadata(headers, attributes);
  auto tags = parse_tagging_header(headers.get("x-amz-tagging"));
  if (!tags) return tl::unexpected(tags.error());
  attributes.tags = std::move(*tags);
  return attributes;
}

std::string checksum_header(lake::ChecksumAlgorithm algorithm) {
  return std::string(kChecksumPrefix) + to_lower(lake::to_string(algorithm));
}

std::string checksum_element(lake::ChecksumAlgorithm algorithm) {
  return "Checksum" + std::string(lake::to_string(algorithm));
}

std::string_view to_string(lake::ChecksumType type) {
  return type == lake::ChecksumType::kComposite ? "COMPOSITE" : "FULL_OBJECT";
}

void add_checksum_headers(const lake::Checksum& checksum, http::Headers& headers) {
  if (checksum.algorithm == lake::ChecksumAlgorithm::kNone || checksum.value.empty()) return;
  headers.add(checksum_header(checksum.algorithm), checksum.value);
  headers.add("x-amz-checksum-type", std::string(to_string(checksum.type)));
}

ApiResult<lake::ChecksumAlgorithm> named_algorithm(const http::Headers& headers, std::string_view header) {
  const std::string_view name = headers.get(header);
  if (name.empty()) return lake::ChecksumAlgorithm::kNone;
  if (const auto algorithm = lake::parse_checksum_algorithm(name)) return *algorithm;
  for (const char* known : {"SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"}) {
    if (name == known) return not_implemented("The checksum algorithm " + std::string(name));
  }
  return s3_fail("InvalidRequest",
                 "Checksum algorithm provided is unsupported. Please try again with any of the "
                 "valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
}

ApiResult<AnnouncedChecksum> announced_checksum(const http::Headers& headers) {
  AnnouncedChecksum announced;
  const auto note = [&](std::string_view header, std::string value, bool in_trailer) -> ApiStatus {
    const std::string_view name = header.substr(kChecksumPrefix.size());
    const auto algorithm = lake::parse_checksum_algorithm(name);
    if (!algorithm) return not_implemented("The checksum algorithm " + std::string(name));
    if (announced.algorithm != lake::ChecksumAlgorithm::kNone) {
      return s3_fail("InvalidRequest",
                     "Expecting a single x-amz-checksum- header. Multiple checksum Types are "
                     "not allowed.");
    }
    announced = {*algorithm, std::move(value), in_trailer};
    return {};
  };
  for (const auto& [field, value] : headers.all()) {
    const std::string name = to_lower(field);
    const bool about =
        name == "x-amz-checksum-algorithm" || name == "x-amz-checksum-type" || name == "x-amz-checksum-mode";
    if (!starts_with(name, kChecksumPrefix) || about) continue;
    if (auto ok = note(name, value, false); !ok) return tl::unexpected(ok.error());
  }
  const std::string trailer = to_lower(headers.get("x-amz-trailer"));
  if (starts_with(trailer, kChecksumPrefix)) {
    if (auto ok = note(trailer, {}, true); !ok) return tl::unexpected(ok.error());
  }
  return announced;
}

ApiStatus Upload::open(lake::ChecksumAlgorithm also) {
  auto announced = announced_checksum(request_.http.headers);
  if (!announced) return tl::unexpected(announced.error());
  announced_ = std::move(*announced);
  if (request_.http.headers.has("content-md5") && request_.header("content-md5").empty()) {
    return s3_fail("InvalidDigest", "The Content-MD5 you specified was invalid.");
  }
  std::vector<lake::ChecksumAlgorithm> algorithms;
  for (const auto algorithm : {also, announced_.algorithm}) {
    if (algorithm != lake::ChecksumAlgorithm::kNone) algorithms.push_back(algorithm);
  }
  auto content = environment_.store.begin_content(algorithms, request_.http.body_size);
  if (!content) return store_fail(content.error());
  content_ = std::move(*content);
  return {};
}

ApiStatus Upload::append(std::string_view bytes) {
  if (auto ok = content_->append(bytes); !ok) return store_fail(ok.error());
  return {};
}

ApiResponse Upload::finish(const http::Headers& trailers) {
  if (announced_.in_trailer) {
    announced_.value = std::string(trailers.get(checksum_header(announced_.algorithm)));
    if (announced_.value.empty()) {
      return s3_fail("MalformedTrailerError", "The trailer announced by x-amz-trailer is missing.");
    }
  }
  lake::ExpectedDigests expected;
  expected.md5_base64 = request_.header("content-md5");
  expected.checksum = {announced_.algorithm, lake::ChecksumType::kFullObject, announced_.value};
  return store(std::move(content_), std::move(expected));
}

ApiResponse run_upload(BeginUpload begin, const Environment& environment, Request& request) {
  auto upload = begin(environment, request);
  if (!upload) return tl::unexpected(upload.error());
  for (;;) {
    auto piece = request.http.body->next();
    if (!piece) return tl::unexpected(piece.error());
    if (piece->empty()) break;
    if (auto ok = (*upload)->append(*piece); !ok) return tl::unexpected(ok.error());
  }
  return (*upload)->finish(request.http.body->trailers());
}

ApiResult<std::unique_ptr<lake::ContentWriter>> copy_bytes(
    const Environment& environment, lake::ObjectReader& source, uint64_t offset, uint64_t size,
    const std::vector<lake::ChecksumAlgorithm>& algorithms) {
  auto content = environment.store.begin_content(algorithms, size);
  if (!content) return store_fail(content.error());
  while (size > 0) {
    auto piece = source.read(offset, static_cast<size_t>(std::min<uint64_t>(size, kCopyPieceBytes)));
    if (!piece) return store_fail(piece.error());
    if (auto ok = (*content)->append(*piece); !ok) return store_fail(ok.error());
    offset += piece->size();
    size -= piece->size();
  }
  return std::move(*content);
}

ApiResult<std::string> receive_document(Request& request, bool digest_required) {
  const auto announced = announced_checksum(request.http.headers);
  if (!announced) return tl::unexpected(announced.error());
  const std::string md5 = request.header("content-md5");
  if (digest_required && md5.empty() && announced->algorithm == lake::ChecksumAlgorithm::kNone) {
    return s3_fail("InvalidRequest", "Missing required header for this request: Content-MD5");
  }
  std::string body;
  for (;;) {
    auto piece = request.http.body->next();
    if (!piece) return tl::unexpected(piece.error());
    if (piece->empty()) break;
    if (body.size() + piece->size() > kDocumentBytesMax) {
      return s3_fail("MaxMessageLengthExceeded", "Your request was too big.");
    }
    body += *piece;
  }
  if (auto ok = check_md5(md5, body); !ok) return tl::unexpected(ok.error());
  if (auto ok = check_document_checksum(request, *announced, body); !ok) return tl::unexpected(ok.error());
  return body;
}

}  // namespace fleetward::api::s3
