#pragma once

#include "registry/tags.h"
#include "registry/types.h"
#include "state/store.h"

namespace fleetward::registry {

class QuerySet;  // query_set.h

// A change of a dynamic group's query that has not been taken to every thing yet.
struct MembershipScan {
  std::string next;         // things from this name on are still to be evaluated
  bool rebuilding = false;  // the group had another query before
};

// The registry's tables in the control store. Relations are kept in both directions under composite keys
// (state::key), so that listing either side is one ordered range; the functions of things.h, groups.h, ...
// keep the two sides equal. Principals are keyed by certificate id.
struct Tables {
  state::Table<Thing> things;                          // thing name
  state::Table<Link> things_by_type;                   // thing type, thing
  state::Table<ThingType> thing_types;                 // name
  state::Table<ThingGroup> groups;                     // name
  state::Table<Link> group_children;                   // parent, child
  state::Table<Link> group_things;                     // group, thing
  state::Table<Link> thing_groups;                     // thing, group
  state::Table<Certificate> certificates;              // certificate id
  state::Table<AuthorityCertificate> authorities;      // certificate id
  state::Table<PrincipalAttachment> thing_principals;  // thing, certificate id
  state::Table<PrincipalAttachment> principal_things;  // certificate id, thing
  state::Table<Policy> policies;                       // name
  state::Table<Link> policy_targets;                   // policy, target
  state::Table<Link> target_policies;                  // target, policy
  state::Table<AccountFacts> account;                  // ""
  TagTable tags;                                       // resource ARN

  // In memory, derived from the above and from who is connected (dynamic_groups.h).
  state::Table<Connectivity> connectivity;  // thing; or client id of who is none, while connected
  state::Table<QuerySet> queries;           // "", if there are dynamic groups
  state::Table<Link> dynamic_group_things;  // dynamic group, thing
  state::Table<Link> dynamic_thing_groups;  // thing, dynamic group
  state::Table<MembershipScan> scans;       // dynamic group, or one that was

  // Before Store::open().
  static Tables add_to(state::Store& store);
};

// A policy target in the tables: "cert/<id>" or "thinggroup/<name>", the resource part of its ARN.
std::string certificate_target(std::string_view certificate_id);
std::string group_target(std::string_view group);

}  // namespace fleetward::registry
