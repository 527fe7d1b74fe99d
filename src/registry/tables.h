#pragma once

#include "registry/tags.h"
#include "registry/types.h"
#include "state/store.h"

namespace fleetward::registry {

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

  // Before Store::open().
  static Tables add_to(state::Store& store);
};

// A policy target in the tables: "cert/<id>" or "thinggroup/<name>", the resource part of its ARN.
std::string certificate_target(std::string_view certificate_id);
std::string group_target(std::string_view group);

}  // namespace fleetward::registry
