#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.h"
#include "core/time.h"
#include "identity/policy.h"

// What the registry keeps, as plain values. Every field was checked by the function that created it
// (things.h, groups.h, certificates.h, policies.h).
namespace fleetward::registry {

using Attributes = std::map<std::string, std::string>;

struct Thing {
  std::string name;
  std::string id;    // UUID
  std::string type;  // name of a thing type, or empty
  Attributes attributes;
  int64_t version = 1;  // rises with each update
  Timestamp created;
};

struct ThingType {
  std::string name;
  std::string id;
  std::string description;
  std::vector<std::string> searchable_attributes;
  bool deprecated = false;
  Timestamp created, deprecated_at;
};

// A static group, with members that were added, or a dynamic one, whose members are the things that its query
// matches (dynamic_groups.h). `parent` is fixed when it is created.
struct ThingGroup {
  std::string name;
  std::string id;
  std::string parent;  // or empty
  std::string description;
  Attributes attributes;
  int64_t version = 1;
  Timestamp created;
  std::string query;  // of a dynamic group

  bool dynamic() const { return !query.empty(); }
};

// Of a thing, or of a client that is none.
struct Connectivity {
  bool connected = false;
  Timestamp since;                // of the last connect or disconnect; 0: not known
  std::string disconnect_reason;  // of lifecycle events; empty while connected or not known
  bool remembered = false;        // connected before the server's start, and not seen since
};

enum class CertificateStatus {
  kActive,
  kInactive,
  kRevoked,
  kPendingTransfer,
  kRegisterInactive,
  kPendingActivation,
};
// The names on the wire: "ACTIVE", ...
std::string_view to_string(CertificateStatus status);
std::optional<CertificateStatus> parse_certificate_status(std::string_view text);

// One relative distinguished name attribute type with its values, in the order of the certificate.
// Names are those of policy variables: "CommonName", "Organization", "AlternativeName.DNSName", ...
using CertificateFields = std::map<std::string, std::vector<std::string>>;

// What a PEM certificate says. Read by pki.h's parse_certificate().
struct CertificateFacts {
  CertificateId id;  // SHA-256 of the DER form
  Timestamp not_before, not_after;
  std::string serial_number;  // decimal
  CertificateFields subject, issuer;
  bool is_authority = false;  // basic constraints say CA
};

struct Certificate {
  CertificateFacts facts;  // read from `pem` when loaded, not stored beside it
  std::string pem;
  CertificateStatus status = CertificateStatus::kInactive;
  std::string authority_id;        // the registered CA's certificate id, or empty
  bool without_authority = false;  // RegisterCertificateWithoutCA: mode SNI_ONLY
  std::string owner;               // account
  std::string generation_id;       // UUID
  int64_t customer_version = 1;    // rises with each update
  Timestamp created, modified;
};

// A customer's CA whose certificates may be registered with it.
struct AuthorityCertificate {
  CertificateFacts facts;
  std::string pem;
  bool active = false;
  bool sni_only = false;
  std::string owner;
  std::string generation_id;
  int64_t customer_version = 1;
  Timestamp created, modified;
};

// thing <-> certificate.
struct PrincipalAttachment {
  bool exclusive = false;
};

struct PolicyVersion {
  int number = 1;  // versionId is its decimal form
  std::shared_ptr<const identity::PolicyDocument> document;
  Timestamp created;
};

struct Policy {
  std::string name;
  int default_version = 1;
  int last_version = 1;                 // of those ever made; numbers are not reused
  std::vector<PolicyVersion> versions;  // ascending, 1..5 of them
  std::string generation_id;
  Timestamp created, modified;

  const PolicyVersion* find(int number) const;
  const PolicyVersion& in_force() const { return *find(default_version); }
};

// A pair that exists or not: memberships and attachments.
struct Link {
  Timestamp since;
};

// One for the account, key "".
struct AccountFacts {
  std::string registration_code;       // 64 hex digits; empty until asked for
  bool thing_indexing = false;         // thingIndexingMode: REGISTRY or OFF
  bool connectivity_indexing = false;  // thingConnectivityIndexingMode: STATUS or OFF
};

}  // namespace fleetward::registry
