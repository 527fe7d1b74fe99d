#include "api/iot/certificate_json.h"
#include "core/encoding.h"
#include "registry/certificates.h"

namespace fleetward::api::iot {
namespace {

using registry::AuthorityCertificate;
using registry::CertificateStatus;

// RegisterCertificate's `status` and the older `setAsActive`.
CertificateStatus read_status(Input& in) {
  const auto status = in.one_of_opt("status", {"ACTIVE", "INACTIVE", "REVOKED", "PENDING_TRANSFER",
                                               "REGISTER_INACTIVE", "PENDING_ACTIVATION"});
  const bool active = in.boolean_or("setAsActive", false);
  if (!status) return active ? CertificateStatus::kActive : CertificateStatus::kInactive;
  if (*status != "ACTIVE" && *status != "INACTIVE") in.fail("status", "must be ACTIVE or INACTIVE");
  return *status == "ACTIVE" ? CertificateStatus::kActive : CertificateStatus::kInactive;
}

// The one registered CA that signed the certificate.
ApiResult<std::shared_ptr<const AuthorityCertificate>> find_signer(const Dependencies& d,
                                                                   const std::string& pem,
                                                                   const std::optional<std::string>& named) {
  const auto snapshot = d.store.snapshot();
  std::vector<std::shared_ptr<const AuthorityCertificate>> signers;
  std::string wanted;
  if (named) {
    auto facts = registry::parse_certificate(*named);
    if (!facts) return certificate_invalid("caCertificatePem: " + facts.error().message);
    wanted = facts->id.str();
  }
  snapshot->get(d.tables.authorities).visit_from("", [&](const auto& entry) {
    if (!wanted.empty() && entry.key != wanted) return true;
    if (registry::check_signed_by(pem, entry.value->pem)) signers.push_back(entry.value);
    return true;
  });
  if (signers.empty()) {
    return certificate_invalid("No registered CA certificate of this account signed the certificate");
  }
  if (signers.size() > 1) {
    return http::api_fail(409, "CertificateConflictException",
                          "Several registered CA certificates signed it; name one as caCertificatePem");
  }
  if (!signers.front()->active) {
    return certificate_state("The CA certificate " + signers.front()->facts.id.str() + " is INACTIVE");
  }
  return signers.front();
}

ApiResult<std::string> read_pem(const std::string& text) {
  auto pem = registry::normalize_certificate(text);
  if (!pem) return certificate_invalid(pem.error().message);
  return *pem;
}

ApiResult<json::object> register_certificate(const Dependencies& d, const http::Call&,
                                             const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string text = in.string("certificatePem", kPem);
  const auto authority_text = in.string_opt("caCertificatePem", kPem);
  const CertificateStatus status = read_status(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto pem = read_pem(text);
  if (!pem) return tl::unexpected(pem.error());
  auto signer = find_signer(d, *pem, authority_text);
  if (!signer) return tl::unexpected(signer.error());
  auto id = store_certificate(d, *pem, status, (*signer)->facts.id.str(), (*signer)->sni_only);
  if (!id) return tl::unexpected(id.error());
  return id_and_arn(d, *id);
}

ApiResult<json::object> register_without_ca(const Dependencies& d, const http::Call&,
                                            const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string text = in.string("certificatePem", kPem);
  const CertificateStatus status = read_status(in);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto pem = read_pem(text);
  if (!pem) return tl::unexpected(pem.error());
  auto id = store_certificate(d, *pem, status, {}, true);
  if (!id) return tl::unexpected(id.error());
  return id_and_arn(d, *id);
}

void put_code(state::Transaction& change, const registry::Tables& tables, std::string code) {
  const auto* held = change.get(tables.account).find("");
  registry::AccountFacts next = held == nullptr ? registry::AccountFacts{} : *held;
  next.registration_code = std::move(code);
  change.put(tables.account, "", std::move(next));
}

ApiResult<json::object> get_code(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto held = [&](const state::Snapshot& snapshot) {
    const auto* facts = snapshot.get(d.tables.account).find("");
    return facts == nullptr ? std::string() : facts->registration_code;
  };
  std::string code = held(*d.store.snapshot());
  if (code.empty()) {
    auto ok = commit(d, [&](state::Transaction& change) -> Status {
      code = held(change.view());
      if (!code.empty()) return {};
      code = to_hex(d.random.bytes(32));
      put_code(change, d.tables, code);
      return {};
    });
    if (!ok) return tl::unexpected(ok.error());
  }
  return json::object{{"registrationCode", code}};
}

ApiResult<json::object> delete_code(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    const auto* facts = change.get(d.tables.account).find("");
    if (facts == nullptr || facts->registration_code.empty()) {
      return fail(ErrorCode::kNotFound, "No registration code was asked for");
    }
    put_code(change, d.tables, {});
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

}  // namespace

std::vector<http::Operation> register_operations(const Dependencies& d) {
  return operations_of(
      d,
      {{"RegisterCertificate",
        "POST",
        "/certificate/register",
        {"setAsActive:bool"},
        "*",
        register_certificate},
       {"RegisterCertificateWithoutCA", "POST", "/certificate/register-no-ca", {}, "*", register_without_ca},
       {"GetRegistrationCode", "GET", "/registrationcode", {}, "*", get_code},
       {"DeleteRegistrationCode", "DELETE", "/registrationcode", {}, "*", delete_code}});
}

}  // namespace fleetward::api::iot
