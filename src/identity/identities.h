#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/random.h"
#include "core/time.h"
#include "identity/caller.h"
#include "identity/policy.h"
#include "state/store.h"

// Users, roles, managed policies, access keys and role sessions: the account's own identities, as control
// state.
namespace fleetward::identity {

using Document = std::shared_ptr<const PolicyDocument>;
using Tags = std::map<std::string, std::string>;

// What users and roles have in common.
struct Grants {
  std::map<std::string, Document> inline_policies;  // by policy name
  std::vector<std::string> attached;                // ARNs of managed policies, in the order attached
};

struct User {
  std::string name, path, id;  // id "AIDA..."
  Timestamp created;
  Tags tags;
  Grants grants;
};

struct Role {
  std::string name, path, id;  // id "AROA..."
  Timestamp created;
  std::string description;
  int max_session_seconds = 3600;
  Document trust;
  Tags tags;
  Grants grants;
};

struct ManagedPolicy {
  struct Version {
    std::string id;  // "v1"
    Document document;
    Timestamp created;
  };
  std::string name, path, id;  // id "ANPA..."
  std::string description;
  Timestamp created, updated;
  std::string default_version;
  int next_version = 1;
  std::vector<Version> versions;  // 1..5, oldest first
  Tags tags;

  const Document& document() const;  // of the default version
};

struct AccessKey {
  std::string id;      // "AKIA..."
  std::string secret;  // as it is: SigV4 needs it in clear
  std::string user;    // user name; empty for the account's root
  bool active = true;
  Timestamp created;
};

// Temporary credentials of an assumed role (or of GetSessionToken, then `role` is empty).
struct Session {
  std::string access_key_id;  // "ASIA..."
  std::string secret, token;
  std::string role, session_name;
  std::string user;  // GetSessionToken: whose session; empty for root
  // Id of the role or user ("" for root): one that is created again under the same name is another.
  std::string principal_id;
  Timestamp expires;
  std::vector<Document> session_policies;  // intersect with the role's permissions
};

struct Tables {
  state::Table<User> users;              // key: lower-case name
  state::Table<Role> roles;              // key: lower-case name
  state::Table<ManagedPolicy> policies;  // key: lower-case name
  state::Table<AccessKey> access_keys;   // key: id
  state::Table<Session> sessions;        // key: access key id

  static Tables add_to(state::Store& store);
};

std::string name_key(std::string_view name);  // names are unique without regard to case

constexpr DocumentRules kTrustRules{
    .principal_required = true, .resource_required = false, .characters_max = 2048};
constexpr DocumentRules kInlineRules{.characters_max = 10240};
constexpr DocumentRules kManagedRules{.characters_max = 6144};

std::string user_arn(const AccountScope& scope, const User& user);
std::string role_arn(const AccountScope& scope, const Role& role);
std::string policy_arn(const AccountScope& scope, const ManagedPolicy& policy);
// "AROA" + 17 upper-case characters.
std::string new_id(Random& random, std::string_view prefix);
std::string new_secret(Random& random);  // 40 characters

// The AWS managed policies this program knows ("arn:aws:iam::aws:policy/AdministratorAccess", ...); nullptr
// if unknown.
const Document* find_aws_managed_policy(std::string_view arn);
// Their ARNs, in order.
std::vector<std::string> aws_managed_policy_arns();

// The credentials behind an access key id, if it may sign now.
struct Credentials {
  std::string secret;
  std::string session_token;  // empty for long-term keys
  Timestamp expires;          // 0 for long-term keys
  Caller caller;
};
// kUnauthenticated: unknown or inactive key. An expired session is returned; the verifier compares `expires`.
Result<Credentials> find_credentials(const state::Snapshot& snapshot, const Tables& tables,
                                     const AccountScope& scope, std::string_view access_key_id);

}  // namespace fleetward::identity
