#pragma once

#include "api/s3/request.h"

// The operations, grouped by file. Each is called after its action was authorized on its bucket and key.
namespace fleetward::api::s3 {

// buckets.cc
ApiResponse list_buckets(const Environment& environment, Request& request);
ApiResponse create_bucket(const Environment& environment, Request& request);
ApiResponse head_bucket(const Environment& environment, Request& request);
ApiResponse delete_bucket(const Environment& environment, Request& request);
ApiResponse get_bucket_location(const Environment& environment, Request& request);

// bucket_configuration.cc
ApiResponse get_bucket_policy(const Environment& environment, Request& request);
ApiResponse put_bucket_policy(const Environment& environment, Request& request);
ApiResponse delete_bucket_policy(const Environment& environment, Request& request);
ApiResponse get_bucket_tagging(const Environment& environment, Request& request);
ApiResponse put_bucket_tagging(const Environment& environment, Request& request);
ApiResponse delete_bucket_tagging(const Environment& environment, Request& request);
ApiResponse get_bucket_versioning(const Environment& environment, Request& request);
ApiResponse put_bucket_versioning(const Environment& environment, Request& request);
ApiResponse get_acl(const Environment& environment, Request& request);  // of a bucket or an object
ApiResponse put_acl(const Environment& environment, Request& request);

// unset_configuration.cc
ApiResponse get_unset_configuration(const Environment& environment, Request& request);
ApiResponse delete_unset_configuration(const Environment& environment, Request& request);
ApiResponse get_bucket_ownership_controls(const Environment& environment, Request& request);
ApiResponse put_bucket_ownership_controls(const Environment& environment, Request& request);
ApiResponse get_bucket_request_payment(const Environment& environment, Request& request);
ApiResponse put_bucket_request_payment(const Environment& environment, Request& request);
ApiResponse put_empty_configuration(const Environment& environment, Request& request);
ApiResponse object_lock_of_object(const Environment& environment, Request& request);

// objects.cc
ApiResponse put_object(const Environment& environment, Request& request);
ApiResponse get_object(const Environment& environment, Request& request);
ApiResponse head_object(const Environment& environment, Request& request);
ApiResponse get_object_attributes(const Environment& environment, Request& request);

// deletion.cc
ApiResponse delete_object(const Environment& environment, Request& request);
ApiResponse delete_objects(const Environment& environment, Request& request);

// object_tagging.cc
ApiResponse get_object_tagging(const Environment& environment, Request& request);
ApiResponse put_object_tagging(const Environment& environment, Request& request);
ApiResponse delete_object_tagging(const Environment& environment, Request& request);

// copy.cc
ApiResponse copy_object(const Environment& environment, Request& request);
ApiResponse upload_part_copy(const Environment& environment, Request& request);

// listing.cc
ApiResponse list_objects(const Environment& environment, Request& request);
ApiResponse list_objects_v2(const Environment& environment, Request& request);
ApiResponse list_object_versions(const Environment& environment, Request& request);

// multipart.cc
ApiResponse create_multipart_upload(const Environment& environment, Request& request);
ApiResponse upload_part(const Environment& environment, Request& request);
ApiResponse complete_multipart_upload(const Environment& environment, Request& request);
ApiResponse abort_multipart_upload(const Environment& environment, Request& request);
ApiResponse list_parts(const Environment& environment, Request& request);
ApiResponse list_multipart_uploads(const Environment& environment, Request& request);

}  // namespace fleetward::api::s3
