#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "core/time.h"
#include "http/message.h"
#include "identity/caller.h"
#include "identity/identities.h"
#include "identity/sigv4.h"

// Verification of signed requests. Pure: time, keys and the body's hash are handed in.
namespace fleetward::http {

// The signing name of MQTT over WebSockets.
inline constexpr std::string_view kGatewayService = "iotdevicegateway";

// Where access keys are looked up. Thread safe.
class CredentialLookup {
 public:
  virtual ~CredentialLookup() = default;
  virtual std::optional<identity::Credentials> find(std::string_view access_key_id) const = 0;
};

// The keys of the control store's current snapshot.
class StoredCredentials final : public CredentialLookup {
 public:
  StoredCredentials(const state::Store& store, const identity::Tables& tables, const AccountScope& scope)
      : store_(store), tables_(tables), scope_(scope) {}
  std::optional<identity::Credentials> find(std::string_view access_key_id) const override;

 private:
  const state::Store& store_;
  const identity::Tables& tables_;
  const AccountScope& scope_;
};

enum class AuthFailure {
  kMissing,      // no signature at all
  kIncomplete,   // a part is missing or does not parse
  kUnsupported,  // SigV4A, SigV2
  kUnknownKey,
  kMismatch,        // the signature is another one
  kUnsignedHeader,  // an x-amz-* header or host is not among the signed ones
  kSkewed,          // signed too long ago, or in the future
  kPresignedExpired,
  kTokenInvalid,  // session token missing or another one
  kTokenExpired,
  kWrongRegion,
  kPayloadHash,  // the body is not what was signed
};

struct AuthError {
  AuthFailure kind;
  std::string message;
  // For S3's error body; never holds the secret or the key.
  std::string canonical_request, string_to_sign;
};

// What a request claims, before anything was verified.
struct Authentication {
  bool presigned = false;
  std::string access_key_id;
  identity::sigv4::Scope scope;
  std::vector<std::string> signed_headers;
  std::string signature;
  std::string amz_date;
  Timestamp signed_at;
  int64_t expires_seconds = 0;  // presigned
  std::string session_token;
};

// nullopt: the request is not signed. Reads the Authorization header or, without one, the query.
tl::expected<std::optional<Authentication>, AuthError> parse_authentication(const RequestHead& head);

enum class PayloadForm {
  kHashed,                   // the body's SHA-256 is `payload_sha256`
  kUnsigned,                 // UNSIGNED-PAYLOAD
  kStreamingSigned,          // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
  kStreamingSignedTrailer,   // ...-TRAILER
  kStreamingUnsignedTrailer  // STREAMING-UNSIGNED-PAYLOAD-TRAILER
};

// What x-amz-content-sha256 says about an S3 body; absent and not `required`: kUnsigned.
tl::expected<PayloadForm, AuthError> payload_form_of(const RequestHead& head, bool required);

// What is needed to go on verifying chunks after the head.
struct ChunkSigning {
  std::string signing_key, amz_date, scope_text, seed_signature;
};

struct Verified {
  identity::Caller caller;
  bool presigned = false;
  PayloadForm payload = PayloadForm::kHashed;
  std::string payload_sha256;  // kHashed: what the body must hash to (lower-case hex)
  ChunkSigning chunks;
};

struct VerifyOptions {
  std::string region;
  Duration skew_max{15 * 60'000};
};

// `body_sha256`: lower-case hex of the whole body; not used for S3, whose head says the hash (the caller then
// compares `payload_sha256` with the body, or decodes chunks with ChunkedDecoder). IAM and STS are accepted
// for us-east-1 as well.
tl::expected<Verified, AuthError> verify(const RequestHead& head, const Authentication& claim,
                                         std::string_view body_sha256, const VerifyOptions& options,
                                         const CredentialLookup& keys, Timestamp now);

}  // namespace fleetward::http
