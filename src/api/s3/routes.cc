#include "api/s3/routes.h"

#include <algorithm>

namespace fleetward::api::s3 {
namespace {

constexpr Target S = Target::kService, B = Target::kBucket, O = Target::kObject;

// Source: Amazon S3 API Reference, "Actions"; the IAM names: Service Authorization Reference, "Amazon S3".
// The rows without a parameter come last of their target and method.
constexpr Route kRoutes[] = {
    {S, "GET", "", "", "", "ListBuckets", "s3:ListAllMyBuckets", list_buckets},

    {B, "GET", "location", "", "", "GetBucketLocation", "s3:GetBucketLocation", get_bucket_location},
    {B, "GET", "policy", "", "", "GetBucketPolicy", "s3:GetBucketPolicy", get_bucket_policy},
    {B, "PUT", "policy", "", "", "PutBucketPolicy", "s3:PutBucketPolicy", put_bucket_policy},
    {B, "DELETE", "policy", "", "", "DeleteBucketPolicy", "s3:DeleteBucketPolicy", delete_bucket_policy},
    {B, "GET", "policyStatus", "", "", "GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", nullptr},
    {B, "GET", "tagging", "", "", "GetBucketTagging", "s3:GetBucketTagging", get_bucket_tagging},
    {B, "PUT", "tagging", "", "", "PutBucketTagging", "s3:PutBucketTagging", put_bucket_tagging},
    {B, "DELETE", "tagging", "", "", "DeleteBucketTagging", "s3:PutBucketTagging", delete_bucket_tagging},
    {B, "GET", "versioning", "", "", "GetBucketVersioning", "s3:GetBucketVersioning", get_bucket_versioning},
    {B, "PUT", "versioning", "", "", "PutBucketVersioning", "s3:PutBucketVersioning", put_bucket_versioning},
    {B, "GET", "acl", "", "", "GetBucketAcl", "s3:GetBucketAcl", get_acl},
    {B, "PUT", "acl", "", "", "PutBucketAcl", "s3:PutBucketAcl", put_acl},
    {B, "GET", "uploads", "", "", "ListMultipartUploads", "s3:ListBucketMultipartUploads",
     list_multipart_uploads},
    {B, "GET", "versions", "", "", "ListObjectVersions", "s3:ListBucketVersions", list_object_versions},
    // Each key is authorized by itself.
    {B, "POST", "delete", "", "", "DeleteObjects", "", delete_objects},
    {B, "GET", "abac", "", "", "GetBucketAbac", "", nullptr},
    {B, "PUT", "abac", "", "", "PutBucketAbac", "", nullptr},
    {B, "GET", "metadataConfiguration", "", "", "GetBucketMetadataConfiguration", "", nullptr},
    {B, "POST", "metadataConfiguration", "", "", "CreateBucketMetadataConfiguration", "", nullptr},
    {B, "DELETE", "metadataConfiguration", "", "", "DeleteBucketMetadataConfiguration", "", nullptr},
    {B, "GET", "metadataTable", "", "", "GetBucketMetadataTableConfiguration", "", nullptr},
    {B, "POST", "metadataTable", "", "", "CreateBucketMetadataTableConfiguration", "", nullptr},
    {B, "DELETE", "metadataTable", "", "", "DeleteBucketMetadataTableConfiguration", "", nullptr},
    {B, "PUT", "metadataInventoryTable", "", "", "UpdateBucketMetadataInventoryTableConfiguration", "",
     nullptr},
    {B, "PUT", "metadataJournalTable", "", "", "UpdateBucketMetadataJournalTableConfiguration", "", nullptr},
    {B, "PUT", "metadataAnnotationTable", "", "", "UpdateBucketMetadataAnnotationTableConfiguration", "",
     nullptr},
    {B, "GET", "accelerate", "", "", "GetBucketAccelerateConfiguration", "s3:GetAccelerateConfiguration",
     get_unset_configuration},
    {B, "PUT", "accelerate", "", "", "PutBucketAccelerateConfiguration", "", nullptr},
    {B, "GET", "analytics", "", "", "GetBucketAnalyticsConfiguration", "s3:GetAnalyticsConfiguration",
     get_unset_configuration},
    {B, "PUT", "analytics", "", "", "PutBucketAnalyticsConfiguration", "", nullptr},
    {B, "DELETE", "analytics", "", "", "DeleteBucketAnalyticsConfiguration", "s3:PutAnalyticsConfiguration",
     delete_unset_configuration},
    {B, "GET", "cors", "", "", "GetBucketCors", "s3:GetBucketCORS", get_unset_configuration},
    {B, "PUT", "cors", "", "", "PutBucketCors", "", nullptr},
    {B, "DELETE", "cors", "", "", "DeleteBucketCors", "s3:PutBucketCORS", delete_unset_configuration},
    {B, "GET", "encryption", "", "", "GetBucketEncryption", "s3:GetEncryptionConfiguration",
     get_unset_configuration},
    {B, "PUT", "encryption", "", "", "PutBucketEncryption", "", nullptr},
    {B, "DELETE", "encryption", "", "", "DeleteBucketEncryption", "s3:PutEncryptionConfiguration",
     delete_unset_configuration},
    {B, "GET", "intelligent-tiering", "", "", "GetBucketIntelligentTieringConfiguration",
     "s3:GetIntelligentTieringConfiguration", get_unset_configuration},
    {B, "PUT", "intelligent-tiering", "", "", "PutBucketIntelligentTieringConfiguration", "", nullptr},
    {B, "DELETE", "intelligent-tiering", "", "", "DeleteBucketIntelligentTieringConfiguration",
     "s3:PutIntelligentTieringConfiguration", delete_unset_configuration},
    {B, "GET", "inventory", "", "", "GetBucketInventoryConfiguration", "s3:GetInventoryConfiguration",
     get_unset_configuration},
    {B, "PUT", "inventory", "", "", "PutBucketInventoryConfiguration", "", nullptr},
    {B, "DELETE", "inventory", "", "", "DeleteBucketInventoryConfiguration", "s3:PutInventoryConfiguration",
     delete_unset_configuration},
    {B, "GET", "lifecycle", "", "", "GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration",
     get_unset_configuration},
    {B, "PUT", "lifecycle", "", "", "PutBucketLifecycleConfiguration", "", nullptr},
    {B, "DELETE", "lifecycle", "", "", "DeleteBucketLifecycle", "s3:PutLifecycleConfiguration",
     delete_unset_configuration},
    {B, "GET", "logging", "", "", "GetBucketLogging", "s3:GetBucketLogging", get_unset_configuration},
    {B, "PUT", "logging", "", "", "PutBucketLogging", "s3:PutBucketLogging", put_empty_configuration},
    {B, "GET", "metrics", "", "", "GetBucketMetricsConfiguration", "s3:GetMetricsConfiguration",
     get_unset_configuration},
    {B, "PUT", "metrics", "", "", "PutBucketMetricsConfiguration", "", nullptr},
    {B, "DELETE", "metrics", "", "", "DeleteBucketMetricsConfiguration", "s3:PutMetricsConfiguration",
     delete_unset_configuration},
    {B, "GET", "notification", "", "", "GetBucketNotificationConfiguration", "s3:GetBucketNotification",
     get_unset_configuration},
    {B, "PUT", "notification", "", "", "PutBucketNotificationConfiguration", "s3:PutBucketNotification",
     put_empty_configuration},
    {B, "GET", "object-lock", "", "", "GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration",
     get_unset_configuration},
    {B, "PUT", "object-lock", "", "", "PutObjectLockConfiguration", "", nullptr},
    {B, "GET", "ownershipControls", "", "", "GetBucketOwnershipControls", "s3:GetBucketOwnershipControls",
     get_bucket_ownership_controls},
    {B, "PUT", "ownershipControls", "", "", "PutBucketOwnershipControls", "s3:PutBucketOwnershipControls",
     put_bucket_ownership_controls},
    {B, "DELETE", "ownershipControls", "", "", "DeleteBucketOwnershipControls", "", nullptr},
    {B, "GET", "publicAccessBlock", "", "", "GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock",
     get_unset_configuration},
    {B, "PUT", "publicAccessBlock", "", "", "PutPublicAccessBlock", "", nullptr},
    {B, "DELETE", "publicAccessBlock", "", "", "DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock",
     delete_unset_configuration},
    {B, "GET", "replication", "", "", "GetBucketReplication", "s3:GetReplicationConfiguration",
     get_unset_configuration},
    {B, "PUT", "replication", "", "", "PutBucketReplication", "", nullptr},
    {B, "DELETE", "replication", "", "", "DeleteBucketReplication", "s3:PutReplicationConfiguration",
     delete_unset_configuration},
    {B, "GET", "requestPayment", "", "", "GetBucketRequestPayment", "s3:GetBucketRequestPayment",
     get_bucket_request_payment},
    {B, "PUT", "requestPayment", "", "", "PutBucketRequestPayment", "s3:PutBucketRequestPayment",
     put_bucket_request_payment},
    {B, "GET", "session", "", "", "CreateSession", "", nullptr},
    {B, "GET", "website", "", "", "GetBucketWebsite", "s3:GetBucketWebsite", get_unset_configuration},
    {B, "PUT", "website", "", "", "PutBucketWebsite", "", nullptr},
    {B, "DELETE", "website", "", "", "DeleteBucketWebsite", "s3:DeleteBucketWebsite",
     delete_unset_configuration},
    {B, "GET", "list-type", "2", "", "ListObjectsV2", "s3:ListBucket", list_objects_v2},
    {B, "GET", "", "", "", "ListObjects", "s3:ListBucket", list_objects},
    {B, "HEAD", "", "", "", "HeadBucket", "s3:ListBucket", head_bucket},
    {B, "PUT", "", "", "", "CreateBucket", "s3:CreateBucket", create_bucket},
    {B, "DELETE", "", "", "", "DeleteBucket", "s3:DeleteBucket", delete_bucket},
    {B, "POST", "", "", "", "PostObject", "", nullptr},

    {O, "GET", "annotation", "", "", "GetObjectAnnotation", "", nullptr},
    {O, "PUT", "annotation", "", "", "PutObjectAnnotation", "", nullptr},
    {O, "DELETE", "annotation", "", "", "DeleteObjectAnnotation", "", nullptr},
    {O, "GET", "acl", "", "", "GetObjectAcl", "s3:GetObjectAcl", get_acl},
    {O, "PUT", "acl", "", "", "PutObjectAcl", "s3:PutObjectAcl", put_acl},
    {O, "GET", "tagging", "", "", "GetObjectTagging", "s3:GetObjectTagging", get_object_tagging},
    {O, "PUT", "tagging", "", "", "PutObjectTagging", "", put_object_tagging},  // authorized with its tags
    {O, "DELETE", "tagging", "", "", "DeleteObjectTagging", "s3:DeleteObjectTagging", delete_object_tagging},
    {O, "GET", "attributes", "", "", "GetObjectAttributes", "s3:GetObjectAttributes", get_object_attributes},
    {O, "GET", "legal-hold", "", "", "GetObjectLegalHold", "s3:GetObjectLegalHold", object_lock_of_object},
    {O, "PUT", "legal-hold", "", "", "PutObjectLegalHold", "", nullptr},
    {O, "GET", "retention", "", "", "GetObjectRetention", "s3:GetObjectRetention", object_lock_of_object},
    {O, "PUT", "retention", "", "", "PutObjectRetention", "", nullptr},
    {O, "GET", "torrent", "", "", "GetObjectTorrent", "", nullptr},
    {O, "PUT", "renameObject", "", "", "RenameObject", "", nullptr},
    {O, "POST", "restore", "", "", "RestoreObject", "", nullptr},
    {O, "POST", "select", "", "", "SelectObjectContent", "", nullptr},
    {O, "POST", "uploads", "", "", "CreateMultipartUpload", "s3:PutObject", create_multipart_upload},
    {O, "POST", "uploadId", "", "", "CompleteMultipartUpload", "s3:PutObject", complete_multipart_upload},
    {O, "GET", "uploadId", "", "", "ListParts", "s3:ListMultipartUploadParts", list_parts},
    {O, "DELETE", "uploadId", "", "", "AbortMultipartUpload", "s3:AbortMultipartUpload",
     abort_multipart_upload},
    {O, "PUT", "uploadId", "", "x-amz-copy-source", "UploadPartCopy", "s3:PutObject", upload_part_copy},
    {O, "PUT", "uploadId", "", "", "UploadPart", "s3:PutObject", upload_part},
    {O, "PUT", "", "", "x-amz-copy-source", "CopyObject", "s3:PutObject", copy_object},
    {O, "GET", "", "", "", "GetObject", "s3:GetObject", get_object},
    {O, "HEAD", "", "", "", "HeadObject", "s3:GetObject", head_object},
    {O, "PUT", "", "", "", "PutObject", "s3:PutObject", put_object},
    {O, "DELETE", "", "", "", "DeleteObject", "s3:DeleteObject", delete_object},
};

bool fits(const Route& route, const http::RequestHead& head, Target target) {
  if (route.target != target || route.method != head.method) return false;
  if (!route.header.empty() && !head.headers.has(route.header)) return false;
  if (route.parameter.empty()) return true;
  const auto* parameter = head.find_query(route.parameter);
  return parameter != nullptr && (route.value.empty() || parameter->value == route.value);
}

// Options of operations, which clients also send empty.
constexpr std::string_view kOptions[] = {"continuation-token",
                                         "delimiter",
                                         "encoding-type",
                                         "fetch-owner",
                                         "key-marker",
                                         "list-type",
                                         "marker",
                                         "max-keys",
                                         "max-parts",
                                         "max-uploads",
                                         "part-number-marker",
                                         "partNumber",
                                         "prefix",
                                         "start-after",
                                         "upload-id-marker",
                                         "uploadId",
                                         "version-id-marker",
                                         "versionId"};

}  // namespace

std::string_view unknown_subresource(const Route& route, const http::RequestHead& head) {
  if (!route.parameter.empty() && route.value.empty()) return {};  // the parameter named the resource
  for (const http::QueryParameter& parameter : head.query) {
    const std::string_view name = parameter.name;
    const bool option = std::find(std::begin(kOptions), std::end(kOptions), name) != std::end(kOptions) ||
                        name.starts_with("x-") || name.starts_with("X-") || name.starts_with("response-");
    if (parameter.value.empty() && !option) return name;
  }
  return {};
}

std::span<const Route> routes() {
  return kRoutes;
}

const Route* find_route(const http::RequestHead& head, Target target) {
  for (const Route& route : kRoutes) {
    if (fits(route, head, target)) return &route;
  }
  return nullptr;
}

}  // namespace fleetward::api::s3
