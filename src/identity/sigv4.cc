#include "identity/sigv4.h"

#include <algorithm>

#include "core/encoding.h"
#include "core/text.h"

namespace fleetward::identity::sigv4 {
namespace {

// Trimmed, inner runs of spaces become one.
void append_value(std::string_view value, std::string& out) {
  const size_t first = value.find_first_not_of(" \t");
  if (first == std::string_view::npos) return;
  value = value.substr(first, value.find_last_not_of(" \t") - first + 1);
  bool space = false;
  for (const char c : value) {
    if (c == ' ') {
      space = true;
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
  }
}

// RFC 3986 5.2.4 as AWS applies it: "." and empty segments go, ".." takes the one before; a closing slash
// stays.
std::string remove_dot_segments(std::string_view path) {
  std::vector<std::string_view> kept;
  size_t at = 0;
  while (at <= path.size()) {
    const size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, slash - at);
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
    at = slash + 1;
  }
  std::string out;
  for (const std::string_view segment : kept) {
    out += '/';
    out += segment;
  }
  if (out.empty() || (!path.empty() && path.back() == '/')) out += '/';
  return out;
}

std::string canonical_path(std::string_view raw_path, bool s3) {
  if (raw_path.empty()) return "/";
  if (!s3) return percent_encode(remove_dot_segments(raw_path), true);
  const auto decoded = percent_decode(raw_path);
  return percent_encode(decoded ? *decoded : std::string(raw_path), true);
}

std::string canonical_query(const Pairs& query) {
  Pairs encoded;
  encoded.reserve(query.size());
  for (const auto& [name, value] : query) encoded.emplace_back(percent_encode(name), percent_encode(value));
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out += '&';
    out += name;
    out += '=';
    out += value;
  }
  return out;
}

std::vector<std::string> signed_names(const Pairs& headers) {
  std::vector<std::string> names;
  for (const auto& header : headers) names.push_back(to_lower(header.first));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string join(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    if (!out.empty()) out += ';';
    out += name;
  }
  return out;
}

std::string sign_outgoing(const Outgoing& request, const std::vector<std::string>& names,
                          std::string_view payload_hash, std::string_view secret, std::string_view amz_date,
                          const Scope& scope) {
  const std::string canonical =
      canonical_request({request.method, request.raw_path, request.query, request.headers, names,
                         payload_hash, scope.service == "s3"});
  return signature(signing_key(secret, scope), string_to_sign(amz_date, scope, canonical));
}

}  // namespace

std::string Scope::text() const {
  return date + "/" + region + "/" + service + "/aws4_request";
}

std::string canonical_request(const CanonicalInput& input) {
  std::string out(input.method);
  out += '\n';
  out += canonical_path(input.raw_path, input.s3);
  out += '\n';
  out += canonical_query(input.query);
  out += '\n';
  for (const std::string& name : input.signed_headers) {
    out += name;
    out += ':';
    bool first = true;
    for (const auto& [header, value] : input.headers) {
      if (header.size() != name.size() || to_lower(header) != name) continue;
      if (!first) out += ',';
      first = false;
      append_value(value, out);
    }
    out += '\n';
  }
  out += '\n';
  out += join(input.signed_headers);
  out += '\n';
  out += input.payload_hash;
  return out;
}

std::string string_to_sign(std::string_view amz_date, const Scope& scope, std::string_view canonical) {
  std::string out(kAlgorithm);
  out += '\n';
  out += amz_date;
  out += '\n';
  out += scope.text();
  out += '\n';
  out += sha256_hex(canonical);
  return out;
}

std::string signing_key(std::string_view secret, const Scope& scope) {
  std::string key = hmac_sha256("AWS4" + std::string(secret), scope.date);
  key = hmac_sha256(key, scope.region);
  key = hmac_sha256(key, scope.service);
  return hmac_sha256(key, "aws4_request");
}

std::string signature(std::string_view key, std::string_view text) {
  return to_hex(hmac_sha256(key, text));
}

void sign(Outgoing& request, const Credentials& credentials, std::string_view region,
          std::string_view service, Timestamp now) {
  const std::string amz_date = to_iso8601_basic(now);
  const Scope scope{amz_date.substr(0, 8), std::string(region), std::string(service)};
  request.headers.emplace_back("X-Amz-Date", amz_date);
  if (!credentials.session_token.empty()) {
    request.headers.emplace_back("X-Amz-Security-Token", credentials.session_token);
  }
  if (service == "s3") request.headers.emplace_back("X-Amz-Content-Sha256", request.payload_hash);
  const auto names = signed_names(request.headers);
  const std::string hex =
      sign_outgoing(request, names, request.payload_hash, credentials.secret, amz_date, scope);
  request.headers.emplace_back("Authorization",
                               std::string(kAlgorithm) + " Credential=" + credentials.access_key_id + "/" +
                                   scope.text() + ", SignedHeaders=" + join(names) + ", Signature=" + hex);
}

void presign(Outgoing& request, const Credentials& credentials, std::string_view region,
             std::string_view service, Timestamp now, int expires_seconds) {
  const std::string amz_date = to_iso8601_basic(now);
  const Scope scope{amz_date.substr(0, 8), std::string(region), std::string(service)};
  const auto names = signed_names(request.headers);
  request.query.emplace_back("X-Amz-Algorithm", kAlgorithm);
  request.query.emplace_back("X-Amz-Credential", credentials.access_key_id + "/" + scope.text());
  request.query.emplace_back("X-Amz-Date", amz_date);
  request.query.emplace_back("X-Amz-Expires", std::to_string(expires_seconds));
  request.query.emplace_back("X-Amz-SignedHeaders", join(names));
  if (!credentials.session_token.empty()) {
    request.query.emplace_back("X-Amz-Security-Token", credentials.session_token);
  }
  const std::string_view hash = service == "s3" ? kUnsignedPayload : std::string_view(request.payload_hash);
  request.query.emplace_back("X-Amz-Signature",
                             sign_outgoing(request, names, hash, credentials.secret, amz_date, scope));
}

std::string encode_query(const Pairs& query) {
  std::string out;
  for (const auto& [name, value] : query) {
    if (!out.empty()) out += '&';
    out += percent_encode(name);
    out += '=';
    out += percent_encode(value);
  }
  return out;
}

}  // namespace fleetward::identity::sigv4
