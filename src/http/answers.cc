#include "http/answers.h"

#include "http/query_protocol.h"

namespace fleetward::http {
namespace {

// Names of one failure in JSON protocols, Query and S3.
struct Names {
  std::string_view json, query, s3;
  int query_status = 403, s3_status = 403;
};

Names names_of(AuthFailure kind) {
  switch (kind) {
    case AuthFailure::kMissing:
      return {"MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied"};
    case AuthFailure::kIncomplete:
      return {"IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed", 400,
              400};
    case AuthFailure::kUnsupported:
      return {"IncompleteSignatureException", "IncompleteSignature", "InvalidRequest", 400, 400};
    case AuthFailure::kUnknownKey:
      return {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"};
    case AuthFailure::kMismatch:
      return {"InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"};
    case AuthFailure::kUnsignedHeader:
      return {"InvalidSignatureException", "SignatureDoesNotMatch", "AccessDenied"};
    case AuthFailure::kSkewed:
      return {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"};
    case AuthFailure::kPresignedExpired:
      return {"InvalidSignatureException", "SignatureDoesNotMatch", "AccessDenied"};
    case AuthFailure::kTokenInvalid:
      return {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken", 403, 400};
    case AuthFailure::kTokenExpired:
      return {"ExpiredTokenException", "ExpiredToken", "ExpiredToken", 403, 400};
    case AuthFailure::kWrongRegion:
      return {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", 403, 400};
    case AuthFailure::kPayloadHash:
      return {"InvalidSignatureException", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch", 403, 400};
  }
  return {"InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"};
}

bool is_query(Protocol protocol) {
  return protocol == Protocol::kQuery;
}
// JSON 1.1 front ends answer 400 where REST ones answer 403.
int denied_status(Protocol protocol) {
  return protocol == Protocol::kJson11 ? 400 : 403;
}

}  // namespace

Response answer_result(const Service& service, const Operation& operation, const json::object& result,
                       std::string_view request_id) {
  Response response;
  response.headers.add("x-amzn-RequestId", std::string(request_id));
  switch (service.protocol) {
    case Protocol::kQuery:
      response.headers.add("Content-Type", "text/xml");
      response.body = query_result_xml(operation.name, service.xml_namespace, result, request_id);
      break;
    case Protocol::kJson11:
      response.headers.add("Content-Type", "application/x-amz-json-1.1");
      response.body = json::serialize(result);
      break;
    case Protocol::kRestJson:
      response.headers.add("Content-Type", "application/json");
      if (result.contains("$payload")) {
        response.body = json::string_or(result, "$payload");
      } else {
        response.body = json::serialize(result);
      }
      break;
  }
  return response;
}

Response answer_error(Protocol protocol, std::string_view xml_namespace, const ApiError& error,
                      std::string_view request_id) {
  Response response;
  response.status = error.status;
  response.headers.add("x-amzn-RequestId", std::string(request_id));
  if (is_query(protocol)) {
    response.headers.add("Content-Type", "text/xml");
    response.body = query_error_xml(xml_namespace, error, request_id);
    return response;
  }
  json::object body;
  if (protocol == Protocol::kJson11) {
    response.headers.add("Content-Type", "application/x-amz-json-1.1");
    body["__type"] = error.name;
  } else {
    response.headers.add("Content-Type", "application/json");
    response.headers.add("x-amzn-ErrorType", error.name);
  }
  body["message"] = error.message;
  for (const auto& member : error.extra) body[member.key()] = member.value();
  response.body = json::serialize(body);
  return response;
}

ApiError auth_api_error(Protocol protocol, const AuthError& error) {
  const Names names = names_of(error.kind);
  // AWS does not tell whether a key id exists.
  const std::string message = error.kind == AuthFailure::kUnknownKey
                                  ? "The security token included in the request is invalid."
                                  : error.message;
  if (is_query(protocol)) return {names.query_status, std::string(names.query), message, {}};
  return {denied_status(protocol), std::string(names.json), message, {}};
}

ApiError auth_s3_error(const AuthError& error, std::string_view expected_region) {
  const Names names = names_of(error.kind);
  ApiError out{names.s3_status, std::string(names.s3), error.message, {}};
  if (!error.string_to_sign.empty()) {
    out.extra["StringToSign"] = error.string_to_sign;
    out.extra["CanonicalRequest"] = error.canonical_request;
  }
  if (error.kind == AuthFailure::kWrongRegion) out.extra["Region"] = std::string(expected_region);
  return out;
}

ApiError denied_error(const Service& service, std::string message) {
  std::string_view name = is_query(service.protocol) ? "AccessDenied" : "AccessDeniedException";
  if (service.signing_name == "sns") name = "AuthorizationError";
  return {denied_status(service.protocol), std::string(name), std::move(message), {}};
}

ApiError overloaded_error(Protocol protocol) {
  return {503,
          is_query(protocol) ? "ServiceUnavailable" : "ServiceUnavailableException",
          "The service is overloaded. Try again.",
          {}};
}

ApiError too_large_error(Protocol protocol) {
  return {413,
          is_query(protocol) ? "RequestEntityTooLarge" : "RequestEntityTooLargeException",
          "The body of the request is too large.",
          {}};
}

ApiError internal_error(Protocol protocol) {
  return {500,
          is_query(protocol) ? "InternalFailure" : "InternalFailureException",
          "An internal error occurred.",
          {}};
}

}  // namespace fleetward::http
