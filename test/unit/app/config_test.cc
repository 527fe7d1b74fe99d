#include "app/config.h"

#include <gtest/gtest.h>

#include "app/config_keys.h"

namespace fleetward::app {
namespace {

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
                    Refusal{"[server]\nmqtt_listen = \"127.0.0.1:1883\"", "needs server.mqtt_policy"},
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
