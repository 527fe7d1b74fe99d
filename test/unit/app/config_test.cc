#include "app/config.h"

#include <gtest/gtest.h>

#include "app/config_keys.h"

namespace fleetward::app {
namespace {

TEST(Config, each_key_overrides_what_the_behaviour_sets) {
  const auto standard = parse_config("[broker]\nbehaviour = \"standard\"\ntopic_slashes_max = 9\n", "f");
  ASSERT_TRUE(standard);
  EXPECT_EQ(standard->broker.qos_max, 2);
  EXPECT_EQ(standard->broker.topic_slashes_max, 9U);
  const auto aws = parse_config("[broker]\naws_wildcards = false\nbehaviour = \"aws\"\nqos_max = 2\n", "f");
  ASSERT_TRUE(aws) << aws.error().message;
  EXPECT_EQ(aws->broker.behaviour, broker::Behaviour::kAws);
  EXPECT_EQ(aws->broker.topic_slashes_max, 7U);
  EXPECT_EQ(aws->broker.qos_max, 2);
  EXPECT_FALSE(aws->broker.aws_wildcards);
  EXPECT_FALSE(parse_config("[broker]\nbehaviour = \"azure\"\n", "f"));
}

TEST(Config, ReadsUnitsAndKeepsDefaults) {
  const auto config = parse_config(R"(
    [detect]
    tick = "1s"
    [broker]
    packet_bytes_max = "256KiB"
    shards = 2
    [server]
    certificate_names = ["a.example", "192.0.2.7"]
    api_allow_remote = true
  )",
                                   "f.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->detect.tick, Duration{1000});
  EXPECT_EQ(config->detect.export_interval, Duration{300'000});
  EXPECT_EQ(config->broker.packet_bytes_max, 262144u);
  EXPECT_EQ(config->broker.shards, 2u);
  EXPECT_EQ(config->server.certificate_names.size(), 2u);
}

struct Refusal {
  const char* text;
  const char* says;
};

class ConfigRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(ConfigRefusal, NamesLineAndReason) {
  const auto config = parse_config(GetParam().text, "f.toml");
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find(GetParam().says), std::string::npos) << config.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Bad, ConfigRefusal,
    testing::Values(Refusal{"[detect]\ntick = 5", "f.toml:2: detect.tick must be a duration"},
                    Refusal{"[detect]\ntick = \"5 minutes\"", "must be a duration"},
                    Refusal{"[detect]\ntick = \"100ms\"", "f.toml:2: detect.tick must be 1s to 1h"},
                    Refusal{"[detect]\n\ntikc = \"5m\"", "f.toml:3: unknown key detect.tikc"},
                    Refusal{"[detekt]", "unknown section or key 'detekt'"}, Refusal{"x = 1", "'x'"},
                    Refusal{"[account]\nid = \"12\"", "12 digits"},
                    Refusal{"[account]\nid = 123456789012", "a string"},
                    Refusal{"[server]\napi_listen = \"0.0.0.0:4566\"", "not a loopback address"},
                    Refusal{"[server]\nmqtts_listen = \"127.0.0.1:70000\"", "must be host:port"},
                    Refusal{"[server]\nmqtts_listen = \"[::1\"", "must be host:port"},
                    Refusal{"[server]\napi_listen = \"127.example:80\"", "not a loopback address"},
                    Refusal{"[server]\nmqtt_listen = \"127.0.0.1:1883\"", "need server.mqtt_policy"},
                    Refusal{"[server]\nws_listen = \"127.0.0.1:9001\"", "need server.mqtt_policy"},
                    Refusal{"[server]\nlog_level = \"loud\"", "debug, info, warn or error"},
                    Refusal{"[server]\ncertificate_names = [1]", "list of strings"},
                    Refusal{"[lake]\nkind = \"s3\"", "needs lake.s3_endpoint"},
                    Refusal{"[api]\ndevice_key = \"rsa\"", "p256 or rsa2048"},
                    Refusal{"[delivery]\nscan_interval = \"1ms\"", "delivery.scan_interval must be"},
                    Refusal{"[server\n", "f.toml:1"}));

TEST(Config, ConnectionsLeaveDescriptorsToTheRest) {
  const auto shared = [](uint64_t descriptors, uint32_t reserved = 2048) {
    Config config;
    config.server.descriptors_reserved = reserved;
    const bool lowered = share_descriptors(config, descriptors);
    return std::make_tuple(lowered, config.broker.connections_max, config.api.connections_max);
  };
  EXPECT_EQ(shared(1'048'576), std::make_tuple(false, size_t{100'000}, 1024U));
  EXPECT_EQ(shared(20'000), std::make_tuple(true, size_t{17'952}, 1024U));
  EXPECT_EQ(shared(1024), std::make_tuple(true, size_t{512}, 256U));
  EXPECT_EQ(shared(1024, 100), std::make_tuple(true, size_t{924}, 50U));
  EXPECT_EQ(shared(1), std::make_tuple(true, size_t{1}, 1U));
}

const std::string kTargets = R"([[alerts.targets]]
type = "mqtt"
name = "bus"
topic = "alerts/${thing}"
qos = 0
profiles = ["plant-*"]

[[alerts.targets]]
name = "hook"
url = "https://hooks.example/x"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
type = "webhook"
give_up_after = "1h"

[[alerts.targets]]
type = "syslog"
name = "siem"
address = "logs.example:601"
transport = "tcp"
framing = "newline"
events = ["in-alarm"]
)";

TEST(Config, ReadsAlertTargets) {
  const auto config = parse_config(kTargets, "f.toml");
  ASSERT_TRUE(config) << config.error().message;
  using alerts::Target;
  const auto& targets = config->alerts.targets;
  ASSERT_EQ(targets.size(), 3u);
  EXPECT_EQ(targets[0].kind, Target::Kind::kMqtt);
  EXPECT_EQ(targets[0].qos, 0);
  EXPECT_EQ(targets[0].profiles, std::vector<std::string>{"plant-*"});
  EXPECT_EQ(targets[1].kind, Target::Kind::kWebhook);
  EXPECT_EQ(targets[1].give_up_after, Duration{3'600'000});
  EXPECT_EQ(targets[1].keys.size(), 1u);
  EXPECT_EQ(targets[2].transport, Target::Transport::kTcp);
  EXPECT_FALSE(targets[2].octet_counting);
  EXPECT_EQ(targets[2].events, std::vector<std::string>{"in-alarm"});
}

INSTANTIATE_TEST_SUITE_P(
    BadTargets, ConfigRefusal,
    testing::Values(
        Refusal{"[[alerts.targets]]\nname = \"a\"\n", "f.toml:1: alerts.targets[a] needs type"},
        Refusal{"[[alerts.targets]]\nname = \"a\"\ntype = \"email\"\n",
                "f.toml:3: alerts.targets[a].type must be mqtt, webhook or syslog"},
        Refusal{"\n[[alerts.targets]]\nname = \"a\"\ntype = \"mqtt\"\n",
                "f.toml:2: alerts.targets[a] needs topic"},
        Refusal{"[[alerts.targets]]\ntype = \"mqtt\"\ntopic = \"x\"\n",
                "f.toml:1: alerts.targets[] name must be"},
        Refusal{"[[alerts.targets]]\nname = \"a\"\ntype = \"mqtt\"\ntopics = \"x\"\n",
                "f.toml:4: unknown key alerts.targets[a].topics"},
        Refusal{"[[alerts.targets]]\nname = \"a\"\ntype = \"mqtt\"\nurl = \"x\"\n",
                "f.toml:4: alerts.targets[a].url is for type webhook only"},
        Refusal{"[[alerts.targets]]\nname = \"a\"\ntype = \"mqtt\"\nca_file = \"x\"\n",
                "is for type webhook, syslog only"},
        Refusal{"[[alerts.targets]]\nname = \"a\"\ntype = \"mqtt\"\nqos = 2\n",
                "f.toml:4: alerts.targets[a].qos must be 0 to 1"},
        Refusal{"[[alerts.targets]]\nname = \"a\"\ntype = \"webhook\"\nurl = \"http://a.example\"\n",
                "f.toml:1: alerts.targets[a] url must be https://"},
        Refusal{"[[alerts.targets]]\nname = \"a\"\ntype = \"mqtt\"\ntopic = \"x\"\n"
                "[[alerts.targets]]\nname = \"a\"\ntype = \"mqtt\"\ntopic = \"x\"\n",
                "f.toml:5: alerts.targets[a] is there twice"},
        Refusal{"[alerts]\nx = 1\n", "f.toml:2: unknown key alerts.x"},
        Refusal{"[alerts.targets]\nname = \"a\"\n", "alerts.targets must be [[alerts.targets]] tables"},
        Refusal{"alerts = 1\n", "unknown section or key 'alerts'"}));

TEST(Config, ThereAreAtMostSoManyTargets) {
  std::string text;
  for (size_t i = 0; i <= alerts::kTargetsMax; ++i) {
    text += "[[alerts.targets]]\ntype = \"mqtt\"\ntopic = \"x\"\nname = \"t" + std::to_string(i) + "\"\n";
  }
  const auto config = parse_config(text, "f.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message, "f.toml:129: more than 32 targets");
}

TEST(Config, EveryDefaultOfATargetIsInItsRangeAndDocumented) {
  const std::string reference = configuration_reference();
  for (const TargetKey& key : target_keys()) {
    EXPECT_NE(reference.find("| `" + key.name + "` |"), std::string::npos) << key.name;
    if (key.default_text == "\"\"" || key.name == "type" || key.name == "framing") continue;
    const bool mqtt = key.only.empty() || key.only == "mqtt";
    const std::string start =
        mqtt ? "type = \"mqtt\"\ntopic = \"x\"\n"
        : key.only == "webhook"
            ? "type = \"webhook\"\nurl = \"https://a\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n"
            : "type = \"syslog\"\naddress = \"a:1\"\n";
    const auto config =
        parse_config("[[alerts.targets]]\nname = \"a\"\n" + start + key.name + " = " + key.default_text, "f");
    EXPECT_TRUE(config) << key.name << ": " << config.error().message;
  }
}

TEST(Config, EveryDefaultIsInItsRangeAndDocumented) {
  const std::string reference = configuration_reference();
  for (const ConfigKey& key : config_keys()) {
    EXPECT_NE(reference.find("| `" + key.name + "` |"), std::string::npos) << key.name;
    const std::string text = "[" + key.section + "]\n" + key.name + " = " + key.default_text;
    if (key.default_text == "\"\"") continue;  // empty means absent
    EXPECT_TRUE(parse_config(text, "f")) << text;
  }
}

}  // namespace
}  // namespace fleetward::app
