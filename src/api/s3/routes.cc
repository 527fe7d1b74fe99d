#include "api/s3/routes.h"

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
    {B, "GET", "accelerate", "", "", "GetBucketAccelerateConfiguration", "", nullptr},
    {B, "PUT", "accelerate", "", "", "PutBucketAccelerateConfiguration", "", nullptr},
    {B, "GET", "analytics", "", "", "GetBucketAnalyticsConfiguration", "", nullptr},
    {B, "PUT", "analytics", "", "", "PutBucketAnalyticsConfiguration", "", nullptr},
    {B, "DELETE", "analytics", "", "", "DeleteBucketAnalyticsConfiguration", "", nullptr},
    {B, "GET", "cors", "", "", "GetBucketCors", "", nullptr},
    {B, "PUT", "cors", "", "", "PutBucketCors", "", nullptr},
    {B, "DELETE", "cors", "", "", "DeleteBucketCors", "", nullptr},
    {B, "GET", "encryption", "", "", "GetBucketEncryption", "", nullptr},
    {B, "PUT", "encryption", "", "", "PutBucketEncryption", "", nullptr},
    {B, "DELETE", "encryption", "", "", "DeleteBucketEncryption", "", nullptr},
    {B, "GET", "intelligent-tiering", "", "", "GetBucketIntelligentTieringConfiguration", "", nullptr},
    {B, "PUT", "intelligent-tiering", "", "", "PutBucketIntelligentTieringConfiguration", "", nullptr},
    {B, "DELETE", "intelligent-tiering", "", "", "DeleteBucketIntelligentTieringConfiguration", "", nullptr},
    {B, "GET", "inventory", "", "", "GetBucketInventoryConfiguration", "", nullptr},
    {B, "PUT", "inventory", "", "", "PutBucketInventoryConfiguration", "", nullptr},
    {B, "DELETE", "inventory", "", "", "DeleteBucketInventoryConfiguration", "", nullptr},
    {B, "GET", "lifecycle", "", "", "GetBucketLifecycleConfiguration", "", nullptr},
    {B, "PUT", "lifecycle", "", "", "PutBucketLifecycleConfiguration", "", nullptr},
    {B, "DELETE", "lifecycle", "", "", "DeleteBucketLifecycle", "", nullptr},
    {B, "GET", "logging", "", "", "GetBucketLogging", "", nullptr},
    {B, "PUT", "logging", "", "", "PutBucketLogging", "", nullptr},
    {B, "GET", "metrics", "", "", "GetBucketMetricsConfiguration", "", nullptr},
    {B, "PUT", "metrics", "", "", "PutBucketMetricsConfiguration", "", nullptr},
    {B, "DELETE", "metrics", "", "", "DeleteBucketMetricsConfiguration", "", nullptr},
    {B, "GET", "notification", "", "", "GetBucketNotificationConfiguration", "", nullptr},
    {B, "PUT", "notification", "", "", "PutBucketNotificationConfiguration", "", nullptr},
    {B, "GET", "object-lock", "", "", "GetObjectLockConfiguration", "", nullptr},
    {B, "PUT", "object-lock", "", "", "PutObjectLockConfiguration", "", nullptr},
    {B, "GET", "ownershipControls", "", "", "GetBucketOwnershipControls", "", nullptr},
    {B, "PUT", "ownershipControls", "", "", "PutBucketOwnershipControls", "", nullptr},
    {B, "DELETE", "ownershipControls", "", "", "DeleteBucketOwnershipControls", "", nullptr},
    {B, "GET", "publicAccessBlock", "", "", "GetPublicAccessBlock", "", nullptr},
    {B, "PUT", "publicAccessBlock", "", "", "PutPublicAccessBlock", "", nullptr},
    {B, "DELETE", "publicAccessBlock", "", "", "DeletePublicAccessBlock", "", nullptr},
    {B, "GET", "replication", "", "", "GetBucketReplication", "", nullptr},
    {B, "PUT", "replication", "", "", "PutBucketReplication", "", nullptr},
    {B, "DELETE", "replication", "", "", "DeleteBucketReplication", "", nullptr},
    {B, "GET", "requestPayment", "", "", "GetBucketRequestPayment", "", nullptr},
    {B, "PUT", "requestPayment", "", "", "PutBucketRequestPayment", "", nullptr},
    {B, "GET", "session", "", "", "CreateSession", "", nullptr},
    {B, "GET", "website", "", "", "GetBucketWebsite", "", nullptr},
    {B, "PUT", "website", "", "", "PutBucketWebsite", "", nullptr},
    {B, "DELETE", "website", "", "", "DeleteBucketWebsite", "", nullptr},
    {B, "GET", "list-type", "2", "", "ListObjectsV2", "s3:ListBucket", list_objects_v2},
    {B, "GET", "", "", "", "ListObjects", "s3:ListBucket", list_objects},
    {B, "HEAD", "", "", "", "HeadBucket", "s3:ListBucket", head_bucket},
    {B, "PUT", "", "", "", "CreateBucket", "s3:CreateBucket", create_bucket},
    {B, "DELETE", "", "", "", "DeleteBucket", "s3:DeleteBucket", delete_bucket},
    {B, "POST", "", "", "", "PostObject", "", nullptr},

    {O, "GET", "acl", "", "", "GetObjectAcl", "s3:GetObjectAcl", get_acl},
    {O, "PUT", "acl", "", "", "PutObjectAcl", "s3:PutObjectAcl", put_acl},
    {O, "GET", "tagging", "", "", "GetObjectTagging", "s3:GetObjectTagging", get_object_tagging},
    {O, "PUT", "tagging", "", "", "PutObjectTagging", "s3:PutObjectTagging", put_object_tagging},
    {O, "DELETE", "tagging", "", "", "DeleteObjectTagging", "s3:DeleteObjectTagging", delete_object_tagging},
    {O, "GET", "attributes", "", "", "GetObjectAttributes", "s3:GetObjectAttributes", get_object_attributes},
    {O, "GET", "legal-hold", "", "", "GetObjectLegalHold", "", nullptr},
    {O, "PUT", "legal-hold", "", "", "PutObjectLegalHold", "", nullptr},
    {O, "GET", "retention", "", "", "GetObjectRetention", "", nullptr},
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

}  // namespace

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
