#include "http/sigv4.h"

#include <algorithm>
#include <charconv>

#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::http {
namespace sigv4 = identity::sigv4;

namespace {

constexpr int64_t kPresignedSecondsMax = 604'800;
constexpr size_t kSignedHeadersMax = 100;
constexpr int64_t kGatewaySecondsMax = 86'400;  // a WebSocket's signature that says nothing else

tl::unexpected<AuthError> refuse(AuthFailure kind, std::string message) {
  return tl::unexpected<AuthError>(AuthError{kind, std::move(message), {}, {}});
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

bool is_lower_hex(std::string_view text, size_t length) {
  return text.size() == length && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// "20261124T070000Z"
std::optional<Timestamp> parse_amz_date(std::string_view text) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
  for (size_t i = 0; i < 15; ++i) {
    if (i != 8 && (text[i] < '0' || text[i] > '9')) return std::nullopt;
  }
  const auto number = [&](size_t at, size_t count) {
    int n = 0;
    std::from_chars(text.data() + at, text.data() + at + count, n);
    return n;
  };
  using namespace std::chrono;
  const year_month_day date{year{number(0, 4)}, month{static_cast<unsigned>(number(4, 2))},
                            day{static_cast<unsigned>(number(6, 2))}};
  const int hour = number(9, 2), minute = number(11, 2), second = number(13, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const auto when = sys_days{date} + hours{hour} + minutes{minute} + seconds{second};
  return Timestamp{duration_cast<milliseconds>(when.time_since_epoch()).count()};
}

// "AKIA.../20261124/eu-west-1/s3/aws4_request": the key id holds no slash, so the parts are counted from the
// end.
bool parse_credential(std::string_view text, Authentication& out) {
  const auto parts = split(text, '/');
  if (parts.size() != 5 || parts[4] != "aws4_request") return false;
  if (std::any_of(parts.begin(), parts.end(), [](std::string_view p) { return p.empty(); })) return false;
  out.access_key_id = parts[0];
  out.scope = {std::string(parts[1]), std::string(parts[2]), std::string(parts[3])};
  return true;
}

bool parse_signed_headers(std::string_view text, Authentication& out) {
  for (const std::string_view name : split(text, ';')) {
    if (name.empty() || out.signed_headers.size() == kSignedHeadersMax) return false;
    if (std::any_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) return false;
    out.signed_headers.emplace_back(name);
  }
  return std::is_sorted(out.signed_headers.begin(), out.signed_headers.end());
}

using Parsed = tl::expected<std::optional<Authentication>, AuthError>;

Parsed parse_header_form(const RequestHead& head, std::string_view text) {
  const size_t space = text.find(' ');
  const std::string_view algorithm = text.substr(0, space);
  if (algorithm != sigv4::kAlgorithm) {
    return refuse(
        AuthFailure::kUnsupported,
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.");
  }
  Authentication out;
  bool credential = false, headers = false;
  const std::string_view rest = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  for (const std::string_view piece : split(rest, ',')) {
    const std::string_view part = trim(piece);
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = part.substr(0, equals), value = part.substr(equals + 1);
    if (name == "Credential") {
      credential = parse_credential(value, out);
      if (!credential) {
        return refuse(AuthFailure::kIncomplete,
                      "Credential must have exactly 5 slash-delimited elements, e.g. "
                      "keyid/date/region/service/aws4_request.");
      }
    } else if (name == "SignedHeaders") {
      headers = parse_signed_headers(value, out);
      if (!headers) return refuse(AuthFailure::kIncomplete, "SignedHeaders must be sorted lower-case names.");
    } else if (name == "Signature") {
      out.signature = value;
    }
  }
  if (!credential)
    return refuse(AuthFailure::kIncomplete, "Authorization header requires 'Credential' parameter.");
  if (!headers)
    return refuse(AuthFailure::kIncomplete, "Authorization header requires 'SignedHeaders' parameter.");
  if (!is_lower_hex(out.signature, 64)) {
    return refuse(AuthFailure::kIncomplete, "Authorization header requires 'Signature' parameter.");
  }
  out.amz_date = head.headers.get("x-amz-date");
  const auto when = parse_amz_date(out.amz_date);
  if (!when) {
    return refuse(AuthFailure::kIncomplete,
                  "Authorization header requires existence of an 'X-Amz-Date' header of the form "
                  "yyyymmddThhmmssZ.");
  }
  out.signed_at = *when;
  out.session_token = head.headers.get("x-amz-security-token");
  return out;
}

Parsed parse_query_form(const RequestHead& head) {
  const auto value = [&](std::string_view name) -> std::string_view {
    const QueryParameter* found = head.find_query(name);
    return found == nullptr ? std::string_view() : std::string_view(found->value);
  };
  if (value("X-Amz-Algorithm") != sigv4::kAlgorithm) {
    return refuse(AuthFailure::kUnsupported, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\".");
  }
  Authentication out;
  out.presigned = true;
  if (!parse_credential(value("X-Amz-Credential"), out)) {
    return refuse(AuthFailure::kIncomplete,
                  "X-Amz-Credential must be keyid/date/region/service/aws4_request.");
  }
  if (!parse_signed_headers(value("X-Amz-SignedHeaders"), out)) {
    return refuse(AuthFailure::kIncomplete, "X-Amz-SignedHeaders must be sorted lower-case names.");
  }
  out.signature = value("X-Amz-Signature");
  if (!is_lower_hex(out.signature, 64))
    return refuse(AuthFailure::kIncomplete, "X-Amz-Signature is missing.");
  out.amz_date = value("X-Amz-Date");
  const auto when = parse_amz_date(out.amz_date);
  if (!when) return refuse(AuthFailure::kIncomplete, "X-Amz-Date must be in the ISO8601 Long Format.");
  out.signed_at = *when;
  const QueryParameter* expires = head.find_query("X-Amz-Expires");
  if (expires != nullptr) {
    out.expires_seconds = parse_number<int64_t>(expires->value).value_or(0);
  } else if (out.scope.service == kGatewayService) {
    out.expires_seconds = kGatewaySecondsMax;
  }
  if (out.expires_seconds < 1 || out.expires_seconds > kPresignedSecondsMax) {
    return refuse(AuthFailure::kIncomplete, "X-Amz-Expires must be between 1 and 604800 seconds.");
  }
  out.session_token = value("X-Amz-Security-Token");
  return out;
}

tl::expected<void, AuthError> check_scope(const Authentication& claim, const VerifyOptions& options) {
  const sigv4::Scope& scope = claim.scope;
  const bool global = (scope.service == "iam" || scope.service == "sts") && scope.region == "us-east-1";
  if (scope.region != options.region && !global) {
    return refuse(AuthFailure::kWrongRegion, "Credential should be scoped to a valid region, not '" +
                                                 scope.region + "'; expecting '" + options.region + "'.");
  }
  if (scope.date != std::string_view(claim.amz_date).substr(0, 8)) {
    return refuse(AuthFailure::kMismatch,
                  "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
                  "version of date from HTTP: '" +
                      scope.date + "' != '" + claim.amz_date + "'.");
  }
  return {};
}

tl::expected<void, AuthError> check_time(const Authentication& claim, const VerifyOptions& options,
                                         Timestamp now) {
  if (claim.signed_at > now + options.skew_max) {
    return refuse(AuthFailure::kSkewed, "Signature not yet current: " + claim.amz_date +
                                            " is still later than " + to_iso8601_basic(now) + ".");
  }
  if (claim.presigned) {
    if (now > claim.signed_at + Duration{claim.expires_seconds * 1000}) {
      return refuse(AuthFailure::kPresignedExpired, "Request has expired");
    }
    return {};
  }
  if (claim.signed_at < now - options.skew_max) {
    return refuse(AuthFailure::kSkewed, "Signature expired: " + claim.amz_date + " is now earlier than " +
                                            to_iso8601_basic(now - options.skew_max) + ".");
  }
  return {};
}

bool is_signed(const Authentication& claim, std::string_view name) {
  return std::binary_search(claim.signed_headers.begin(), claim.signed_headers.end(), name);
}

tl::expected<void, AuthError> check_signed_headers(const RequestHead& head, const Authentication& claim) {
  if (!is_signed(claim, "host"))
    return refuse(AuthFailure::kUnsignedHeader, "'host' must be a signed header.");
  for (const auto& [field, value] : head.headers.all()) {
    const std::string name = to_lower(field);
    if (name.starts_with("x-amz-") && !is_signed(claim, name)) {
      return refuse(AuthFailure::kUnsignedHeader,
                    "There were headers present in the request which were not signed: " + name);
    }
  }
  for (const std::string& name : claim.signed_headers) {
    if (!head.headers.has(name)) {
      return refuse(AuthFailure::kMismatch, "The signed header '" + name + "' is not in the request.");
    }
  }
  return {};
}

std::string canonical_of(const RequestHead& head, const Authentication& claim, std::string_view payload_hash,
                         bool with_token) {
  sigv4::Pairs query;
  for (const QueryParameter& parameter : head.query) {
    if (claim.presigned && parameter.name == "X-Amz-Signature") continue;
    if (!with_token && parameter.name == "X-Amz-Security-Token") continue;
    query.emplace_back(parameter.name, parameter.value);
  }
  return sigv4::canonical_request({head.method, head.raw_path, query, head.headers.all(),
                                   claim.signed_headers, payload_hash, claim.scope.service == "s3"});
}

tl::expected<void, AuthError> check_token(const Authentication& claim, const identity::Credentials& key,
                                          Timestamp now) {
  if (!equal_constant_time(claim.session_token, key.session_token)) {
    return refuse(AuthFailure::kTokenInvalid, "The security token included in the request is invalid.");
  }
  if (key.expires.ms != 0 && key.expires <= now) {
    return refuse(AuthFailure::kTokenExpired, "The security token included in the request is expired");
  }
  return {};
}

}  // namespace

std::optional<identity::Credentials> StoredCredentials::find(std::string_view access_key_id) const {
  auto found = identity::find_credentials(*store_.snapshot(), tables_, scope_, access_key_id);
  if (!found) return std::nullopt;
  return std::move(*found);
}

Parsed parse_authentication(const RequestHead& head) {
  const std::string_view header = head.headers.get("authorization");
  if (!header.empty()) return parse_header_form(head, header);
  if (head.find_query("X-Amz-Signature") != nullptr || head.find_query("X-Amz-Algorithm") != nullptr) {
    return parse_query_form(head);
  }
  if (head.find_query("AWSAccessKeyId") != nullptr && head.find_query("Signature") != nullptr) {
    return refuse(AuthFailure::kUnsupported,
                  "Signature version 2 is not supported. Please use AWS4-HMAC-SHA256 (boto3: "
                  "Config(signature_version='s3v4')).");
  }
  return std::optional<Authentication>();
}

tl::expected<PayloadForm, AuthError> payload_form_of(const RequestHead& head, bool required) {
  const std::string_view text = head.headers.get("x-amz-content-sha256");
  if (text.empty() && required) {
    return refuse(AuthFailure::kIncomplete, "Missing required header for this request: x-amz-content-sha256");
  }
  if (text.empty() || text == sigv4::kUnsignedPayload) return PayloadForm::kUnsigned;
  if (text == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") return PayloadForm::kStreamingSigned;
  if (text == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") return PayloadForm::kStreamingSignedTrailer;
  if (text == "STREAMING-UNSIGNED-PAYLOAD-TRAILER") return PayloadForm::kStreamingUnsignedTrailer;
  if (is_lower_hex(text, 64)) return PayloadForm::kHashed;
  return refuse(AuthFailure::kUnsupported,
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a valid sha256 value or one of "
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
                "STREAMING-UNSIGNED-PAYLOAD-TRAILER.");
}

tl::expected<Verified, AuthError> verify(const RequestHead& head, const Authentication& claim,
                                         std::string_view body_sha256, const VerifyOptions& options,
                                         const CredentialLookup& keys, Timestamp now) {
  if (auto ok = check_scope(claim, options); !ok) return tl::unexpected<AuthError>(ok.error());
  const auto key = keys.find(claim.access_key_id);
  if (!key) {
    return refuse(AuthFailure::kUnknownKey,
                  "The AWS access key id you provided does not exist in our records.");
  }
  if (auto ok = check_signed_headers(head, claim); !ok) return tl::unexpected<AuthError>(ok.error());

  Verified out;
  std::string_view payload_hash = body_sha256;
  if (claim.scope.service == "s3") {
    const auto form = payload_form_of(head, !claim.presigned);
    if (!form) return tl::unexpected<AuthError>(form.error());
    out.payload = *form;
    const std::string_view said = head.headers.get("x-amz-content-sha256");
    if (*form == PayloadForm::kHashed) out.payload_sha256 = said;
    payload_hash = said.empty() ? sigv4::kUnsignedPayload : said;
  }
  out.chunks.signing_key = sigv4::signing_key(key->secret, claim.scope);
  std::string canonical, text;
  const auto matches = [&](bool with_token) {
    canonical = canonical_of(head, claim, payload_hash, with_token);
    text = sigv4::string_to_sign(claim.amz_date, claim.scope, canonical);
    return equal_constant_time(sigv4::signature(out.chunks.signing_key, text), claim.signature);
  };
  // Of a WebSocket's address the AWS SDKs sign all but the session token, which they append.
  const bool token_may_follow =
      claim.presigned && claim.scope.service == kGatewayService && !claim.session_token.empty();
  if (!matches(true) && !(token_may_follow && matches(false))) {
    return tl::unexpected<AuthError>(
        AuthError{AuthFailure::kMismatch,
                  "The request signature we calculated does not match the signature you provided. Check your "
                  "AWS Secret Access Key and signing method.",
                  canonical, text});
  }
  if (auto ok = check_time(claim, options, now); !ok) return tl::unexpected<AuthError>(ok.error());
  if (auto ok = check_token(claim, *key, now); !ok) return tl::unexpected<AuthError>(ok.error());
  out.caller = key->caller;
  out.presigned = claim.presigned;
  out.chunks.amz_date = claim.amz_date;
  out.chunks.scope_text = claim.scope.text();
  out.chunks.seed_signature = claim.signature;
  return out;
}

}  // namespace fleetward::http
