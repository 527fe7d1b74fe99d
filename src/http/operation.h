#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "identity/caller.h"
#include "identity/policy.h"

// One table of operations per AWS service drives everything: routing, argument binding, authorization, error
// shapes and docs/reference/operations.md. An operation sees one JSON object of arguments and answers one,
// whatever the protocol.
namespace fleetward::http {

enum class Protocol { kRestJson, kJson11, kQuery };

// An error as AWS names it. `extra` members join the error body (resourceArn, ...).
struct ApiError {
  int status = 400;
  std::string name;  // "ResourceNotFoundException"
  std::string message;
  json::object extra;
  // JSON pointers (RFC 6901) of arguments that the operation does not know, if that is the error: it has done
  // nothing.
  std::vector<std::string> unknown_members = {};
};

template <typename T>
using ApiResult = tl::expected<T, ApiError>;

inline tl::unexpected<ApiError> api_fail(int status, std::string name, std::string message,
                                         json::object extra = {}) {
  return tl::unexpected<ApiError>(ApiError{status, std::move(name), std::move(message), std::move(extra)});
}

// What an operation is given beside its arguments.
struct Call {
  const identity::Caller& caller;
  std::string_view source_address;
  std::string_view request_id;
  // REST-JSON operations with a raw payload (iotdata Publish): the body's bytes; empty otherwise.
  std::string_view payload;
  // Condition keys of the request (aws:SourceIp, aws:CurrentTime, ...); null in tests only.
  const identity::RequestContext* context = nullptr;
};

// REST-JSON: where each member comes from, as in the service model. Members not listed come from the JSON
// body.
struct Binding {
  enum class From { kPath, kQuery, kHeader } from;
  std::string wire;    // "nextToken", "x-amzn-principal"; path labels use their own name
  std::string member;  // "principal"
  enum class Type { kString, kInteger, kBoolean, kTimestamp, kStringList } type = Type::kString;
};

struct Operation {
  std::string name;  // "CreateThing"
  // REST-JSON only: "POST", "/things/{thingName}". A label may be greedy: "{topic+}".
  std::string method;
  std::string uri;
  std::vector<Binding> bindings;
  bool raw_payload = false;  // the body is bytes, not JSON
  // The IAM action if it is not "<service>:<name>".
  std::string action;
  // The ARN the caller needs `action` on; "" is the caller's own, "*" without a function.
  std::function<std::string(const json::object& arguments)> resource;
  std::function<ApiResult<json::object>(const Call&, const json::object& arguments)> run;
  // A documented operation this release refuses: answered with NotImplemented, listed as such in the
  // reference.
  bool implemented = true;
  // False: any valid signature may call it (sts:GetCallerIdentity), or the operation authorizes by itself.
  bool authorize = true;
  // Also without a signature, as anonymous (SNS confirmation links). Query protocol only.
  bool allow_unsigned = false;
};

// Documented operations that are not there, for a service's table: refused by name, listed in the reference.
std::vector<Operation> missing_operations(std::initializer_list<std::string_view> names);

struct Service {
  std::string signing_name;  // "iot", "firehose", "sts", ...
  Protocol protocol;
  std::string target_prefix;  // JSON 1.1: "Firehose_20150804"
  std::string xml_namespace;  // Query; ends in the API version: "https://sts.amazonaws.com/doc/2011-06-15/"
  std::vector<Operation> operations;
  uint64_t body_bytes_max = uint64_t{1} << 20;  // larger requests are refused unread
};

// REST-JSON answers: a member named "$payload" (a string of bytes) becomes the whole body instead of JSON.

// Query protocol answers: json::object -> <XResponse><XResult>...; arrays become <member> lists. A
// map<string,string> (SNS Attributes) is marked by wrapping it: {"$map": {...}} ->
// <entry><key/><value/></entry>. Query protocol arguments: "Tags.member.1.Key=a" -> {"Tags":[{"Key":"a"}]};
// "Attributes.entry.1.key=k&...value=v" ->
// {"Attributes":{"k":"v"}}. All scalars arrive as strings.

}  // namespace fleetward::http
