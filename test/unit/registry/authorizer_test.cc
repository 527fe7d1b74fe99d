#include <fstream>
#include <map>
#include <sstream>

#include "registry/device_authorizer.h"
#include "test/unit/registry/fixture.h"

namespace fleetward::registry {
namespace {

const AccountScope kAccount{AccountId::trusted("123456789012"), "us-east-1"};

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(word);
  return out;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string part; std::getline(in, part, separator);) out.push_back(part);
  return out;
}

// One block of authorizer_cases.txt.
class Case {
 public:
  explicit Case(std::string title) : title_(std::move(title)) {}

  void run(const std::string& line, std::istream& rest) {
    const auto w = words(line);
    const std::string& verb = w[0];
    if (verb == "thing") {
      add_thing(w);
    } else if (verb == "certificate") {
      add_fields(w);
    } else if (verb == "attach" || verb == "attach-exclusive") {
      need_certificate();
      ok(fixture_.apply([&](auto& t) {
        return attach_principal(t, fixture_.tables, w[1], Fixture::certificate_id('a'), verb != "attach");
      }));
    } else if (verb == "group") {
      ok(fixture_.group(w[1], w.size() > 2 ? w[2] : ""));
    } else if (verb == "member") {
      ok(fixture_.apply([&](auto& t) { return add_thing_to_group(t, fixture_.tables, w[1], w[2], kNow); }));
    } else if (verb == "policy") {
      add_policy(w.size() > 1 ? group_target(w[1]) : certificate_target(Fixture::certificate_id('a')), rest);
    } else if (verb == "client") {
      connection_.client_id = w[1];
    } else if (verb == "source") {
      connection_.source_address = w[1];
    } else if (verb == "server") {
      connection_.server_name = w[1];
    } else if (verb == "now") {
      connection_.now = {std::stoll(w[1]) * 1000};
    } else if (verb == "persistent") {
      connection_.persistent = true;
    } else if (verb == "will") {
      connection_.last_will = true;
    } else {
      expect(verb, w.at(1), w.at(2));
    }
  }

 private:
  void ok(const Status& status) { EXPECT_TRUE(status) << title_ << ": " << status.error().message; }

  void add_thing(const std::vector<std::string>& w) {
    std::string type;
    Attributes attributes;
    for (size_t i = 2; i < w.size(); ++i) {
      const auto pair = split(w[i], '=');
      if (pair[0] == "type") {
        type = pair[1];
        ok(fixture_.apply([&](auto& t) {
          return Fixture::status_of(create_thing_type(t, fixture_.tables, {.name = type}));
        }));
      } else {
        attributes[pair[0]] = pair[1];
      }
    }
    ok(fixture_.thing(w[1], type, attributes));
  }

  void add_fields(const std::vector<std::string>& w) {
    CertificateFields subject, issuer;
    for (size_t i = 1; i < w.size(); ++i) {
      const auto pair = split(w[i], '=');
      auto& fields = pair[0].substr(0, 8) == "Subject." ? subject : issuer;
      fields[pair[0].substr(pair[0].find('.') + 1)] = split(pair[1], '|');
    }
    ok(fixture_.certificate('a', subject, issuer));
    has_certificate_ = true;
  }

  void need_certificate() {
    if (!has_certificate_) ok(fixture_.certificate('a'));
    has_certificate_ = true;
  }

  void add_policy(const std::string& target, std::istream& rest) {
    need_certificate();
    std::string document;
    for (std::string line; std::getline(rest, line) && line != "end";) document += line + "\n";
    const std::string name = "p" + std::to_string(++policies_);
    ok(fixture_.policy(name, document));
    ok(fixture_.apply([&](auto& t) { return attach_policy(t, fixture_.tables, name, target, kNow); }));
  }

  void expect(const std::string& verb, const std::string& action, const std::string& name) {
    need_certificate();
    static const std::map<std::string, DeviceAction> actions = {
        {"Connect", DeviceAction::kConnect},
        {"Publish", DeviceAction::kPublish},
        {"RetainPublish", DeviceAction::kRetainPublish},
        {"Subscribe", DeviceAction::kSubscribe},
        {"Receive", DeviceAction::kReceive}};
    static const std::map<std::string, identity::Decision> decisions = {
        {"allow", identity::Decision::kAllow},
        {"deny", identity::Decision::kDeny},
        {"refuse", identity::Decision::kNoMatch}};
    connection_.certificate_id = Fixture::certificate_id('a');
    const DeviceAuthorizer authorizer(fixture_.tables, kAccount);
    const auto policy = authorizer.compile(*fixture_.store.snapshot(), connection_);
    EXPECT_EQ(policy->decide(actions.at(action), name), decisions.at(verb))
        << title_ << ": " << verb << " " << action << " " << name;
  }

  std::string title_;
  Fixture fixture_;
  DeviceConnection connection_;
  bool has_certificate_ = false;
  int policies_ = 0;
};

