#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

// What an outside S3 answered, in this program's terms. Pure.
namespace fleetward::lake {

// The error of an answer that is not 2xx: the status and the <Code> and <Message> of its body (which may be
// anything; at most the first part of it is looked at). `what` says what was tried.
Error classify_answer(std::string_view what, long status, std::string_view body);

// True if trying again may help.
bool may_pass(ErrorCode code);

struct RemoteTarget {
  std::string url;       // of the object or bucket
  std::string host;      // the Host header
  std::string raw_path;  // percent-encoded
};
// `endpoint` is "scheme://host[:port]". An empty key is the bucket itself.
RemoteTarget remote_target(std::string_view endpoint, bool path_style, std::string_view bucket,
                           std::string_view key);
// "http(s)://host[:port]" and nothing after it.
Status check_endpoint(std::string_view endpoint);

}  // namespace fleetward::lake
