#include "api/s3/address.h"

#include <algorithm>

#include "core/text.h"

namespace fleetward::api::s3 {
namespace {

std::string lower_host(std::string_view host) {
  if (!host.empty() && host.front() != '[') host = host.substr(0, host.find(':'));  // not an IPv6 literal
  return to_lower(host);
}

// The bucket of a virtual-host style name; empty if it is none. The longest suffix decides.
std::string bucket_of_host(const std::string& host, const std::vector<std::string>& suffixes) {
  size_t longest = 0;
  for (const std::string& suffix : suffixes) {
    if (host == suffix) return {};
    const bool ends = host.size() > suffix.size() + 1 &&
                      host.compare(host.size() - suffix.size(), suffix.size(), suffix) == 0 &&
                      host[host.size() - suffix.size() - 1] == '.';
    if (ends) longest = std::max(longest, suffix.size());
  }
  return longest == 0 ? std::string() : host.substr(0, host.size() - longest - 1);
}

}  // namespace

Address parse_address(std::string_view host, std::string_view path,
                      const std::vector<std::string>& host_suffixes) {
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  Address address;
  address.bucket = bucket_of_host(lower_host(host), host_suffixes);
  if (!address.bucket.empty()) {
    address.key = std::string(path);
    return address;
  }
  const size_t slash = path.find('/');
  address.bucket = std::string(path.substr(0, slash));
  if (slash != std::string_view::npos) address.key = std::string(path.substr(slash + 1));
  return address;
}

}  // namespace fleetward::api::s3
