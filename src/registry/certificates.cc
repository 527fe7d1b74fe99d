#include "registry/certificates.h"

#include "registry/policies.h"

namespace fleetward::registry {
namespace {

constexpr size_t kAuthoritiesPerSubjectMax = 10;

tl::unexpected<Error> no_certificate(std::string_view id) {
  return fail(ErrorCode::kNotFound, "Certificate " + std::string(id) + " not found");
}

template <typename T>
bool any_with(const state::Map<T>& map, std::string_view first) {
  bool found = false;
  map.visit_prefix(state::key(first, ""), [&](const auto&) {
    found = true;
    return false;
  });
  return found;
}

}  // namespace

Status add_certificate(state::Transaction& change, const Tables& tables, Certificate certificate) {
  const std::string id = certificate.facts.id.str();
  if (change.get(tables.certificates).find(id) != nullptr) {
    return fail(ErrorCode::kAlreadyExists, "The certificate " + id + " is already registered");
  }
  change.put(tables.certificates, id, std::move(certificate));
  return {};
}

Status set_certificate_status(state::Transaction& change, const Tables& tables, std::string_view id,
                              CertificateStatus status, Timestamp now) {
  const Certificate* held = change.get(tables.certificates).find(id);
  if (held == nullptr) return no_certificate(id);
  if (status != CertificateStatus::kActive && status != CertificateStatus::kInactive &&
      status != CertificateStatus::kRevoked) {
    return fail(ErrorCode::kInvalidArgument,
                "newStatus must be ACTIVE, INACTIVE or REVOKED, not " + std::string(to_string(status)));
  }
  if (held->status == status) return {};
  if (held->status == CertificateStatus::kRevoked) {
    return fail(ErrorCode::kConflict, "The certificate is REVOKED, which is final");
  }
  Certificate next = *held;
  next.status = status;
  next.modified = now;
  ++next.customer_version;
  change.put(tables.certificates, id, std::move(next));
  return {};
}

CertificateUse use_of_certificate(const state::Snapshot& snapshot, const Tables& tables,
                                  std::string_view id) {
  const Certificate* held = snapshot.get(tables.certificates).find(id);
  if (held != nullptr && held->status == CertificateStatus::kActive) return CertificateUse::kActive;
  if (any_with(snapshot.get(tables.principal_things), id)) return CertificateUse::kHasThings;
  if (any_with(snapshot.get(tables.target_policies), certificate_target(id))) {
    return CertificateUse::kHasPolicies;
  }
  return CertificateUse::kFree;
}

void erase_certificate(state::Transaction& change, const Tables& tables, std::string_view id) {
  detach_all_policies(change, tables, certificate_target(id));
  change.erase(tables.certificates, id);
}

Status attach_principal(state::Transaction& change, const Tables& tables, std::string_view thing,
                        std::string_view certificate_id, bool exclusive) {
  if (change.get(tables.things).find(thing) == nullptr) {
    return fail(ErrorCode::kNotFound, "Thing " + std::string(thing) + " not found");
  }
  if (change.get(tables.certificates).find(certificate_id) == nullptr) return no_certificate(certificate_id);
  std::string in_the_way;
  change.get(tables.principal_things).visit_prefix(state::key(certificate_id, ""), [&](const auto& entry) {
    const std::string_view other = state::key_tail(entry.key);
    if (other != thing && (exclusive || entry.value->exclusive)) in_the_way = other;
    return in_the_way.empty();
  });
  if (!in_the_way.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "The certificate is attached to the thing " + in_the_way +
                    (exclusive ? " and cannot serve another one exclusively" : " exclusively"));
  }
  change.put(tables.thing_principals, state::key(thing, certificate_id), PrincipalAttachment{exclusive});
  change.put(tables.principal_things, state::key(certificate_id, thing), PrincipalAttachment{exclusive});
  return {};
}

Status detach_principal(state::Transaction& change, const Tables& tables, std::string_view thing,
                        std::string_view certificate_id) {
  if (change.get(tables.things).find(thing) == nullptr) {
    return fail(ErrorCode::kNotFound, "Thing " + std::string(thing) + " not found");
  }
  const std::string forward = state::key(thing, certificate_id);
  if (change.get(tables.thing_principals).find(forward) == nullptr) return {};
  change.erase(tables.thing_principals, forward);
  change.erase(tables.principal_things, state::key(certificate_id, thing));
  return {};
}

Status add_authority(state::Transaction& change, const Tables& tables, AuthorityCertificate authority) {
  const std::string id = authority.facts.id.str();
  if (change.get(tables.authorities).find(id) != nullptr) {
    return fail(ErrorCode::kAlreadyExists, "The CA certificate " + id + " is already registered");
  }
  size_t same_subject = 0;
  change.get(tables.authorities).visit_from("", [&](const auto& entry) {
    same_subject += entry.value->facts.subject == authority.facts.subject;
    return true;
  });
  if (same_subject >= kAuthoritiesPerSubjectMax) {
    return fail(ErrorCode::kLimitExceeded, "At most 10 CA certificates have one subject");
  }
  change.put(tables.authorities, id, std::move(authority));
  return {};
}

}  // namespace fleetward::registry
