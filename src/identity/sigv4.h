#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/time.h"

// AWS Signature Version 4: the pure computation, shared by the server that verifies (http/sigv4.h) and by
// those that sign (the client of an outside S3, `simulate`). Source: AWS IAM User Guide, "Create a signed AWS
// API request".
namespace fleetward::identity::sigv4 {

using Pairs = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";
inline constexpr std::string_view kEmptySha256 =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// What is signed. Views must outlive the call.
struct CanonicalInput {
  std::string_view method;
  std::string_view raw_path;                       // as on the wire, percent-encoded, without the query
  const Pairs& query;                              // decoded, any order; the signature parameter left out
  const Pairs& headers;                            // any case, any order; only the signed ones are used
  const std::vector<std::string>& signed_headers;  // lower case, sorted
  std::string_view payload_hash;
  // S3 encodes the path once and keeps dot segments; every other service removes them and encodes twice.
  bool s3 = false;
};

struct Scope {
  std::string date;  // "20261124"
  std::string region;
  std::string service;
  std::string text() const;  // "20261124/eu-west-1/s3/aws4_request"
};

std::string canonical_request(const CanonicalInput& input);
std::string string_to_sign(std::string_view amz_date, const Scope& scope, std::string_view canonical_request);
// 32 raw bytes: good for all requests of one scope.
std::string signing_key(std::string_view secret, const Scope& scope);
// 64 lower-case hex digits.
std::string signature(std::string_view signing_key, std::string_view string_to_sign);

struct Credentials {
  std::string access_key_id;
  std::string secret;
  std::string session_token;  // empty for long-lived keys
};

struct Outgoing {
  std::string method;
  std::string raw_path = "/";  // already percent-encoded
  Pairs query;                 // decoded
  Pairs headers;               // must hold Host; those present are all signed
  std::string payload_hash;    // hex SHA-256 of the body, or kUnsignedPayload (S3)
};

// Adds X-Amz-Date, X-Amz-Security-Token (if any), X-Amz-Content-Sha256 (S3) and Authorization.
void sign(Outgoing& request, const Credentials& credentials, std::string_view region,
          std::string_view service, Timestamp now);
// Adds the X-Amz-* query parameters of a presigned URL; the headers present are signed. `expires_seconds` in
// 1..604800. The payload hash is kUnsignedPayload for S3, else request.payload_hash.
void presign(Outgoing& request, const Credentials& credentials, std::string_view region,
             std::string_view service, Timestamp now, int expires_seconds);

// "a=b&c=d" with both sides percent-encoded, in the order given.
std::string encode_query(const Pairs& query);

}  // namespace fleetward::identity::sigv4
