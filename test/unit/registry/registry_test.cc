#include <cstdio>

#include <unistd.h>

#include "registry/tags.h"
#include "test/unit/registry/fixture.h"

namespace fleetward::registry {
namespace {

TEST(Things, CreateIsIdempotentForEqualThings) {
  Fixture f;
  EXPECT_TRUE(f.thing("a", "", {{"site", "x"}}));
  EXPECT_TRUE(f.thing("a", "", {{"site", "x"}}));
  EXPECT_EQ(f.thing("a").error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(f.thing("b", "no-such-type").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(f.thing("c", "", {{"1", "x"}, {"2", "x"}, {"3", "x"}, {"4", "x"}}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_FALSE(check_attributes({{"sp ace", "x"}}));
  EXPECT_FALSE(check_attributes({{"a", "sp ace"}}));
  EXPECT_FALSE(check_attributes({{"a", std::string(801, 'x')}}));
  EXPECT_TRUE(check_attributes({{"a#b", "x[1]=2"}}));
}

TEST(Things, Update) {
  Fixture f;
  ASSERT_TRUE(f.thing("a", "", {{"site", "x"}, {"floor", "1"}}));
  const auto update = [&](ThingUpdate u) {
    return f.apply([&](auto& t) { return update_thing(t, f.tables, "a", u, kNow); });
  };
  EXPECT_TRUE(update({.attributes = Attributes{{"floor", ""}, {"room", "7"}}, .merge_attributes = true}));
  const auto now = [&] { return *f.store.snapshot()->get(f.tables.things).find("a"); };
  EXPECT_EQ(now().attributes, (Attributes{{"site", "x"}, {"room", "7"}}));
  EXPECT_EQ(now().version, 2);
  EXPECT_EQ(update({.expected_version = 1}).error().code, ErrorCode::kVersionConflict);
  EXPECT_TRUE(update({.attributes = Attributes{{"new", "1"}}, .expected_version = 2}));
  EXPECT_EQ(now().attributes, (Attributes{{"new", "1"}}));
  EXPECT_EQ(update({.type = "none"}).error().code, ErrorCode::kNotFound);
}

TEST(Things, TypesOfThings) {
  Fixture f;
  ASSERT_TRUE(f.apply(
      [&](auto& t) { return Fixture::status_of(create_thing_type(t, f.tables, {.name = "light"})); }));
  ASSERT_TRUE(f.thing("a", "light"));
  const auto remove = [&](Timestamp now) {
    return f.apply([&](auto& t) { return delete_thing_type(t, f.tables, "light", now, Duration{300'000}); });
  };
  EXPECT_FALSE(remove(kNow));
  ASSERT_TRUE(f.apply([&](auto& t) { return deprecate_thing_type(t, f.tables, "light", false, kNow); }));
  EXPECT_EQ(f.thing("b", "light").error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(remove(kNow + Duration{299'999}));
  EXPECT_FALSE(remove(kNow + Duration{300'000})) << "a thing has it";
  ASSERT_TRUE(f.apply([&](auto& t) { return update_thing(t, f.tables, "a", {.remove_type = true}, kNow); }));
  EXPECT_TRUE(remove(kNow + Duration{300'000}));
}

TEST(Groups, TreesAndMembers) {
  Fixture f;
  ASSERT_TRUE(f.thing("a"));
  ASSERT_TRUE(f.group("root"));
  ASSERT_TRUE(f.group("root"));
  ASSERT_TRUE(f.group("left", "root"));
  ASSERT_TRUE(f.group("right", "root"));
  ASSERT_TRUE(f.group("leaf", "left"));
  ASSERT_TRUE(f.group("other"));
  EXPECT_EQ(f.group("left").error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(f.group("x", "absent").error().code, ErrorCode::kNotFound);

  const auto join = [&](const char* group) {
    return f.apply([&](auto& t) { return add_thing_to_group(t, f.tables, "a", group, kNow); });
  };
  EXPECT_TRUE(join("leaf"));
  EXPECT_TRUE(join("leaf"));
  EXPECT_EQ(join("right").error().code, ErrorCode::kInvalidArgument) << "one hierarchy";
  EXPECT_TRUE(join("other"));
  const auto snapshot = f.store.snapshot();
  EXPECT_EQ(groups_of_thing(*snapshot, f.tables, "a"), (std::vector<std::string>{"leaf", "other"}));
  EXPECT_EQ(effective_groups_of_thing(*snapshot, f.tables, "a"),
            (std::vector<std::string>{"leaf", "other", "left", "root"}));
  EXPECT_EQ(subtree_of_group(*snapshot, f.tables, "root"),
            (std::vector<std::string>{"root", "left", "right", "leaf"}));

  const auto remove = [&](const char* group) {
    return f.apply([&](auto& t) { return delete_group(t, f.tables, group, std::nullopt); });
  };
  EXPECT_EQ(remove("left").error().code, ErrorCode::kInvalidArgument) << "has a child";
  EXPECT_TRUE(remove("leaf"));
  EXPECT_TRUE(remove("leaf")) << "absent";
  EXPECT_EQ(groups_of_thing(*f.store.snapshot(), f.tables, "a"), (std::vector<std::string>{"other"}));
  ASSERT_TRUE(f.apply([&](auto& t) { return delete_thing(t, f.tables, "a", std::nullopt); }));
  EXPECT_EQ(f.store.snapshot()->get(f.tables.group_things).size(), 0u);
  EXPECT_EQ(f.store.snapshot()->get(f.tables.thing_groups).size(), 0u);
}

TEST(Groups, Bounds) {
  Fixture f;
  ASSERT_TRUE(f.group("g1"));
  for (int i = 2; i <= 7; ++i) {
    ASSERT_TRUE(f.group("g" + std::to_string(i), "g" + std::to_string(i - 1)));
  }
  EXPECT_EQ(f.group("g8", "g7").error().code, ErrorCode::kLimitExceeded);
  ASSERT_TRUE(f.thing("a"));
  for (int i = 0; i < 11; ++i) {
    const std::string name = "flat" + std::to_string(i);
    ASSERT_TRUE(f.group(name));
    const Status joined = f.apply([&](auto& t) { return add_thing_to_group(t, f.tables, "a", name, kNow); });
    EXPECT_EQ(joined.has_value(), i < 10);
  }
}

TEST(Certificates, Life) {
  Fixture f;
  const std::string id = Fixture::certificate_id('a');
  ASSERT_TRUE(f.certificate('a'));
  EXPECT_EQ(f.certificate('a').error().code, ErrorCode::kAlreadyExists);
  ASSERT_TRUE(f.thing("a"));
  ASSERT_TRUE(f.thing("b"));
  const auto attach = [&](const char* thing, bool exclusive) {
    return f.apply([&](auto& t) { return attach_principal(t, f.tables, thing, id, exclusive); });
  };
  EXPECT_TRUE(attach("a", true));
  EXPECT_TRUE(attach("a", true));
  EXPECT_EQ(attach("b", false).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(attach("a", false));
  EXPECT_TRUE(attach("b", false));
  EXPECT_EQ(attach("b", true).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(attach("none", false).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(f.refusal([&](auto& t) { return delete_thing(t, f.tables, "a", std::nullopt); }),
            ErrorCode::kInvalidArgument);

  const auto use = [&] { return use_of_certificate(*f.store.snapshot(), f.tables, id); };
  const auto set = [&](CertificateStatus status) {
    return f.apply([&](auto& t) { return set_certificate_status(t, f.tables, id, status, kNow); });
  };
  EXPECT_EQ(use(), CertificateUse::kActive);
  EXPECT_EQ(set(CertificateStatus::kPendingTransfer).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(set(CertificateStatus::kRevoked));
  EXPECT_TRUE(set(CertificateStatus::kRevoked));
  EXPECT_EQ(set(CertificateStatus::kActive).error().code, ErrorCode::kConflict);
  EXPECT_EQ(use(), CertificateUse::kHasThings);
  for (const char* thing : {"a", "b", "b"}) {
    EXPECT_TRUE(f.apply([&](auto& t) { return detach_principal(t, f.tables, thing, id); }));
  }
  ASSERT_TRUE(f.policy(
      "p", R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}})"));
  ASSERT_TRUE(
      f.apply([&](auto& t) { return attach_policy(t, f.tables, "p", certificate_target(id), kNow); }));
  EXPECT_EQ(use(), CertificateUse::kHasPolicies);
  EXPECT_EQ(f.refusal([&](auto& t) { return delete_policy(t, f.tables, "p"); }), ErrorCode::kConflict);
  ASSERT_TRUE(f.apply([&](auto& t) {
    erase_certificate(t, f.tables, id);
    return Status{};
  }));
  EXPECT_TRUE(f.apply([&](auto& t) { return delete_policy(t, f.tables, "p"); }));
}

TEST(Policies, Versions) {
  Fixture f;
  const std::string allow =
      R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}})";
  ASSERT_TRUE(f.policy("p", allow));
  EXPECT_EQ(f.policy("p", allow).error().code, ErrorCode::kAlreadyExists);
  EXPECT_FALSE(parse_policy_document("{}"));
  EXPECT_FALSE(parse_policy_document(
      R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"iot:*","Resource":"*"}})"));
  std::string big = allow;
  big.insert(big.size() - 2, ",\"Sid\":\"" + std::string(2048, 'x') + "\"");
  EXPECT_EQ(parse_policy_document(big).error().code, ErrorCode::kLimitExceeded);

  const auto add = [&](bool set_default) {
    return f.apply([&](auto& t) {
      return Fixture::status_of(
          create_policy_version(t, f.tables, "p", *parse_policy_document(allow), set_default, kNow));
    });
  };
  for (int i = 2; i <= 5; ++i) EXPECT_TRUE(add(i == 3));
  EXPECT_EQ(add(false).error().code, ErrorCode::kLimitExceeded);
  const auto policy = [&] { return *f.store.snapshot()->get(f.tables.policies).find("p"); };
  EXPECT_EQ(policy().default_version, 3);
  const auto remove = [&](int number) {
    return f.apply([&](auto& t) { return delete_policy_version(t, f.tables, "p", number); });
  };
  EXPECT_EQ(remove(3).error().code, ErrorCode::kConflict);
  EXPECT_EQ(remove(9).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(remove(5));
  EXPECT_TRUE(add(false));
  EXPECT_EQ(policy().versions.back().number, 6) << "numbers are not reused";
  EXPECT_TRUE(f.apply([&](auto& t) { return set_default_policy_version(t, f.tables, "p", 6, kNow); }));
  EXPECT_EQ(f.refusal([&](auto& t) { return delete_policy(t, f.tables, "p"); }), ErrorCode::kConflict);
}

TEST(Policies, AttachmentBounds) {
  Fixture f;
  ASSERT_TRUE(f.group("g"));
  for (int i = 0; i < 11; ++i) {
    const std::string name = "p" + std::to_string(i);
    ASSERT_TRUE(f.policy(
        name, R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}})"));
    const Status attached =
        f.apply([&](auto& t) { return attach_policy(t, f.tables, name, group_target("g"), kNow); });
    EXPECT_EQ(attached.has_value(), i < 10);
  }
  EXPECT_EQ(f.refusal([&](auto& t) { return attach_policy(t, f.tables, "p0", "thinggroup/none", kNow); }),
            ErrorCode::kNotFound);
  EXPECT_EQ(f.refusal([&](auto& t) { return attach_policy(t, f.tables, "p0", "bogus", kNow); }),
            ErrorCode::kNotFound);
  ASSERT_TRUE(f.apply([&](auto& t) { return delete_group(t, f.tables, "g", std::nullopt); }));
  EXPECT_EQ(f.store.snapshot()->get(f.tables.policy_targets).size(), 0u);
  EXPECT_EQ(f.store.snapshot()->get(f.tables.target_policies).size(), 0u);
}

TEST(Tags, AddAndRemove) {
  Fixture f;
  const auto add = [&](Tags tags) {
    return f.apply([&](auto& t) { return add_tags(t, f.tables.tags, "arn:x", tags); });
  };
  EXPECT_TRUE(add({{"a", "1"}, {"b", ""}}));
  EXPECT_TRUE(add({{"a", "2"}}));
  EXPECT_FALSE(add({{"", "2"}}));
  EXPECT_FALSE(add({{"aws:x", "2"}}));
  Tags many;
  for (int i = 0; i < 49; ++i) many["k" + std::to_string(i)] = "v";
  EXPECT_EQ(add(many).error().code, ErrorCode::kLimitExceeded);
  EXPECT_EQ(tags_of(*f.store.snapshot(), f.tables.tags, "arn:x"), (Tags{{"a", "2"}, {"b", ""}}));
  EXPECT_TRUE(f.apply([&](auto& t) {
    remove_tags(t, f.tables.tags, "arn:x", {"a", "b", "absent"});
    return Status{};
  }));
  EXPECT_EQ(f.store.snapshot()->get(f.tables.tags).size(), 0u);
}

TEST(Tables, SurviveAReopen) {
  const std::string path = "/tmp/fleetward_registry_" + std::to_string(getpid()) + ".db";
  const auto contents = [](const state::Snapshot& s, const Tables& t) {
    const Thing thing = *s.get(t.things).find("a");
    const Policy policy = *s.get(t.policies).find("p");
    const Certificate certificate = *s.get(t.certificates).find(Fixture::certificate_id('a'));
    EXPECT_EQ(thing.attributes, (Attributes{{"k", "v"}}));
    EXPECT_EQ(policy.in_force().document->evaluate("iot:Publish", "x", identity::MapContext()),
              identity::Decision::kAllow);
    EXPECT_EQ(certificate.facts.subject.at("CommonName"), (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(certificate.status, CertificateStatus::kActive);
    EXPECT_EQ(groups_of_thing(s, t, "a"), std::vector<std::string>{"g"});
    EXPECT_EQ(s.get(t.groups).find("g")->created, kNow);
  };
  {
    state::Store store;
    const Tables tables = Tables::add_to(store);
    ASSERT_TRUE(store.open(path));
    ASSERT_TRUE(store.transact([&](auto& t) -> Status {
      EXPECT_TRUE(create_thing(t, tables, {"a", "id", "", {{"k", "v"}}, 1, kNow}));
      EXPECT_TRUE(create_group(t, tables, {"g", "id", "", "d", {}, 1, kNow}));
      EXPECT_TRUE(add_thing_to_group(t, tables, "a", "g", kNow));
      Certificate certificate;
      certificate.facts.id = CertificateId::trusted(Fixture::certificate_id('a'));
      certificate.facts.subject["CommonName"] = {"x", "y"};
      certificate.status = CertificateStatus::kActive;
      EXPECT_TRUE(add_certificate(t, tables, certificate));
      return create_policy(
          t, tables, "p",
          *parse_policy_document(
              R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}})"),
          "g", kNow);
    }));
    contents(*store.snapshot(), tables);
  }
  state::Store store;
  const Tables tables = Tables::add_to(store);
  ASSERT_TRUE(store.open(path));
  contents(*store.snapshot(), tables);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace fleetward::registry
