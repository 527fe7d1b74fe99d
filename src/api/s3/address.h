#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fleetward::api::s3 {

// What a request is about. Empty key: the bucket; empty bucket: the service.
struct Address {
  std::string bucket;
  std::string key;
};

// Path style ("/bucket/key") unless the Host is "<bucket>.<suffix>" of one of `host_suffixes` (lower case,
// without port). `path` is the decoded path. Pure.
Address parse_address(std::string_view host, std::string_view path,
                      const std::vector<std::string>& host_suffixes);

}  // namespace fleetward::api::s3
