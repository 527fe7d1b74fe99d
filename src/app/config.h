#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alerts/target.h"
#include "broker/options.h"
#include "core/logger.h"
#include "core/result.h"
#include "core/time.h"
#include "lake/remote_store.h"
#include "registry/pki.h"

namespace fleetward::app {

// Everything a user can set, with its default; the one source of docs/reference/configuration.md. A file that
// names an unknown key, a wrong unit or a value out of range is refused with its line and the reason.
struct Config {
  struct Server {
    std::string api_listen = "127.0.0.1:4566";
    bool api_allow_remote = false;
    std::string api_tls_listen = "0.0.0.0:8443";
    std::string mqtts_listen = "0.0.0.0:8883";
    std::string alpn_listen = "0.0.0.0:443";
    std::string mqtt_listen;
    std::string ws_listen;
    std::string unix_listen;
    std::string unix_mode = "0600";
    std::string unix_policy;
    std::vector<std::string> proxy_protocol;
    std::vector<std::string> proxy_sources;
    std::string mqtt_policy;
    std::string endpoint_host = "localhost";
    std::vector<std::string> certificate_names;
    std::string log_level = "info";
    Duration drain{10'000};
    Duration return_grace{180'000};
    uint32_t descriptors_reserved = 2048;
    Duration certificate_lifetime{registry::kServerLifetime};
  } server;
  struct Account {
    std::string id = "123456789012";
    std::string region = "ap-south-1";
  } account;
  struct Api {
    uint32_t worker_threads = 8;
    uint32_t connections_max = 1024;
    std::string device_key = "p256";  // or "rsa2048"
    Duration clock_skew_max{15 * 60'000};
    bool metrics_over_tls = false;
    bool ignore_unknown_members = false;  // unknown_members = "ignore"
  } api;
  struct Log {
    uint64_t queue_bytes_max = uint64_t{64} << 20;
  } log;
  struct Detect {
    Duration tick{300'000};
    Duration export_interval{300'000};
    uint32_t partitions = 8;
    Duration report_delay_min{0};
    uint32_t report_rate_max = 0;
    uint32_t custom_metrics_max = 100;
    uint32_t dimensions_max = 10;
    uint32_t profiles_per_target_max = 5;
    uint32_t behaviors_max = 100;
    uint32_t value_elements_max = 1000;
    uint32_t population_min = 2;
    Duration value_retention{std::chrono::hours(14 * 24)};
    Duration violation_retention{std::chrono::hours(30 * 24)};
  } detect;
  struct Delivery {
    uint32_t uploads_max = 2;
    Duration retention{std::chrono::hours(24)};
    Duration retry_max{300'000};
    Duration scan_interval{200};
  } delivery;
  struct Sns {
    bool private_endpoints = true;
  } sns;
  struct Lake {
    std::string kind = "local";  // or "s3"
    lake::RemoteStoreOptions remote;
    uint64_t free_bytes_min = uint64_t{64} << 20;
  } lake;
  struct Alerts {
    std::vector<alerts::Target> targets;  // prepared
  } alerts;
  broker::Options broker;

  // Of the command line alone: it is meant for one start.
  bool accept_data_loss = false;
};

// `name` is shown in errors ("fleetward.toml:3: ..."). Reads the files that hold targets' secrets.
// kInvalidArgument.
Result<Config> parse_config(std::string_view text, const std::string& name);
// What one key alone cannot tell; called by parse_config and again after the command line had its say.
Status check_config(const Config& config);

// Lowers the bounds on connections to what a process with `descriptors` of them can have:
// server.descriptors_reserved, or half of all if that is less, are kept from MQTT connections, and half of
// those from the API's. True if a bound was lowered.
bool share_descriptors(Config& config, uint64_t descriptors);

// docs/reference/configuration.md.
std::string configuration_reference();

LogLevel log_level(const Config& config);

}  // namespace fleetward::app
