#include "bench/load/options.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include <CLI/CLI.hpp>

namespace fleetward::load {

Options parse_options(int argc, char** argv) {
  Options o;
  int version = 4;
  CLI::App app{"MQTT load generator: publishes as fast as the window allows and measures PUBLISH to PUBACK."};
  app.add_option("--host", o.host, "Server address")->capture_default_str();
  app.add_option("--port", o.port, "Server port")->capture_default_str();
  app.add_option("--connections", o.connections, "Publishing connections")->capture_default_str();
  app.add_option("--threads", o.threads, "Threads of the generator")->capture_default_str();
  app.add_option("--qos", o.qos, "0 or 1")->check(CLI::Range(0, 1))->capture_default_str();
  app.add_option("--payload", o.payload_bytes, "Bytes of each message")->capture_default_str();
  app.add_option("--window", o.window, "QoS 1 messages in flight on each connection")
      ->check(CLI::Range(1, 65'535))
      ->capture_default_str();
  app.add_option("--topic", o.topic, "Topic; %c is the connection's number, %i its client id")
      ->capture_default_str();
  app.add_option("--client-id", o.client_id, "Client id; %c is the connection's number")
      ->capture_default_str();
  app.add_option("--mqtt", version, "Protocol version: 4 (3.1.1) or 5")->check(CLI::Range(4, 5));
  app.add_option("--duration", o.duration_s, "Seconds measured")->capture_default_str();
  app.add_option("--warmup", o.warmup_s, "Seconds before that, not measured")->capture_default_str();
  app.add_option("--count", o.count, "Stop after so many acknowledged messages, without warm-up");
  app.add_option("--subscribers", o.subscribers,
                 "Connections that subscribe to --filter and measure delivery");
  app.add_option("--filter", o.filter, "Topic filter of the subscribers; %c is the subscriber's number")
      ->capture_default_str();
  app.add_flag(
      "--closed", o.closed,
      "Publish only while fewer than window x connections messages are not yet delivered to each subscriber "
      "they are for (all; with %c in --filter one)");
  app.add_flag("--idle", o.idle, "Only connect, stay for --duration and print the server's memory");
  app.add_option("--sources", o.sources,
                 "Connect from so many addresses of 127.0.0.0/8: each has ports for 28,000 connections");
  app.add_flag("--tls", o.tls, "TLS; implied by --ca");
  app.add_option("--ca", o.ca_file, "CA certificates that the server must chain to (PEM)");
  app.add_option("--cert", o.certificate_file, "Client certificate (PEM)");
  app.add_option("--key", o.key_file, "Client key (PEM)");
  app.add_option(
      "--credentials", o.credentials,
      "Directory of <thing>.pem and <thing>.key: connection n is the n-th thing, its name the client id");
  app.add_option("--server-pid", o.server_pid, "Process whose CPU time is measured");
  app.add_flag("--json", o.json, "One JSON object instead of the table");
  app.add_flag("--self-test", o.self_test,
               "Against a trivial server inside this process: the generator's own limit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::exit(app.exit(e));
  }
  o.version = static_cast<mqtt::Version>(version);
  o.tls = o.tls || !o.ca_file.empty() || !o.certificate_file.empty() || !o.credentials.empty();
  o.threads = std::clamp<size_t>(o.threads, 1, std::max<size_t>(1, o.connections + o.subscribers));
  if (o.count > 0) o.warmup_s = 0;
  return o;
}

std::string fill_in(std::string pattern, size_t number, const std::string& client_id) {
  if (const size_t at = pattern.find("%c"); at != std::string::npos)
    pattern.replace(at, 2, std::to_string(number));
  if (const size_t at = pattern.find("%i"); at != std::string::npos) pattern.replace(at, 2, client_id);
  return pattern;
}

std::vector<Identity> make_identities(const Options& options) {
  std::vector<Identity> identities;
  const size_t wanted = options.connections + options.subscribers;
  if (!options.credentials.empty()) {
    for (const auto& entry : std::filesystem::directory_iterator(options.credentials)) {
      auto key = entry.path();
      key.replace_extension(".key");
      if (entry.path().extension() == ".pem" && std::filesystem::exists(key)) {
        identities.push_back({entry.path().stem(), entry.path(), key});
      }
    }
    if (identities.size() < wanted) {
      throw std::runtime_error(options.credentials + " has " + std::to_string(identities.size()) +
                               " devices, fewer than connections");
    }
    std::sort(identities.begin(), identities.end(),
              [](const Identity& a, const Identity& b) { return a.client_id < b.client_id; });
    identities.resize(wanted);
    return identities;
  }
  for (size_t i = 0; i < wanted; ++i) {
    identities.push_back({fill_in(options.client_id, i), options.certificate_file, options.key_file});
  }
  return identities;
}

}  // namespace fleetward::load
