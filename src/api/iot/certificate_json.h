#pragma once

#include "api/iot/iot.h"

// What the files on certificates share.
namespace fleetward::api::iot {

inline constexpr StringRule kCertificateId{.min = 64, .max = 64, .check = CertificateIdRule::check};
inline constexpr StringRule kPem{.min = 1, .max = 65'536};

inline json::object validity_json(const registry::CertificateFacts& facts) {
  return {{"notBefore", facts.not_before.seconds()}, {"notAfter", facts.not_after.seconds()}};
}
inline json::object id_and_arn(const Dependencies& d, const std::string& id) {
  return {{"certificateArn", arn(d, "cert", id)}, {"certificateId", id}};
}
inline tl::unexpected<http::ApiError> certificate_state(std::string message) {
  return http::api_fail(406, "CertificateStateException", std::move(message));
}
inline tl::unexpected<http::ApiError> certificate_invalid(std::string message) {
  return http::api_fail(400, "CertificateValidationException", std::move(message));
}
// Stores a certificate of ours or of a customer. The facts are read from `pem`.
ApiResult<std::string> store_certificate(const Dependencies& d, std::string pem,
                                         registry::CertificateStatus status, std::string authority_id,
                                         bool without_authority);

}  // namespace fleetward::api::iot
