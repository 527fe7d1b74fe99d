#include "lake/sink.h"

namespace fleetward::lake {

Status LocalSink::put(const Object& object) {
  auto content = store_.begin_content({}, object.bytes.size());
  if (!content) return fail(to_error(content.error()));
  if (auto ok = (*content)->append(object.bytes); !ok) return fail(to_error(ok.error()));
  PutRequest request;
  request.attributes.content_type =
      object.content_type.empty() ? "application/octet-stream" : object.content_type;
  request.attributes.content_encoding = object.content_encoding;
  auto put = store_.put(object.bucket, object.key, std::move(*content), std::move(request));
  if (!put) return fail(to_error(put.error()));
  return {};
}

Result<std::shared_ptr<const identity::PolicyDocument>> LocalSink::bucket_policy(const std::string& bucket) {
  auto policy = store_.bucket_policy(bucket);
  if (policy) return std::move(*policy);
  const Reason reason = policy.error().reason;
  // That a bucket is missing, put() says.
  if (reason == Reason::kNoSuchBucketPolicy || reason == Reason::kNoSuchBucket) return nullptr;
  return fail(to_error(policy.error()));
}

}  // namespace fleetward::lake
