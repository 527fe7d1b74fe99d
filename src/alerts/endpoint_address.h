#pragma once

#include <string>

#include "core/result.h"

struct sockaddr;

namespace fleetward::alerts {

// May a notification be posted to this address? Asked when the connection is made, so that what a name
// resolves to then is what counts (a name that answers differently the second time gains nothing).
//
// kPermissionDenied, with the reason:
//   never    link-local (the metadata services of clouds are there), multicast, unspecified, reserved
//   unless `private_allowed`    loopback, RFC 1918, RFC 6598 (carrier-grade NAT), RFC 4193 (fc00::/7)
// An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) counts as itself. Source: the IANA special-purpose
// address registries (RFC 6890).
Status check_endpoint_address(const sockaddr& address, bool private_allowed);

// `url` has passed the scheme's check: what is wrong with the rest of "scheme://[user@]host[:port][/...]";
// empty if nothing is.
std::string url_authority_problem(const std::string& url);

}  // namespace fleetward::alerts
