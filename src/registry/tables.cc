#include "registry/tables.h"

#include <charconv>

#include "registry/policies.h"
#include "registry/query_set.h"

// The documents of the control store. Members keep their names for ever; an absent one reads as its default.
namespace fleetward::registry {
namespace {

using json::array;
using json::object;
using json::value;

object attributes_to_json(const Attributes& attributes) {
  object out;
  for (const auto& [name, text] : attributes) out[name] = text;
  return out;
}

Attributes attributes_from_json(const object& document, std::string_view member) {
  Attributes out;
  const object* source = json::find_object(document, member);
  if (source == nullptr) return out;
  for (const auto& entry : *source) {
    if (entry.value().is_string()) out.emplace(entry.key(), entry.value().get_string());
  }
  return out;
}

std::string text(const object& document, std::string_view member) {
  return std::string(json::string_or(document, member));
}

Timestamp time(const object& document, std::string_view member) {
  return {json::int_or(document, member, 0)};
}

object thing_to_json(const Thing& thing) {
  return {{"name", thing.name},       {"id", thing.id},
          {"type", thing.type},       {"attributes", attributes_to_json(thing.attributes)},
          {"version", thing.version}, {"created", thing.created.ms}};
}

Result<Thing> thing_from_json(const object& o) {
  return Thing{text(o, "name"),
               text(o, "id"),
               text(o, "type"),
               attributes_from_json(o, "attributes"),
               json::int_or(o, "version", 1),
               time(o, "created")};
}

object type_to_json(const ThingType& type) {
  array searchable;
  for (const std::string& name : type.searchable_attributes) searchable.emplace_back(name);
  return {{"name", type.name},
          {"id", type.id},
          {"description", type.description},
          {"searchable", std::move(searchable)},
          {"deprecated", type.deprecated},
          {"created", type.created.ms},
          {"deprecated_at", type.deprecated_at.ms}};
}

Result<ThingType> type_from_json(const object& o) {
  ThingType out{text(o, "name"),
                text(o, "id"),
                text(o, "description"),
                {},
                json::bool_or(o, "deprecated", false),
                time(o, "created"),
                time(o, "deprecated_at")};
  if (const array* searchable = json::find_array(o, "searchable")) {
    for (const value& name : *searchable) {
      if (name.is_string()) out.searchable_attributes.emplace_back(name.get_string());
    }
  }
  return out;
}

object group_to_json(const ThingGroup& group) {
  return {{"name", group.name},
          {"id", group.id},
          {"parent", group.parent},
          {"description", group.description},
          {"attributes", attributes_to_json(group.attributes)},
          {"version", group.version},
          {"created", group.created.ms},
          {"query", group.query}};
}

Result<ThingGroup> group_from_json(const object& o) {
  return ThingGroup{text(o, "name"),
                    text(o, "id"),
                    text(o, "parent"),
                    text(o, "description"),
                    attributes_from_json(o, "attributes"),
                    json::int_or(o, "version", 1),
                    time(o, "created"),
                    text(o, "query")};
}

object fields_to_json(const CertificateFields& fields) {
  object out;
  for (const auto& [name, values] : fields) {
    array list;
    for (const std::string& one : values) list.emplace_back(one);
    out[name] = std::move(list);
  }
  return out;
}

CertificateFields fields_from_json(const object& document, std::string_view member) {
  CertificateFields out;
  const object* source = json::find_object(document, member);
  if (source == nullptr) return out;
  for (const auto& entry : *source) {
    const array* list = entry.value().if_array();
    if (list == nullptr) continue;
    for (const value& one : *list) {
      if (one.is_string()) out[entry.key()].emplace_back(one.get_string());
    }
  }
  return out;
}

// Kept beside the PEM: reading a million certificates anew would take half a minute of each start.
object facts_to_json(const CertificateFacts& facts) {
  return {{"id", facts.id.str()},
          {"not_before", facts.not_before.ms},
          {"not_after", facts.not_after.ms},
          {"serial", facts.serial_number},
          {"subject", fields_to_json(facts.subject)},
          {"issuer", fields_to_json(facts.issuer)},
          {"authority", facts.is_authority}};
}

Result<CertificateFacts> facts_from_json(const object& document) {
  const object* o = json::find_object(document, "facts");
  if (o == nullptr) return fail(ErrorCode::kCorrupt, "a certificate without its facts");
  auto id = CertificateId::parse(json::string_or(*o, "id"));
  if (!id) return fail(ErrorCode::kCorrupt, id.error().message);
  return CertificateFacts{std::move(*id),
                          time(*o, "not_before"),
                          time(*o, "not_after"),
                          text(*o, "serial"),
                          fields_from_json(*o, "subject"),
                          fields_from_json(*o, "issuer"),
                          json::bool_or(*o, "authority", false)};
}

object certificate_to_json(const Certificate& certificate) {
  return {{"facts", facts_to_json(certificate.facts)},
          {"pem", certificate.pem},
          {"status", to_string(certificate.status)},
          {"authority", certificate.authority_id},
          {"without_authority", certificate.without_authority},
          {"owner", certificate.owner},
          {"generation", certificate.generation_id},
          {"customer_version", certificate.customer_version},
          {"created", certificate.created.ms},
          {"modified", certificate.modified.ms}};
}

Result<Certificate> certificate_from_json(const object& o) {
  auto facts = facts_from_json(o);
  if (!facts) return fail(facts.error());
  const auto status = parse_certificate_status(json::string_or(o, "status"));
  if (!status) return fail(ErrorCode::kCorrupt, "unknown certificate status");
  return Certificate{std::move(*facts),
                     text(o, "pem"),
                     *status,
                     text(o, "authority"),
                     json::bool_or(o, "without_authority", false),
                     text(o, "owner"),
                     text(o, "generation"),
                     json::int_or(o, "customer_version", 1),
                     time(o, "created"),
                     time(o, "modified")};
}

object authority_to_json(const AuthorityCertificate& authority) {
  return {{"facts", facts_to_json(authority.facts)},
          {"pem", authority.pem},
          {"active", authority.active},
          {"sni_only", authority.sni_only},
          {"owner", authority.owner},
          {"generation", authority.generation_id},
          {"customer_version", authority.customer_version},
          {"created", authority.created.ms},
          {"modified", authority.modified.ms}};
}

Result<AuthorityCertificate> authority_from_json(const object& o) {
  auto facts = facts_from_json(o);
  if (!facts) return fail(facts.error());
  return AuthorityCertificate{std::move(*facts),
                              text(o, "pem"),
                              json::bool_or(o, "active", false),
                              json::bool_or(o, "sni_only", false),
                              text(o, "owner"),
                              text(o, "generation"),
                              json::int_or(o, "customer_version", 1),
                              time(o, "created"),
                              time(o, "modified")};
}

object policy_to_json(const Policy& policy) {
  array versions;
  for (const PolicyVersion& version : policy.versions) {
    versions.push_back(object{
        {"number", version.number}, {"document", version.document->text()}, {"created", version.created.ms}});
  }
  return {{"name", policy.name},
          {"default", policy.default_version},
          {"last", policy.last_version},
          {"versions", std::move(versions)},
          {"generation", policy.generation_id},
          {"created", policy.created.ms},
          {"modified", policy.modified.ms}};
}

Result<Policy> policy_from_json(const object& o) {
  Policy policy{text(o, "name"),
                static_cast<int>(json::int_or(o, "default", 1)),
                static_cast<int>(json::int_or(o, "last", 1)),
                {},
                text(o, "generation"),
                time(o, "created"),
                time(o, "modified")};
  const array* versions = json::find_array(o, "versions");
  if (versions == nullptr) return fail(ErrorCode::kCorrupt, "a policy without versions");
  for (const value& each : *versions) {
    const object* version = each.if_object();
    if (version == nullptr) return fail(ErrorCode::kCorrupt, "a policy version is not an object");
    auto document = parse_policy_document(json::string_or(*version, "document"));
    if (!document) return fail(ErrorCode::kCorrupt, document.error().message);
    policy.versions.push_back({static_cast<int>(json::int_or(*version, "number", 0)), std::move(*document),
                               time(*version, "created")});
  }
  if (policy.find(policy.default_version) == nullptr) {
    return fail(ErrorCode::kCorrupt, "a policy without its default version");
  }
  return policy;
}

object link_to_json(const Link& link) {
  return {{"since", link.since.ms}};
}
Result<Link> link_from_json(const object& o) {
  return Link{time(o, "since")};
}

object attachment_to_json(const PrincipalAttachment& attachment) {
  return {{"exclusive", attachment.exclusive}};
}
Result<PrincipalAttachment> attachment_from_json(const object& o) {
  return PrincipalAttachment{json::bool_or(o, "exclusive", false)};
}

object account_to_json(const AccountFacts& facts) {
  return {{"registration_code", facts.registration_code},
          {"thing_indexing", facts.thing_indexing},
          {"connectivity_indexing", facts.connectivity_indexing}};
}
Result<AccountFacts> account_from_json(const object& o) {
  return AccountFacts{text(o, "registration_code"), json::bool_or(o, "thing_indexing", false),
                      json::bool_or(o, "connectivity_indexing", false)};
}

}  // namespace

Tables Tables::add_to(state::Store& store) {
  Tables t;
  const auto link = [&](const char* name) {
    return store.add_table<Link>({name, link_to_json, link_from_json});
  };
  const auto attachment = [&](const char* name) {
    return store.add_table<PrincipalAttachment>({name, attachment_to_json, attachment_from_json});
  };
  t.things = store.add_table<Thing>({"things", thing_to_json, thing_from_json});
  t.things_by_type = link("things_by_type");
  t.thing_types = store.add_table<ThingType>({"thing_types", type_to_json, type_from_json});
  t.groups = store.add_table<ThingGroup>({"thing_groups", group_to_json, group_from_json});
  t.group_children = link("group_children");
  t.group_things = link("group_things");
  t.thing_groups = link("groups_of_thing");
  t.certificates = store.add_table<Certificate>({"certificates", certificate_to_json, certificate_from_json});
  t.authorities =
      store.add_table<AuthorityCertificate>({"ca_certificates", authority_to_json, authority_from_json});
  t.thing_principals = attachment("thing_principals");
  t.principal_things = attachment("principal_things");
  t.policies = store.add_table<Policy>({"iot_policies", policy_to_json, policy_from_json});
  t.policy_targets = link("iot_policy_targets");
  t.target_policies = link("iot_target_policies");
  t.account = store.add_table<AccountFacts>({"iot_account", account_to_json, account_from_json});
  t.tags = add_tag_table(store);
  t.connectivity = store.add_memory_table<Connectivity>();
  t.queries = store.add_memory_table<QuerySet>();
  t.dynamic_group_things = store.add_memory_table<Link>();
  t.dynamic_thing_groups = store.add_memory_table<Link>();
  t.scans = store.add_memory_table<MembershipScan>();
  return t;
}

std::string certificate_target(std::string_view certificate_id) {
  return "cert/" + std::string(certificate_id);
}

std::string group_target(std::string_view group) {
  return "thinggroup/" + std::string(group);
}

}  // namespace fleetward::registry
