#include "api/s3/documents.h"
#include "api/s3/operations.h"
#include "api/s3/upload.h"
#include "api/s3/xml.h"

namespace fleetward::api::s3 {

ApiResponse get_bucket_policy(const Environment& environment, Request& request) {
  const auto policy = environment.store.bucket_policy(request.bucket());
  if (!policy) return store_fail(policy.error());
  http::Response response;
  response.headers.add("Content-Type", "application/json");
  response.body = (*policy)->text();
  return response;
}

ApiResponse put_bucket_policy(const Environment& environment, Request& request) {
  auto text = receive_document(request);
  if (!text) return tl::unexpected(text.error());
  if (text->empty())
    return s3_fail("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'");
  if (auto ok = environment.store.set_bucket_policy(request.bucket(), *text); !ok)
    return store_fail(ok.error());
  return empty_response(204);
}

ApiResponse delete_bucket_policy(const Environment& environment, Request& request) {
  if (auto ok = environment.store.set_bucket_policy(request.bucket(), ""); !ok) return store_fail(ok.error());
  return empty_response(204);
}

ApiResponse get_bucket_tagging(const Environment& environment, Request& request) {
  const auto tags = environment.store.bucket_tags(request.bucket());
  if (!tags) return store_fail(tags.error());
  if (tags->empty()) return s3_fail("NoSuchTagSet", "The TagSet does not exist");
  return xml_response(tagging_document(*tags));
}

ApiResponse put_bucket_tagging(const Environment& environment, Request& request) {
  auto text = receive_document(request);
  if (!text) return tl::unexpected(text.error());
  auto tags = parse_tagging_document(*text);
  if (!tags) return tl::unexpected(tags.error());
  if (auto ok = environment.store.set_bucket_tags(request.bucket(), std::move(*tags)); !ok) {
    return store_fail(ok.error());
  }
  return empty_response(204);
}

ApiResponse delete_bucket_tagging(const Environment& environment, Request& request) {
  if (auto ok = environment.store.set_bucket_tags(request.bucket(), {}); !ok) return store_fail(ok.error());
  return empty_response(204);
}

ApiResponse get_bucket_versioning(const Environment& environment, Request& request) {
  if (auto ok = environment.store.bucket(request.bucket()); !ok) return store_fail(ok.error());
  return xml_response(XmlWriter("VersioningConfiguration").finish());  // never set
}

ApiResponse put_bucket_versioning(const Environment&, Request& request) {
  auto text = receive_document(request);
  if (!text) return tl::unexpected(text.error());
  const auto status = parse_versioning_document(*text);
  if (!status) return tl::unexpected(status.error());
  return not_implemented("PutBucketVersioning (" + *status + ")");
}

ApiResponse get_acl(const Environment& environment, Request& request) {
  if (request.key().empty()) {
    if (auto ok = environment.store.bucket(request.bucket()); !ok) return store_fail(ok.error());
  } else if (auto ok = environment.store.head(request.bucket(), request.key()); !ok) {
    return store_fail(ok.error());
  }
  const auto write_person = [&](XmlWriter& xml) {
    xml.text("ID", canonical_user_id(environment.scope));
    xml.text("DisplayName", environment.scope.account.str());
  };
  XmlWriter xml("AccessControlPolicy");
  xml.open("Owner");
  write_person(xml);
  xml.close("Owner");
  xml.open("AccessControlList");
  xml.open("Grant");
  xml.open("Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"");
  write_person(xml);
  xml.close("Grantee");
  xml.text("Permission", "FULL_CONTROL");
  xml.close("Grant");
  xml.close("AccessControlList");
  return xml_response(xml.finish());
}

ApiResponse put_acl(const Environment&, Request&) {
  return s3_fail("AccessControlListNotSupported", "The bucket does not allow ACLs");
}

}  // namespace fleetward::api::s3
