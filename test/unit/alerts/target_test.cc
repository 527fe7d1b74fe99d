#include "alerts/target.h"

#include <fstream>

#include <gtest/gtest.h>

namespace fleetward::alerts {
namespace {

const std::string kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

Target mqtt() {
  Target t;
  t.name = "t";
  t.topic = "alerts/${profile}/${thing}";
  return t;
}
Target webhook() {
  Target t;
  t.kind = Target::Kind::kWebhook;
  t.name = "t";
  t.url = "https://hooks.example/x";
  t.secret = kSecret;
  return t;
}
Target syslog() {
  Target t;
  t.kind = Target::Kind::kSyslog;
  t.name = "t";
  t.address = "logs.example:6514";
  return t;
}

TEST(Target, WantsWhatItsPatternsAndEventsSay) {
  Target t;
  EXPECT_TRUE(t.wants("anything", "in-alarm"));
  t.profiles = {"plant-?-*", "exact"};
  t.events = {"in-alarm"};
  EXPECT_TRUE(t.wants("exact", "in-alarm"));
  EXPECT_TRUE(t.wants("plant-7-pumps", "in-alarm"));
  EXPECT_TRUE(t.wants("plant-7-", "in-alarm"));
  for (const char* other : {"plant-77-pumps", "plant-7", "exactly", "xexact", ""}) {
    EXPECT_FALSE(t.wants(other, "in-alarm")) << other;
  }
  EXPECT_FALSE(t.wants("exact", "alarm-cleared"));
  t.profiles = {"*a*b"};
  EXPECT_TRUE(t.wants("xaxbxb", "in-alarm"));
  EXPECT_FALSE(t.wants("xaxbx", "in-alarm"));
}

TEST(Target, AClientIdCannotMakeLevelsOrWildcards) {
  EXPECT_EQ(topic_for(mqtt(), "pump-1", "base"), "alerts/base/pump-1");
  EXPECT_EQ(topic_for(mqtt(), "a/+/#\n", "base"), "alerts/base/a_____");
  EXPECT_EQ(topic_for(mqtt(), "${profile}", "${thing}"), "alerts/${thing}/${profile}");
}

TEST(Target, GoodOnes) {
  for (Target t : {mqtt(), webhook(), syslog()}) {
    const auto ok = prepare(t);
    EXPECT_TRUE(ok) << ok.error().message;
  }
  for (const char* topic : {"$aws/rules/alarms", "$aws/rules/alarms/${thing}", "a/b//c"}) {
    Target t = mqtt();
    t.topic = topic;
    EXPECT_TRUE(prepare(t)) << topic;
  }
  for (const char* url :
       {"http://localhost:1/x", "http://127.0.0.1/x", "http://[::1]:9/x", "HTTPS://a.example"}) {
    Target t = webhook();
    t.url = url;
    const auto ok = prepare(t);
    EXPECT_TRUE(ok) << url << ": " << ok.error().message;
  }
  Target t = webhook();
  t.url = "http://hooks.example/";
  t.allow_http = true;
  EXPECT_TRUE(prepare(t));
  ASSERT_EQ(t.keys.size(), 1u);
  EXPECT_EQ(t.keys[0].size(), 24u);
}

TEST(Target, ASecretMayBeInAFile) {
  const std::string path = testing::TempDir() + "fleetward-target-secret";
  std::ofstream(path) << kSecret << "\n" << kSecret << "\n";
  Target t = webhook();
  t.secret.clear();
  t.secret_file = path;
  ASSERT_TRUE(prepare(t));
  EXPECT_EQ(t.keys.size(), 2u);
  std::ofstream(path) << "";
  EXPECT_EQ(prepare(t).error().message, "secret_file is empty");
}

TEST(Target, BadOnesAreToldWhy) {
  struct Case {
    Target target;
    void (*spoil)(Target&);
    const char* says;
  };
  using T = Target&;
  const Case cases[] = {
      {mqtt(), [](T t) { t.name = "a b"; }, "name must be"},
      {mqtt(), [](T t) { t.name = ""; }, "name must be"},
      {mqtt(), [](T t) { t.profiles.clear(); }, "profiles is empty"},
      {mqtt(), [](T t) { t.events.clear(); }, "events is empty"},
      {mqtt(), [](T t) { t.events = {"alarm"}; }, "not 'alarm'"},
      {mqtt(), [](T t) { t.retry_max = Duration{1}; }, "retry_max is shorter"},
      {mqtt(), [](T t) { t.topic = ""; }, "needs topic"},
      {mqtt(), [](T t) { t.topic = "a/#"; }, "without wildcards"},
      {mqtt(), [](T t) { t.topic = "a/${device}"; }, "${thing} and ${profile} only"},
      {mqtt(), [](T t) { t.topic = "$aws/things/x/shadow"; }, "reserved"},
      {mqtt(), [](T t) { t.topic = "$aws/rules/"; }, "reserved"},
      {mqtt(), [](T t) { t.topic = std::string(257, 'a'); }, "256 bytes"},
      {mqtt(), [](T t) { t.topic = "\xff"; }, "UTF-8"},
      {webhook(), [](T t) { t.url = ""; }, "needs url"},
      {webhook(), [](T t) { t.url = "http://hooks.example/"; }, "must be https"},
      {webhook(), [](T t) { t.url = "http://127.evil.example/"; }, "must be https"},
      {webhook(), [](T t) { t.url = "http://localhost@hooks.example/"; }, "must be https"},
      {webhook(), [](T t) { t.url = "ftp://localhost/"; }, "must be https"},
      {webhook(), [](T t) { t.url = "hooks"; }, "url"},
      {webhook(), [](T t) { t.secret = ""; }, "either secret or secret_file"},
      {webhook(), [](T t) { t.secret_file = "x"; }, "either secret or secret_file"},
      {webhook(), [](T t) { t.secret = "whsec_x"; }, "secret must be whsec_"},
      {webhook(), [](T t) { t.secret = "", t.secret_file = "/nowhere/x"; }, "secret_file: /nowhere/x"},
      {webhook(), [](T t) { t.ca_file = "/nowhere/ca"; }, "ca_file: /nowhere/ca"},
      {syslog(), [](T t) { t.address = ""; }, "needs address"},
      {syslog(), [](T t) { t.address = "logs.example"; }, "address must be host:port"},
      {syslog(), [](T t) { t.address = "logs.example:0"; }, "address must be host:port"},
      {syslog(), [](T t) { t.address = "::1:514"; }, "address must be host:port"},
      {syslog(), [](T t) { t.facility = "local9"; }, "facility"},
      {syslog(), [](T t) { t.severity = "warn"; }, "severity"},
      {syslog(), [](T t) { t.app_name = "a b"; }, "app_name"},
      {syslog(), [](T t) { t.hostname = "a b"; }, "hostname"},
      {syslog(), [](T t) { t.structured_data_id = "violation"; }, "structured_data_id"},
      {syslog(), [](T t) { t.octet_counting = false; }, "framing"},
      {syslog(), [](T t) { t.transport = Target::Transport::kTcp, t.ca_file = "x"; }, "tls"},
      {syslog(), [](T t) { t.key_file = "x"; }, "go together"},
  };
  for (const Case& c : cases) {
    Target target = c.target;
    c.spoil(target);
    const auto ok = prepare(target);
    ASSERT_FALSE(ok) << c.says;
    EXPECT_NE(ok.error().message.find(c.says), std::string::npos) << ok.error().message;
    EXPECT_EQ(ok.error().message.find(kSecret), std::string::npos);
  }
}

TEST(Target, Addresses) {
  EXPECT_EQ(parse_address("[::1]:514")->host, "::1");
  EXPECT_EQ(parse_address("10.0.0.1:514")->port, "514");
  EXPECT_FALSE(parse_address("[]:514"));
  EXPECT_FALSE(parse_address(":514"));
}

}  // namespace
}  // namespace fleetward::alerts