TEST(DeviceAuthorizer, APolicyThatNamesTheTimeIsBoundAnew) {
  Fixture f;
  ASSERT_TRUE(f.certificate('a'));
  const auto attach = [&](const std::string& name, const std::string& condition) {
    ASSERT_TRUE(
        f.policy(name, R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Publish",
        "Resource":"arn:aws:iot:*:*:topic/)" +
                           name + "\"" + condition + "}}"));
    ASSERT_TRUE(f.apply([&](auto& t) {
      return attach_policy(t, f.tables, name, certificate_target(Fixture::certificate_id('a')), kNow);
    }));
  };
  attach("always", "");
  const DeviceAuthorizer authorizer(f.tables, kAccount);
  DeviceConnection connection{.certificate_id = Fixture::certificate_id('a'), .now = {1'000'000'000'000}};
  auto policy = authorizer.compile(*f.store.snapshot(), connection);
  EXPECT_FALSE(policy->depends_on_time());
  connection.now = {1'000'000'009'000};
  EXPECT_EQ(authorizer.renew(*f.store.snapshot(), connection, policy), policy);

  attach("until", R"(,"Condition":{"DateLessThan":{"aws:CurrentTime":"2001-09-09T01:46:50Z"}})");
  policy = authorizer.renew(*f.store.snapshot(), connection, policy);
  EXPECT_TRUE(policy->depends_on_time());
  EXPECT_TRUE(policy->allows(DeviceAction::kPublish, "until"));
  EXPECT_EQ(authorizer.renew(*f.store.snapshot(), connection, policy), policy);
  connection.now = {1'000'000'010'000};
  policy = authorizer.renew(*f.store.snapshot(), connection, policy);
  EXPECT_FALSE(policy->allows(DeviceAction::kPublish, "until"));
  EXPECT_TRUE(policy->allows(DeviceAction::kPublish, "always"));
}

TEST(DeviceAuthorizer, Cases) {
  std::ifstream in(std::string(FLEETWARD_TEST_DATA) + "/authorizer_cases.txt");
  std::unique_ptr<Case> current;
  int cases = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line.rfind("case ", 0) == 0) {
      current = std::make_unique<Case>(line.substr(5));
      ++cases;
    } else {
      current->run(line, in);
    }
  }
  EXPECT_GE(cases, 18);
}

constexpr const char* kAllowAll =
    R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}})";

TEST(DeviceAuthorizer, RenewFollowsTheRegistry) {
  Fixture f;
  const std::string id = Fixture::certificate_id('a');
  ASSERT_TRUE(f.certificate('a'));
  ASSERT_TRUE(f.thing("lamp"));
  ASSERT_TRUE(f.policy("all", kAllowAll));
  const DeviceAuthorizer authorizer(f.tables, kAccount);
  const DeviceConnection connection{.certificate_id = id, .client_id = "lamp"};

  EXPECT_EQ(authorizer.find_device(*f.store.snapshot(), id), DeviceStatus::kActive);
  EXPECT_EQ(authorizer.find_device(*f.store.snapshot(), Fixture::certificate_id('b')),
            DeviceStatus::kUnknown);
  auto held = authorizer.compile(*f.store.snapshot(), connection);
  EXPECT_FALSE(held->allows(DeviceAction::kConnect, "lamp"));
  EXPECT_EQ(held->thing(), "");

  ASSERT_TRUE(f.apply([&](auto& t) { return attach_principal(t, f.tables, "lamp", id, false); }));
  ASSERT_TRUE(
      f.apply([&](auto& t) { return attach_policy(t, f.tables, "all", certificate_target(id), kNow); }));
  auto next = authorizer.renew(*f.store.snapshot(), connection, held);
  ASSERT_NE(next, held);
  EXPECT_TRUE(next->allows(DeviceAction::kConnect, "lamp"));
  EXPECT_EQ(next->thing(), "lamp");
  EXPECT_TRUE(next->thing_is_attached());
  EXPECT_FALSE(next->thing_is_exclusive());
  EXPECT_GT(next->generation(), held->generation());

  ASSERT_TRUE(f.thing("unrelated"));
  EXPECT_EQ(authorizer.renew(*f.store.snapshot(), connection, next), next) << "nothing of its own changed";

  auto deny = parse_policy_document(
      R"({"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iot:Publish","Resource":"*"}})");
  ASSERT_TRUE(deny);
  ASSERT_TRUE(f.apply([&](auto& t) {
    return Fixture::status_of(create_policy_version(t, f.tables, "all", *deny, true, kNow));
  }));
  held = authorizer.renew(*f.store.snapshot(), connection, next);
  EXPECT_FALSE(held->allows(DeviceAction::kConnect, "lamp"));

  ASSERT_TRUE(f.apply(
      [&](auto& t) { return set_certificate_status(t, f.tables, id, CertificateStatus::kInactive, kNow); }));
  EXPECT_EQ(authorizer.renew(*f.store.snapshot(), connection, held), nullptr);
  EXPECT_EQ(authorizer.find_device(*f.store.snapshot(), id), DeviceStatus::kNotActive);
  EXPECT_FALSE(authorizer.compile(*f.store.snapshot(), connection)->allows(DeviceAction::kConnect, "lamp"));
}

TEST(DeviceAuthorizer, PlainListenersUseANamedPolicy) {
  Fixture f;
  ASSERT_TRUE(f.thing("lamp"));
  const DeviceAuthorizer authorizer(f.tables, kAccount);
  const DeviceConnection connection{.named_policy = "plain", .client_id = "lamp"};
  auto held = authorizer.compile(*f.store.snapshot(), connection);
  EXPECT_FALSE(held->allows(DeviceAction::kConnect, "lamp")) << "a policy that does not exist";
  EXPECT_EQ(held->thing(), "lamp");
  ASSERT_TRUE(f.policy("plain", kAllowAll));
  held = authorizer.renew(*f.store.snapshot(), connection, held);
  ASSERT_NE(held, nullptr);
  EXPECT_TRUE(held->allows(DeviceAction::kConnect, "lamp"));
  EXPECT_TRUE(held->allows(DeviceAction::kPublish, std::string(2000, 'x'))) << "longer than the stack buffer";
}

}  // namespace
}  // namespace fleetward::registry
