#pragma once

#include <gtest/gtest.h>

#include "registry/certificates.h"
#include "registry/groups.h"
#include "registry/policies.h"
#include "registry/things.h"

namespace fleetward::registry {

inline constexpr Timestamp kNow{1767225600000};

// A store in memory with the registry's tables.
struct Fixture {
  Fixture() : tables(Tables::add_to(store)) { EXPECT_TRUE(store.open(":memory:")); }

  // Runs one change; its error, or success.
  Status apply(const std::function<Status(state::Transaction&)>& change) { return store.transact(change); }
  ErrorCode refusal(const std::function<Status(state::Transaction&)>& change) {
    const Status status = store.transact(change);
    EXPECT_FALSE(status);
    return status ? ErrorCode::kInternal : status.error().code;
  }
  template <typename T>
  static Status status_of(const Result<T>& result) {
    if (!result) return fail(result.error());
    return {};
  }
  Status thing(std::string name, std::string type = {}, Attributes attributes = {}) {
    return apply([&](auto& t) {
      return status_of(create_thing(t, tables, {name, "id-" + name, type, attributes, 1, kNow}));
    });
  }
  Status group(std::string name, std::string parent = {}) {
    return apply([&](auto& t) {
      return status_of(create_group(t, tables, {name, "id-" + name, parent, {}, {}, 1, kNow}));
    });
  }
  // 64 hex digits made of one.
  static std::string certificate_id(char digit) { return std::string(64, digit); }
  Status certificate(char digit, CertificateFields subject = {}, CertificateFields issuer = {}) {
    Certificate out;
    out.facts.id = CertificateId::trusted(certificate_id(digit));
    out.facts.serial_number = "42";
    out.facts.subject = std::move(subject);
    out.facts.issuer = std::move(issuer);
    out.status = CertificateStatus::kActive;
    out.created = out.modified = kNow;
    return apply([&](auto& t) { return add_certificate(t, tables, out); });
  }
  Status policy(const std::string& name, const std::string& document) {
    auto parsed = parse_policy_document(document);
    if (!parsed) return fail(parsed.error());
    return apply([&](auto& t) { return create_policy(t, tables, name, *parsed, "generation", kNow); });
  }

  state::Store store;
  Tables tables;
};

}  // namespace fleetward::registry
