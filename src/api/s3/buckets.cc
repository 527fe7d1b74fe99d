#include "api/s3/documents.h"
#include "api/s3/operations.h"
#include "api/s3/upload.h"
#include "api/s3/xml.h"
#include "core/encoding.h"

namespace fleetward::api::s3 {
namespace {

constexpr size_t kBucketsPageMax = 10'000;

void write_owner(XmlWriter& xml, const AccountScope& scope) {
  xml.open("Owner");
  xml.text("ID", canonical_user_id(scope));
  xml.text("DisplayName", scope.account.str());
  xml.close("Owner");
}

// The location constraint against this server's region. Source: S3 API Reference, CreateBucket.
ApiStatus check_location(const std::string& location, const std::string& region) {
  // To S3 a missing constraint means us-east-1; this server has one region, so it means "here".
  if (location.empty()) return {};
  if (location == "us-east-1") {
    return s3_fail("InvalidLocationConstraint", "The specified location-constraint is not valid");
  }
  const std::string wanted = location == "EU" ? "eu-west-1" : location;
  if (wanted == region) return {};
  return s3_fail("IllegalLocationConstraintException",
                 "The " + location +
                     " location constraint is incompatible for the region specific endpoint " +
                     "this request was sent to.");
}

ApiStatus check_bucket_headers(const http::Headers& headers) {
  if (headers.get("x-amz-bucket-object-lock-enabled") == "true") return not_implemented("Object Lock");
  const std::string_view ownership = headers.get("x-amz-object-ownership");
  if (!ownership.empty() && ownership != "BucketOwnerEnforced") {
    return not_implemented("The object ownership " + std::string(ownership));
  }
  const std::string_view acl = headers.get("x-amz-acl");
  if (!acl.empty() && acl != "private") {
    return s3_fail("InvalidBucketAclWithObjectOwnership",
                   "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting");
  }
  return {};
}

}  // namespace

ApiResponse list_buckets(const Environment& environment, Request& request) {
  const auto max = page_size(request, "max-buckets", kBucketsPageMax);
  if (!max) return tl::unexpected(max.error());
  const std::string prefix = request.query("prefix");
  const auto after = from_base64(request.query("continuation-token"));
  if (!after) return s3_fail("InvalidArgument", "The continuation token provided is incorrect");
  auto buckets = environment.store.buckets(prefix, *after, *max + 1);
  if (!buckets) return store_fail(buckets.error());
  const std::string region = request.query("bucket-region");
  XmlWriter xml("ListAllMyBucketsResult");
  write_owner(xml, environment.scope);
  const bool more = buckets->size() > *max;
  if (more) buckets->pop_back();
  xml.open("Buckets");
  for (const lake::BucketInfo& bucket : *buckets) {
    if (!region.empty() && region != bucket.region) continue;
    xml.open("Bucket");
    xml.text("Name", bucket.name);
    xml.text("CreationDate", to_iso8601(bucket.created));
    xml.text("BucketRegion", bucket.region);
    xml.text("BucketArn", resource_arn(bucket.name));
    xml.close("Bucket");
  }
  xml.close("Buckets");
  xml.text_if("Prefix", prefix);
  if (more && !buckets->empty()) xml.text("ContinuationToken", to_base64(buckets->back().name));
  return xml_response(xml.finish());
}

ApiResponse create_bucket(const Environment& environment, Request& request) {
  if (auto ok = check_bucket_headers(request.http.headers); !ok) return tl::unexpected(ok.error());
  auto text = receive_document(request);
  if (!text) return tl::unexpected(text.error());
  auto document = parse_create_bucket_document(*text);
  if (!document) return tl::unexpected(document.error());
  const std::string& region = environment.scope.region;
  if (auto ok = check_location(document->location, region); !ok) return tl::unexpected(ok.error());
  const auto created = environment.store.create_bucket(request.bucket(), region, std::move(document->tags));
  const bool again = !created && created.error().reason == lake::Reason::kBucketAlreadyOwned;
  // Only the oldest region forgives creating one's bucket again.
  if (!created && !(again && region == "us-east-1")) return store_fail(created.error());
  http::Response response = empty_response(200);
  response.headers.add("Location", region == "us-east-1"
                                       ? "/" + request.bucket()
                                       : "http://" + request.bucket() + ".s3.amazonaws.com/");
  response.headers.add("x-amz-bucket-arn", resource_arn(request.bucket()));
  return response;
}

ApiResponse head_bucket(const Environment& environment, Request& request) {
  const auto bucket = environment.store.bucket(request.bucket());
  if (!bucket) return store_fail(bucket.error());
  http::Response response = empty_response(200);
  response.headers.add("x-amz-bucket-region", bucket->region);
  response.headers.add("x-amz-access-point-alias", "false");
  response.headers.add("Content-Type", "application/xml");
  return response;
}

ApiResponse delete_bucket(const Environment& environment, Request& request) {
  if (auto ok = environment.store.delete_bucket(request.bucket()); !ok) return store_fail(ok.error());
  return empty_response(204);
}

ApiResponse get_bucket_location(const Environment& environment, Request& request) {
  const auto bucket = environment.store.bucket(request.bucket());
  if (!bucket) return store_fail(bucket.error());
  std::string body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LocationConstraint xmlns=\"";
  body.append(kXmlNamespace).append("\"");
  if (bucket->region == "us-east-1") return xml_response(body + "/>");
  return xml_response(body + ">" + bucket->region + "</LocationConstraint>");
}

}  // namespace fleetward::api::s3
