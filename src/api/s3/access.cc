#include "api/s3/access.h"

#include <map>
#include <optional>

#include "core/text.h"
#include "identity/resource_policy.h"

namespace fleetward::api::s3 {
namespace {

using identity::Decision;

// S3's own condition keys of one request, over those every request has.
class S3Context final : public identity::RequestContext {
 public:
  S3Context(const http::S3Request& request, lake::ObjectStore& store, std::string bucket, std::string key,
            const std::string& account, const std::vector<lake::Tag>* request_tags)
      : below_(*request.context), store_(store), bucket_(std::move(bucket)), key_(std::move(key)) {
    for (const char* name : {"prefix", "delimiter", "max-keys"}) {
      if (const auto* parameter = request.find_query(name))
        own_.set(std::string("s3:") + name, parameter->value);
    }
    for (const char* name : {"x-amz-acl", "x-amz-copy-source", "x-amz-metadata-directive",
                             "x-amz-storage-class", "x-amz-content-sha256"}) {
      const std::string_view value = request.headers.get(name);
      if (!value.empty()) own_.set(std::string("s3:") + name, std::string(value));
    }
    own_.set("s3:authType", request.presigned ? "REST-QUERY-STRING" : "REST-HEADER");
    own_.set("s3:signatureversion", "AWS4-HMAC-SHA256");
    own_.set("s3:ResourceAccount", account);
    own_.set("aws:ResourceAccount", account);
    if (request_tags != nullptr) set_request_tags(*request_tags);
  }
  std::span<const std::string> find(std::string_view key) const override {
    const auto own = own_.find(key);
    if (!own.empty()) return own;
    if (to_lower(key.substr(0, kExistingTag.size())) == kExistingTag) return existing_tags().find(key);
    return below_.find(key);
  }

 private:
  static constexpr std::string_view kExistingTag = "s3:existingobjecttag/";

  void set_request_tags(const std::vector<lake::Tag>& tags) {
    std::vector<std::string> keys;
    for (const lake::Tag& tag : tags) {
      own_.set("s3:RequestObjectTag/" + tag.key, tag.value);
      keys.push_back(tag.key);
    }
    if (!keys.empty()) own_.set_list("s3:RequestObjectTagKeys", std::move(keys));
  }
  // Looked up once a policy asks.
  const identity::MapContext& existing_tags() const {
    if (!existing_) {
      existing_.emplace();
      const auto info = key_.empty() ? lake::StoreResult<lake::ObjectInfo>() : store_.head(bucket_, key_);
      if (info) {
        for (const lake::Tag& tag : info->attributes.tags) {
          existing_->set("s3:ExistingObjectTag/" + tag.key, tag.value);
        }
      }
    }
    return *existing_;
  }

  const identity::RequestContext& below_;
  lake::ObjectStore& store_;
  const std::string bucket_, key_;
  identity::MapContext own_;
  mutable std::optional<identity::MapContext> existing_;
};

// Root can always repair a policy that locks everyone out.
bool root_may_always(const identity::Caller& caller, std::string_view action) {
  return caller.kind == identity::Caller::Kind::kRoot &&
         (action == "s3:GetBucketPolicy" || action == "s3:PutBucketPolicy" ||
          action == "s3:DeleteBucketPolicy");
}

std::string denial(const identity::Caller& caller, std::string_view action, const std::string& resource,
                   std::string_view why) {
  std::string text = "User: ";
  text.append(caller.arn.empty() ? "anonymous" : caller.arn).append(" is not authorized to perform: ");
  text.append(action).append(" on resource: \"").append(resource).append("\" ").append(why);
  return text;
}

}  // namespace

std::string resource_arn(std::string_view bucket, std::string_view key) {
  std::string arn = "arn:aws:s3:::";
  arn += bucket;
  if (!key.empty()) arn.append("/").append(key);
  return arn;
}

ApiStatus Access::check(const http::S3Request& request, std::string_view action, const std::string& bucket,
                        const std::string& key, const Asked& asked) const {
  const identity::Caller& caller = request.caller;
  const std::string resource = bucket.empty() ? "*" : resource_arn(bucket, key);
  const S3Context context(request, store_, bucket, key, scope_.account.str(), asked.tags);
  const std::string_view owner = request.headers.get("x-amz-expected-bucket-owner");
  if (!owner.empty() && owner != scope_.account.str()) return s3_fail("AccessDenied", "Access Denied");

  Decision by_policy = Decision::kNoMatch;
  if (!bucket.empty() && !asked.new_bucket) {
    const auto policy = store_.bucket_policy(bucket);
    if (policy) {
      by_policy = identity::evaluate_resource_policy(
          **policy, {.arn = caller.arn, .role_arn = caller.role_arn, .account = caller.account}, action,
          resource, context);
    } else if (policy.error().reason != lake::Reason::kNoSuchBucketPolicy) {
      return store_fail(policy.error());
    }
  }
  if (by_policy == Decision::kDeny && !root_may_always(caller, action)) {
    return s3_fail("AccessDenied",
                   denial(caller, action, resource, "with an explicit deny in a resource-based policy"));
  }
  const Decision by_identity = identity_(caller, action, resource, context);
  if (by_identity == Decision::kDeny) {
    return s3_fail("AccessDenied",
                   denial(caller, action, resource, "with an explicit deny in an identity-based policy"));
  }
  if (by_identity == Decision::kAllow || by_policy == Decision::kAllow) return {};
  if (caller.kind == identity::Caller::Kind::kAnonymous) return s3_fail("AccessDenied", "Access Denied");
  return s3_fail("AccessDenied",
                 denial(caller, action, resource,
                        "because no identity-based policy allows the " + std::string(action) + " action"));
}

}  // namespace fleetward::api::s3
