#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "api/s3/errors.h"
#include "core/ids.h"
#include "http/s3_handler.h"
#include "identity/caller.h"
#include "identity/policy.h"
#include "lake/object_store.h"

namespace fleetward::api::s3 {

// What identity policies say: usually identity::Authorizer::decide.
using IdentityDecision =
    std::function<identity::Decision(const identity::Caller& caller, std::string_view action,
                                     std::string_view resource, const identity::RequestContext& context)>;

// "arn:aws:s3:::bucket" or "arn:aws:s3:::bucket/key".
std::string resource_arn(std::string_view bucket, std::string_view key = {});

// Identity policies and bucket policy together: any Deny refuses, any Allow of either admits. Source: Amazon
// S3 User Guide, "How Amazon S3 authorizes a request". Thread safe.
class Access {
 public:
  Access(IdentityDecision identity, lake::ObjectStore& store, AccountScope scope)
      : identity_(std::move(identity)), store_(store), scope_(std::move(scope)) {}

  struct Asked {
    bool new_bucket = false;                       // about to be created: it has no policy
    const std::vector<lake::Tag>* tags = nullptr;  // that the request puts on the object
  };
  // AccessDenied with AWS's sentence; NoSuchBucket if the bucket is not there. An empty bucket asks for the
  // service ("*").
  ApiStatus check(const http::S3Request& request, std::string_view action, const std::string& bucket,
                  const std::string& key, const Asked& asked) const;
  ApiStatus check(const http::S3Request& request, std::string_view action, const std::string& bucket,
                  const std::string& key) const {
    return check(request, action, bucket, key, {});
  }

 private:
  const IdentityDecision identity_;
  lake::ObjectStore& store_;
  const AccountScope scope_;
};

}  // namespace fleetward::api::s3
