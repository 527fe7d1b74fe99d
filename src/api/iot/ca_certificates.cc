#include "api/iot/certificate_json.h"
#include "registry/certificates.h"

namespace fleetward::api::iot {
namespace {

using registry::AuthorityCertificate;

// The path label of the CA operations.
constexpr const char* kUri = "/cacertificate/{caCertificateId}";
constexpr std::string_view kLabel = "{caCertificateId}=certificateId";
constexpr std::string_view kResource = "cacert/{certificateId}";

json::object id_of(const Dependencies& d, const std::string& id) {
  return {{"certificateArn", arn(d, "cacert", id)}, {"certificateId", id}};
}

// Just-in-time registration is not there: refused, not ignored.
void refuse_auto_registration(Input& in, std::string_view member, bool wanted) {
  if (wanted) in.fail(member, "just-in-time registration is not supported by this release");
}

// The proof that the caller holds the CA's key: a certificate of the CA whose name is the registration code.
ApiResult<void> check_proof(const Dependencies& d, const std::string& authority,
                            const std::optional<std::string>& proof, bool sni_only) {
  if (!proof) {
    if (sni_only) return {};
    return refuse(kIotStyle, "verificationCertificate is needed unless certificateMode is SNI_ONLY");
  }
  const auto facts = registry::parse_certificate(*proof);
  if (!facts) return certificate_invalid("verificationCertificate: " + facts.error().message);
  if (auto signed_by = registry::check_signed_by(*proof, authority); !signed_by) {
    return certificate_invalid("verificationCertificate: " + signed_by.error().message);
  }
  const auto snapshot = d.store.snapshot();
  const auto* account = snapshot->get(d.tables.account).find("");
  const auto name = facts->subject.find("CommonName");
  if (account == nullptr || name == facts->subject.end() ||
      name->second.front() != account->registration_code) {
    return http::api_fail(400, "RegistrationCodeValidationException",
                          "The common name of the verification certificate is not the registration code");
  }
  return {};
}

ApiResult<json::object> register_ca(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string text = in.string("caCertificate", kPem);
  const auto proof = in.string_opt("verificationCertificate", kPem);
  const bool active = in.boolean_or("setAsActive", false);
  refuse_auto_registration(in, "allowAutoRegistration", in.boolean_or("allowAutoRegistration", false));
  in.unsupported("registrationConfig");
  const registry::Tags tags = read_tags(in);
  const bool sni_only =
      in.one_of_opt("certificateMode", {"DEFAULT", "SNI_ONLY"}).value_or("DEFAULT") == "SNI_ONLY";
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto pem = registry::normalize_certificate(text);
  if (!pem) return certificate_invalid("caCertificate: " + pem.error().message);
  auto facts = registry::parse_certificate(*pem);
  if (!facts) return certificate_invalid("caCertificate: " + facts.error().message);
  if (!facts->is_authority) return certificate_invalid("caCertificate: its basic constraints do not say CA");
  if (auto ok = check_proof(d, *pem, proof, sni_only); !ok) return tl::unexpected(ok.error());

  AuthorityCertificate authority;
  authority.facts = std::move(*facts);
  authority.pem = std::move(*pem);
  authority.active = active;
  authority.sni_only = sni_only;
  authority.owner = d.account.account.str();
  authority.generation_id = d.random.uuid();
  authority.created = authority.modified = d.clock.now();
  const std::string id = authority.facts.id.str();
  const Status status = d.store.transact([&](state::Transaction& change) -> Status {
    if (auto ok = registry::add_authority(change, d.tables, authority); !ok) return ok;
    return registry::add_tags(change, d.tables.tags, arn(d, "cacert", id), tags);
  });
  if (!status && status.error().code == ErrorCode::kAlreadyExists) {
    return already_exists(status.error().message, arn(d, "cacert", id), id);
  }
  if (!status) return refuse(kIotStyle, status.error());
  return id_of(d, id);
}

ApiResult<json::object> describe(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string id = in.string("certificateId", kCertificateId);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  const AuthorityCertificate* ca = snapshot->get(d.tables.authorities).find(id);
  if (ca == nullptr) return not_found(kIotStyle, "CA certificate " + id + " not found");
  json::object out = id_of(d, id);
  out["status"] = ca->active ? "ACTIVE" : "INACTIVE";
  out["certificatePem"] = ca->pem;
  out["ownedBy"] = ca->owner;
  out["creationDate"] = ca->created.seconds();
  out["autoRegistrationStatus"] = "DISABLE";
  out["lastModifiedDate"] = ca->modified.seconds();
  out["customerVersion"] = ca->customer_version;
  out["generationId"] = ca->generation_id;
  out["validity"] = validity_json(ca->facts);
  out["certificateMode"] = ca->sni_only ? "SNI_ONLY" : "DEFAULT";
  return json::object{{"certificateDescription", std::move(out)}};
}

ApiResult<json::object> update(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string id = in.string("certificateId", kCertificateId);
  const auto status = in.one_of_opt("newStatus", {"ACTIVE", "INACTIVE"});
  refuse_auto_registration(
      in, "newAutoRegistrationStatus",
      in.one_of_opt("newAutoRegistrationStatus", {"ENABLE", "DISABLE"}).value_or("DISABLE") == "ENABLE");
  in.unsupported("registrationConfig");
  in.boolean_opt("removeAutoRegistration");  // there is none
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  auto ok = commit(d, [&](state::Transaction& change) -> Status {
    const AuthorityCertificate* held = change.get(d.tables.authorities).find(id);
    if (held == nullptr) return fail(ErrorCode::kNotFound, "CA certificate " + id + " not found");
    if (!status || held->active == (*status == "ACTIVE")) return {};
    AuthorityCertificate next = *held;
    next.active = *status == "ACTIVE";
    next.modified = d.clock.now();
    ++next.customer_version;
    change.put(d.tables.authorities, id, std::move(next));
    return {};
  });
  if (!ok) return tl::unexpected(ok.error());
  return json::object{};
}

ApiResult<json::object> remove(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const std::string id = in.string("certificateId", kCertificateId);
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const Status status = d.store.transact([&](state::Transaction& change) -> Status {
    const AuthorityCertificate* held = change.get(d.tables.authorities).find(id);
    if (held == nullptr) return fail(ErrorCode::kNotFound, "CA certificate " + id + " not found");
    if (held->active) return fail(ErrorCode::kConflict, "The CA certificate must be INACTIVE to be deleted");
    registry::erase_tags(change, d.tables.tags, arn(d, "cacert", id));
    change.erase(d.tables.authorities, id);
    return {};
  });
  if (!status && status.error().code == ErrorCode::kConflict)
    return certificate_state(status.error().message);
  if (!status) return refuse(kIotStyle, status.error());
  return json::object{};
}

ApiResult<json::object> list(const Dependencies& d, const http::Call&, const json::object& arguments) {
  Input in(arguments, kIotStyle);
  const bool ascending = in.boolean_or("ascendingOrder", false);
  in.unsupported("templateName");
  const Page page = read_marker_page(in, "ListCACertificates");
  if (auto ok = in.finish(); !ok) return tl::unexpected(ok.error());
  const auto snapshot = d.store.snapshot();
  std::string next;
  json::array found;
  for (const auto& ca : page_by_creation(snapshot->get(d.tables.authorities), page, ascending, next)) {
    json::object row = id_of(d, ca->facts.id.str());
    row["status"] = ca->active ? "ACTIVE" : "INACTIVE";
    row["creationDate"] = ca->created.seconds();
    found.push_back(std::move(row));
  }
  json::object out{{"certificates", std::move(found)}};
  put_next(out, "nextMarker", next);
  return out;
}

}  // namespace

std::vector<http::Operation> ca_certificate_operations(const Dependencies& d) {
  return operations_of(d,
                       {{"RegisterCACertificate",
                         "POST",
                         "/cacertificate",
                         {"setAsActive:bool", "allowAutoRegistration:bool"},
                         "*",
                         register_ca},
                        {"DescribeCACertificate", "GET", kUri, {kLabel}, kResource, describe},
                        {"UpdateCACertificate",
                         "PUT",
                         kUri,
                         {kLabel, "newStatus", "newAutoRegistrationStatus"},
                         kResource,
                         update},
                        {"DeleteCACertificate", "DELETE", kUri, {kLabel}, kResource, remove},
                        {"ListCACertificates",
                         "GET",
                         "/cacertificates",
                         {"pageSize:int", "marker", "isAscendingOrder=ascendingOrder:bool", "templateName"},
                         "*",
                         list}});
}

}  // namespace fleetward::api::iot
