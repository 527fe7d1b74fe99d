#include "api/s3/operations.h"
#include "api/s3/upload.h"
#include "api/s3/xml.h"
#include "core/encoding.h"

namespace fleetward::api::s3 {
namespace {

// What the three listings have in common.
struct Listing {
  lake::ListQuery query;
  bool url = false;

  // A key or prefix as it stands in the answer.
  std::string shown(std::string_view text) const {
    return url ? percent_encode(text, true) : std::string(text);
  }
};

ApiResult<Listing> read_listing(const Environment& environment, const Request& request) {
  Listing listing;
  listing.query.prefix = request.query("prefix");
  listing.query.delimiter = request.query("delimiter");
  const auto max = page_size(request, "max-keys", environment.store.limits().page_max);
  if (!max) return tl::unexpected(max.error());
  listing.query.max = *max;
  const auto url = url_encoding(request);
  if (!url) return tl::unexpected(url.error());
  listing.url = *url;
  return listing;
}

void write_owner(XmlWriter& xml, const AccountScope& scope) {
  xml.open("Owner");
  xml.text("ID", canonical_user_id(scope));
  xml.text("DisplayName", scope.account.str());
  xml.close("Owner");
}

void write_summary(XmlWriter& xml, const Listing& listing, const lake::ObjectSummary& object) {
  xml.text("Key", listing.shown(object.key));
  xml.text("LastModified", to_iso8601(object.modified));
  xml.text("ETag", quoted(object.etag));
  if (object.checksum_algorithm != lake::ChecksumAlgorithm::kNone) {
    xml.text("ChecksumAlgorithm", lake::to_string(object.checksum_algorithm));
    xml.text("ChecksumType", to_string(object.checksum_type));
  }
  xml.number("Size", object.size);
}

void write_contents(XmlWriter& xml, const Listing& listing, const lake::ObjectPage& page,
                    const AccountScope* owner) {
  for (const lake::ObjectSummary& object : page.objects) {
    xml.open("Contents");
    write_summary(xml, listing, object);
    if (owner != nullptr) write_owner(xml, *owner);
    xml.text("StorageClass", "STANDARD");
    xml.close("Contents");
  }
}

void write_common(XmlWriter& xml, const Request& request, const Listing& listing) {
  xml.text("Name", request.bucket());
  if (!listing.query.delimiter.empty()) xml.text("Delimiter", listing.shown(listing.query.delimiter));
  xml.number("MaxKeys", listing.query.max);
  if (listing.url) xml.text("EncodingType", "url");
}

void write_prefixes(XmlWriter& xml, const Listing& listing, const std::vector<std::string>& prefixes) {
  for (const std::string& prefix : prefixes) {
    xml.open("CommonPrefixes");
    xml.text("Prefix", listing.shown(prefix));
    xml.close("CommonPrefixes");
  }
}

}  // namespace

ApiResponse list_objects_v2(const Environment& environment, Request& request) {
  auto listing = read_listing(environment, request);
  if (!listing) return tl::unexpected(listing.error());
  const std::string start_after = request.query("start-after");
  const auto* token = request.http.find_query("continuation-token");
  listing->query.after = start_after;
  if (token != nullptr && !token->value.empty()) {
    const auto after = from_base64(token->value);
    if (!after || after->empty()) {
      return s3_fail("InvalidArgument", "The continuation token provided is incorrect");
    }
    listing->query.after = *after;
  }
  const auto page = environment.store.list(request.bucket(), listing->query);
  if (!page) return store_fail(page.error());
  XmlWriter xml("ListBucketResult");
  write_common(xml, request, *listing);
  xml.text("Prefix", listing->shown(listing->query.prefix));
  if (token != nullptr) xml.text("ContinuationToken", token->value);
  xml.text_if("StartAfter", listing->shown(start_after));
  xml.number("KeyCount", page->objects.size() + page->common_prefixes.size());
  xml.boolean("IsTruncated", page->truncated);
  if (page->truncated) xml.text("NextContinuationToken", to_base64(page->last));
  write_contents(xml, *listing, *page, request.query("fetch-owner") == "true" ? &environment.scope : nullptr);
  write_prefixes(xml, *listing, page->common_prefixes);
  return xml_response(xml.finish());
}

ApiResponse list_objects(const Environment& environment, Request& request) {
  auto listing = read_listing(environment, request);
  if (!listing) return tl::unexpected(listing.error());
  listing->query.after = request.query("marker");
  const auto page = environment.store.list(request.bucket(), listing->query);
  if (!page) return store_fail(page.error());
  XmlWriter xml("ListBucketResult");
  write_common(xml, request, *listing);
  xml.text("Prefix", listing->query.prefix);  // which version 1 never encodes: its clients do not decode it
  xml.text("Marker", listing->shown(listing->query.after));
  // Without a delimiter the last key is the next marker, and the client takes it from there.
  if (page->truncated && !listing->query.delimiter.empty())
    xml.text("NextMarker", listing->shown(page->last));
  xml.boolean("IsTruncated", page->truncated);
  write_contents(xml, *listing, *page, &environment.scope);
  write_prefixes(xml, *listing, page->common_prefixes);
  return xml_response(xml.finish());
}

// Every object has one version, "null": buckets here are never versioned.
ApiResponse list_object_versions(const Environment& environment, Request& request) {
  auto listing = read_listing(environment, request);
  if (!listing) return tl::unexpected(listing.error());
  listing->query.after = request.query("key-marker");
  const auto page = environment.store.list(request.bucket(), listing->query);
  if (!page) return store_fail(page.error());
  XmlWriter xml("ListVersionsResult");
  write_common(xml, request, *listing);
  xml.text("Prefix", listing->shown(listing->query.prefix));
  xml.text("KeyMarker", listing->shown(listing->query.after));
  xml.text("VersionIdMarker", request.query("version-id-marker"));
  xml.boolean("IsTruncated", page->truncated);
  if (page->truncated) {
    xml.text("NextKeyMarker", listing->shown(page->last));
    xml.text("NextVersionIdMarker", "null");
  }
  for (const lake::ObjectSummary& object : page->objects) {
    xml.open("Version");
    write_summary(xml, *listing, object);
    xml.text("VersionId", "null");
    xml.boolean("IsLatest", true);
    write_owner(xml, environment.scope);
    xml.text("StorageClass", "STANDARD");
    xml.close("Version");
  }
  write_prefixes(xml, *listing, page->common_prefixes);
  return xml_response(xml.finish());
}

}  // namespace fleetward::api::s3
