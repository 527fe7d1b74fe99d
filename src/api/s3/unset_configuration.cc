#include <algorithm>
#include <iterator>

#include "api/s3/documents.h"
#include "api/s3/operations.h"
#include "api/s3/upload.h"
#include "api/s3/xml.h"

// The configurations that a bucket may have at S3 and never has here. To read or delete one answers what S3
// answers for a bucket on which it was never set, so that tools which read all of a bucket work; to set one
// is refused, unless it asks for what is so anyhow.
namespace fleetward::api::s3 {
namespace {

// Source: Amazon S3 API Reference, the page of each Get operation.
struct Unset {
  std::string_view parameter;
  const char* code;  // the error of a bucket without it; nullptr: an empty document
  const char* text;  // the error's message, or the document's root element
};
constexpr Unset kUnset[] = {
    {"accelerate", nullptr, "AccelerateConfiguration"},
    {"cors", "NoSuchCORSConfiguration", "The CORS configuration does not exist"},
    // S3 encrypts every new bucket by itself. This server does not, and does not say it does.
    {"encryption", "ServerSideEncryptionConfigurationNotFoundError",
     "The server side encryption configuration was not found"},
    {"lifecycle", "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"},
    {"logging", nullptr, "BucketLoggingStatus"},
    {"notification", nullptr, "NotificationConfiguration"},
    {"object-lock", "ObjectLockConfigurationNotFoundError",
     "Object Lock configuration does not exist for this bucket"},
    {"publicAccessBlock", "NoSuchPublicAccessBlockConfiguration",
     "The public access block configuration was not found"},
    {"replication", "ReplicationConfigurationNotFoundError", "The replication configuration was not found"},
    {"website", "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration"},
};

// Configurations of which a bucket may have several, told apart by "id"; without one they are listed.
struct UnsetList {
  std::string_view parameter;
  const char* root;
};
constexpr UnsetList kUnsetLists[] = {
    {"analytics", "ListBucketAnalyticsConfigurationResult"},
    {"intelligent-tiering", "ListBucketIntelligentTieringConfigurationsOutput"},
    {"inventory", "ListInventoryConfigurationsResult"},
    {"metrics", "ListMetricsConfigurationsResult"},
};

template <typename Row, size_t N>
const Row* row_of(const Row (&table)[N], const Request& request) {
  const auto it = std::find_if(std::begin(table), std::end(table),
                               [&](const Row& row) { return request.has_query(row.parameter); });
  return it == std::end(table) ? nullptr : &*it;
}

ApiResponse with_bucket_name(tl::unexpected<ApiError> failed, const Request& request) {
  failed.value().extra["BucketName"] = request.bucket();
  return failed;
}

}  // namespace

ApiResponse get_unset_configuration(const Environment& environment, Request& request) {
  if (auto ok = environment.store.bucket(request.bucket()); !ok) return store_fail(ok.error());
  if (const Unset* unset = row_of(kUnset, request)) {
    if (unset->code != nullptr) return with_bucket_name(s3_fail(unset->code, unset->text), request);
    return xml_response(XmlWriter(unset->text).finish());
  }
  const UnsetList* list = row_of(kUnsetLists, request);
  if (list == nullptr || request.has_query("id")) {
    return with_bucket_name(s3_fail("NoSuchConfiguration", "The specified configuration does not exist."),
                            request);
  }
  XmlWriter xml(list->root);
  xml.boolean("IsTruncated", false);
  return xml_response(xml.finish());
}

ApiResponse delete_unset_configuration(const Environment& environment, Request& request) {
  if (auto ok = environment.store.bucket(request.bucket()); !ok) return store_fail(ok.error());
  if (row_of(kUnset, request) == nullptr) {
    return with_bucket_name(s3_fail("NoSuchConfiguration", "The specified configuration does not exist."),
                            request);
  }
  return empty_response(204);
}

// Who owns an object and whose bucket pays: fixed here, so they can be read, and set to what they are.
ApiResponse get_bucket_ownership_controls(const Environment& environment, Request& request) {
  if (auto ok = environment.store.bucket(request.bucket()); !ok) return store_fail(ok.error());
  XmlWriter xml("OwnershipControls");
  xml.open("Rule");
  xml.text("ObjectOwnership", "BucketOwnerEnforced");
  xml.close("Rule");
  return xml_response(xml.finish());
}

ApiResponse put_bucket_ownership_controls(const Environment& environment, Request& request) {
  auto text = receive_document(request);
  if (!text) return tl::unexpected(text.error());
  const auto ownership = parse_ownership_document(*text);
  if (!ownership) return tl::unexpected(ownership.error());
  if (*ownership != "BucketOwnerEnforced") return not_implemented("The object ownership " + *ownership);
  if (auto ok = environment.store.bucket(request.bucket()); !ok) return store_fail(ok.error());
  return empty_response(200);
}

ApiResponse get_bucket_request_payment(const Environment& environment, Request& request) {
  if (auto ok = environment.store.bucket(request.bucket()); !ok) return store_fail(ok.error());
  XmlWriter xml("RequestPaymentConfiguration");
  xml.text("Payer", "BucketOwner");
  return xml_response(xml.finish());
}

ApiResponse put_bucket_request_payment(const Environment& environment, Request& request) {
  auto text = receive_document(request);
  if (!text) return tl::unexpected(text.error());
  const auto payer = parse_request_payment_document(*text);
  if (!payer) return tl::unexpected(payer.error());
  if (*payer != "BucketOwner") return not_implemented("The payer " + *payer);
  if (auto ok = environment.store.bucket(request.bucket()); !ok) return store_fail(ok.error());
  return empty_response(200);
}

// Logging and notifications are switched off by setting an empty document, and off is what they are.
ApiResponse put_empty_configuration(const Environment& environment, Request& request) {
  auto text = receive_document(request);
  if (!text) return tl::unexpected(text.error());
  const bool logging = request.has_query("logging");
  const auto empty = is_empty_document(*text, logging ? "BucketLoggingStatus" : "NotificationConfiguration");
  if (!empty) return tl::unexpected(empty.error());
  if (!*empty) return not_implemented(logging ? "PutBucketLogging" : "PutBucketNotificationConfiguration");
  if (auto ok = environment.store.bucket(request.bucket()); !ok) return store_fail(ok.error());
  return empty_response(200);
}

// Legal hold and retention, of which no bucket here has the configuration.
ApiResponse object_lock_of_object(const Environment& environment, Request& request) {
  if (auto ok = environment.store.head(request.bucket(), request.key()); !ok) return store_fail(ok.error());
  return s3_fail("InvalidRequest", "Bucket is missing Object Lock Configuration");
}

}  // namespace fleetward::api::s3
