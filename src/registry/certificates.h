#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "registry/tables.h"

// Certificates, the customer's CAs, and their attachments to things. Whoever stops a certificate stops its
// connections: the next snapshot says so, and Store::on_change hands that to the broker before the call
// answers.
namespace fleetward::registry {

// kAlreadyExists.
Status add_certificate(state::Transaction& change, const Tables& tables, Certificate certificate);

// kNotFound. kInvalidArgument: only ACTIVE, INACTIVE and REVOKED can be asked for. kConflict: it is REVOKED,
// which is final. Repeating succeeds.
Status set_certificate_status(state::Transaction& change, const Tables& tables, std::string_view id,
                              CertificateStatus status, Timestamp now);

enum class CertificateUse { kFree, kActive, kHasThings, kHasPolicies };
// What stands against deleting it, the gravest first.
CertificateUse use_of_certificate(const state::Snapshot& snapshot, const Tables& tables, std::string_view id);
// Drops policy attachments too. The certificate exists and is neither active nor attached to a thing.
void erase_certificate(state::Transaction& change, const Tables& tables, std::string_view id);

// kNotFound: thing or certificate; kInvalidArgument: the certificate serves another thing exclusively, or
// `exclusive` and it serves another thing. Repeating succeeds and sets the kind.
Status attach_principal(state::Transaction& change, const Tables& tables, std::string_view thing,
                        std::string_view certificate_id, bool exclusive);
// kNotFound: the thing; a principal that is not attached is fine.
Status detach_principal(state::Transaction& change, const Tables& tables, std::string_view thing,
                        std::string_view certificate_id);

// kAlreadyExists. kLimitExceeded: ten CAs have this subject.
Status add_authority(state::Transaction& change, const Tables& tables, AuthorityCertificate authority);

}  // namespace fleetward::registry
