#include "registry/certificates.h"

#include "api/iot/certificate_json.h"

namespace fleetward::api::iot {

using registry::Certificate;
using registry::CertificateStatus;

ApiResult<std::string> store_certificate(const Dependencies& d, std::string pem, CertificateStatus status,
                                         std::string authority_id, bool without_authority) {
  auto facts = registry::parse_certificate(pem);
  if (!facts) return certificate_invalid(facts.error().message);
  Certificate certificate;
  certificate.facts = std::move(*facts);
  certificate.pem = std::move(pem);
  certificate.status = status;
  certificate.authority_id = std::move(authority_id);
  certificate.without_authority = without_authority;
  certificate.owner = d.account.account.str();
  certificate.generation_id = d.random.uuid();
  certificate.created = certificate.modified = d.clock.now();
  const std::string id = certificate.facts.id.str();
  const Status stored = d.store.transact(
      [&](state::Transaction& change) { return registry::add_certificate(change, d.tables, certificate); });
  if (!stored && stored.error().code == ErrorCode::kAlreadyExists) {
    return already_exists(stored.error().message, arn(d, "cert", id), id);
  }
  if (!stored) return refuse(kIotStyle, stored.error());
  return id;
}

namespace {

ApiResult<json::object> answer_issued(const Dependencies& d, const registry::IssuedDevice& issued,
                                      bool active) {
  auto id = store_certificate(d, issued.certificate_pem,
                              active ? CertificateStatus::kActive : CertificateStatus::kInactive, {}, false);
  if (!id) return tl::unexpected(id.error());
  json::object out = id_and_arn(d, *id);
  out["certificatePem"] = issued.certificate_pem;
  return out;
}

ApiResult<json::object> create_keys(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const bool active = in.boolean_or("setAsActive", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto issued = d.authority.issue_device(d.options.device_key, d.random, d.clock.now());
  if (!issued) return refuse(kIotStyle, issued.error());
  auto out = answer_issued(d, *issued, active);
  if (!out) return out;
  (*out)["keyPair"] =
      json::object{{"PublicKey", issued->public_key_pem}, {"PrivateKey", issued->private_key_pem}};
  return out;
}

ApiResult<json::object> create_from_csr(const Dependencies& d, const http::Call&,
                                        const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string csr = in.string("certificateSigningRequest", kPem);
  const bool active = in.boolean_or("setAsActive", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto issued = d.authority.issue_from_request(csr, d.random, d.clock.now());
  if (!issued) {
    return refuse(kIotStyle, issued.error().code == ErrorCode::kLimitExceeded
                                 ? Error{ErrorCode::kInvalidArgument, issued.error().message}
                                 : issued.error());
  }
  return answer_issued(d, *issued, active);
}

ApiResult<json::object> describe(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string id = in.string("certificateId", kCertificateId);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const Certificate* c = snapshot->get(d.tables.certificates).find(id);
  if (c == nullptr) return not_found(kIotStyle, "Certificate " + id + " not found");
  json::object out = id_and_arn(d, id);
  if (!c->authority_id.empty()) out["caCertificateId"] = c->authority_id;
  out["status"] = registry::to_string(c->status);
  out["certificatePem"] = c->pem;
  out["ownedBy"] = c->owner;
  out["creationDate"] = c->created.seconds();
  out["lastModifiedDate"] = c->modified.seconds();
  out["customerVersion"] = c->customer_version;
  out["generationId"] = c->generation_id;
  out["validity"] = validity_json(c->facts);
  out["certificateMode"] = c->without_authority ? "SNI_ONLY" : "DEFAULT";
  return json::object{{"certificateDescription", std::move(out)}};
}

ApiResult<json::object> update(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string id = in.string("certificateId", kCertificateId);
  const auto status = registry::parse_certificate_status(in.one_of(
      "newStatus",
      {"ACTIVE", "INACTIVE", "REVOKED", "PENDING_TRANSFER", "REGISTER_INACTIVE", "PENDING_ACTIVATION"}));
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const Status changed = d.store.transact([&](state::Transaction& change) {
    return registry::set_certificate_status(change, d.tables, id, *status, d.clock.now());
  });
  if (!changed && changed.error().code == ErrorCode::kConflict) {
    return certificate_state(changed.error().message);
  }
  if (!changed) return refuse(kIotStyle, changed.error());
  return json::object{};
}

ApiResult<json::object> remove(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string id = in.string("certificateId", kCertificateId);
  const bool force = in.boolean_or("forceDelete", false);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  bool active = false;
  auto removed = commit(d, [&](state::Transaction& change) -> Status {
    if (change.get(d.tables.certificates).find(id) == nullptr) {
      return fail(ErrorCode::kNotFound, "Certificate " + id + " not found");
    }
    switch (registry::use_of_certificate(change.view(), d.tables, id)) {
      case registry::CertificateUse::kActive:
        active = true;
        return fail(ErrorCode::kConflict, "active");
      case registry::CertificateUse::kHasThings:
        return fail(ErrorCode::kConflict,
                    "Things must be detached before deletion (arn: " + arn(d, "cert", id) + ")");
      case registry::CertificateUse::kHasPolicies:
        if (force) break;
        return fail(ErrorCode::kConflict, "Certificate policies must be detached before deletion (arn: " +
                                              arn(d, "cert", id) + ")");
      case registry::CertificateUse::kFree:
        break;
    }
    registry::erase_certificate(change, d.tables, id);
    return {};
  });
  if (active) {
    return certificate_state(
        "Certificate must be deactivated (not ACTIVE) before deletion. (arn: " + arn(d, "cert", id) + ")");
  }
  if (!removed) return tl::unexpected(removed.error());
  return json::object{};
}

json::object summary(const Dependencies& d, const Certificate& c) {
  json::object out = id_and_arn(d, c.facts.id.str());
  out["status"] = registry::to_string(c.status);
  out["certificateMode"] = c.without_authority ? "SNI_ONLY" : "DEFAULT";
  out["creationDate"] = c.created.seconds();
  return out;
}

ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const bool ascending = in.boolean_or("ascendingOrder", false);
  const Page page = read_marker_page(in, "ListCertificates");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  std::string next;
  json::array found;
  for (const auto& c : page_by_creation(snapshot->get(d.tables.certificates), page, ascending, next)) {
    found.push_back(summary(d, *c));
  }
  json::object out{{"certificates", std::move(found)}};
  put_next(out, "nextMarker", next);
  return out;
}

ApiResult<json::object> list_by_ca(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string ca = in.string("caCertificateId", kCertificateId);
  const bool ascending = in.boolean_or("ascendingOrder", false);
  const Page page = read_marker_page(in, "ListCertificatesByCA");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  std::string next;
  json::array found;
  const auto of_ca = [&](const registry::Certificate& c) { return c.authority_id == ca; };
  for (const auto& c : page_by_creation(snapshot->get(d.tables.certificates), page, ascending, next, of_ca)) {
    found.push_back(summary(d, *c));
  }
  json::object out{{"certificates", std::move(found)}};
  put_next(out, "nextMarker", next);
  return out;
}

}  // namespace

std::vector<http::Operation> certificate_operations(const Dependencies& d) {
  constexpr const char* kUri = "/certificates/{certificateId}";
  constexpr std::string_view kResource = "cert/{certificateId}";
  return operations_of(
      d,
      {{"CreateKeysAndCertificate", "POST", "/keys-and-certificate", {"setAsActive:bool"}, "*", create_keys},
       {"CreateCertificateFromCsr", "POST", "/certificates", {"setAsActive:bool"}, "*", create_from_csr},
       {"DescribeCertificate", "GET", kUri, {}, kResource, describe},
       {"UpdateCertificate", "PUT", kUri, {"newStatus"}, kResource, update},
       {"DeleteCertificate", "DELETE", kUri, {"forceDelete:bool"}, kResource, remove},
       {"ListCertificates",
        "GET",
        "/certificates",
        {"pageSize:int", "marker", "isAscendingOrder=ascendingOrder:bool"},
        "*",
        list},
       {"ListCertificatesByCA",
        "GET",
        "/certificates-by-ca/{caCertificateId}",
        {"pageSize:int", "marker", "isAscendingOrder=ascendingOrder:bool"},
        "*",
        list_by_ca}});
}

}  // namespace fleetward::api::iot
