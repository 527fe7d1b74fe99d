#include <cstdio>
#include <optional>
#include <sys/resource.h>
#include <utility>

#include <CLI/CLI.hpp>

#include "app/commands.h"
#include "app/server.h"
#include "core/files.h"

namespace fleetward::app {
namespace {

struct ServeOptions {
  std::string data_dir, config_file;
  bool check_config = false;
  std::optional<std::string> api, api_tls, mqtts, alpn, mqtt, ws, mqtt_policy;
  bool api_allow_remote = false, accept_data_loss = false;
};

int refuse(const Error& error) {
  const char* way_on = error.code == ErrorCode::kCorrupt
                           ? " (restore the data directory from a backup; "
                             "docs/guides/damaged-data.md says what else there is)"
                           : "";
  std::fprintf(stderr, "fleetward: %s%s\n", error.message.c_str(), way_on);
  return 1;
}

// One descriptor per connection: as many as the process may have. Answers how many.
uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

Result<Config> configure(const ServeOptions& options) {
  Config config;
  if (!options.config_file.empty()) {
    const auto text = read_file(options.config_file);
    if (!text) return fail(text.error());
    auto parsed = parse_config(*text, options.config_file);
    if (!parsed) return fail(parsed.error());
    config = std::move(*parsed);
  }
  const auto set = [](const std::optional<std::string>& given, std::string& target) {
    if (given) target = *given;
  };
  set(options.api, config.server.api_listen);
  set(options.api_tls, config.server.api_tls_listen);
  set(options.mqtts, config.server.mqtts_listen);
  set(options.alpn, config.server.alpn_listen);
  set(options.mqtt, config.server.mqtt_listen);
  set(options.ws, config.server.ws_listen);
  set(options.mqtt_policy, config.server.mqtt_policy);
  if (options.api_allow_remote) config.server.api_allow_remote = true;
  config.accept_data_loss = options.accept_data_loss;
  if (auto ok = check_config(config); !ok) return fail(ok.error());
  return config;
}

int serve(const ServeOptions& options) {
  auto config = configure(options);
  if (!config) return refuse(config.error());
  if (options.check_config) {
    std::puts("The configuration is good.");
    return 0;
  }
  if (options.data_dir.empty()) return refuse({ErrorCode::kInvalidArgument, "--data-dir is required"});
  block_stop_signals();
  Logger logger(log_level(*config));
  if (share_descriptors(*config, raise_descriptor_limit())) {
    logger.warn("fewer connections than configured: the process may not have more descriptors",
                {{"mqtt", std::to_string(config->broker.connections_max)},
                 {"api", std::to_string(config->api.connections_max)}});
  }
  auto data = DataDirectory::open(options.data_dir, options.accept_data_loss);
  if (!data) return refuse(data.error());
  auto server = Server::start(*config, std::move(*data), logger);
  if (!server) return refuse(server.error());
  const Endpoints& e = (*server)->endpoints();
  std::printf("ready api=%s api_tls=%s mqtts=%s alpn=%s mqtt=%s ws=%s data=%s\n", e.api.c_str(),
              e.api_tls.c_str(), e.mqtts.c_str(), e.alpn.c_str(), e.mqtt.c_str(), e.ws.c_str(),
              options.data_dir.c_str());
  std::fflush(stdout);
  std::optional<std::string> signal;
  while (!(signal = wait_for_stop((*server)->upkeep_interval()))) (*server)->keep_up();
  logger.info("stopping", {{"signal", *signal}});
  (*server)->stop();
  logger.info("stopped");
  return 0;
}

}  // namespace

void add_serve_command(CLI::App& app, int& status) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command =
      app.add_subcommand("serve", "Run the server on a data directory, until SIGINT or SIGTERM");
  command->add_option("--data-dir", options->data_dir, "Where everything is kept; created if missing");
  command->add_option("--config", options->config_file, "TOML file (docs/reference/configuration.md)");
  command->add_flag("--check-config", options->check_config, "Only check the configuration");
  const auto listener = [&](const char* flag, std::optional<std::string>& target, const char* help) {
    command->add_option(flag, target, help)->type_name("HOST:PORT");
  };
  listener("--api-listen", options->api,
           "AWS API over plain HTTP [127.0.0.1:4566]; \"\" for none, port 0 for a free one");
  listener("--api-tls-listen", options->api_tls, "AWS API over HTTPS [0.0.0.0:8443]");
  listener("--mqtts-listen", options->mqtts, "MQTT over mutual TLS [0.0.0.0:8883]");
  listener("--alpn-listen", options->alpn,
           "MQTT by ALPN x-amzn-mqtt-ca, HTTPS without [0.0.0.0:443 if allowed]");
  listener("--mqtt-listen", options->mqtt, "plain MQTT [off]; needs --mqtt-policy");
  listener("--ws-listen", options->ws, "MQTT over plain WebSockets [off]; needs --mqtt-policy");
  command->add_option(
      "--mqtt-policy", options->mqtt_policy,
      "What MQTT clients without certificate or signature may do: the name of an IoT policy, or \"open\"");
  command->add_flag("--accept-data-loss", options->accept_data_loss,
                    "Start although acknowledged writes are missing, say what, and go on without them "
                    "(docs/guides/damaged-data.md)");
  command->add_flag("--api-allow-remote", options->api_allow_remote,
                    "Let --api-listen be an address that other machines reach");
  command->callback([options, &status] { status = serve(*options); });
}

void add_env_command(CLI::App& app, int& status) {
  auto data_dir = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "env",
      "Print the export lines that point the aws CLI and SDKs here: eval \"$(fleetward env --data-dir D)\"");
  command->add_option("--data-dir", *data_dir, "The server's data directory")->required();
  command->callback([data_dir, &status] {
    const auto lines = environment_lines(*data_dir);
    if (!lines) {
      status = refuse(lines.error());
      return;
    }
    std::fputs(lines->c_str(), stdout);
  });
}

}  // namespace fleetward::app
