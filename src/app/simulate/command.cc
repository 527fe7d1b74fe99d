#include "app/simulate/command.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <CLI/CLI.hpp>

#include "app/client/aws_client.h"
#include "app/endpoints.h"
#include "app/simulate/fleet.h"
#include "app/simulate/provision.h"
#include "core/files.h"
#include "core/json.h"

namespace fleetward::app {
namespace {

using namespace simulate;

struct SimulateOptions {
  std::string data_dir, endpoint, ca_file, credentials, api;
  ProvisionOptions devices;
  std::string attack;
  size_t attackers = 1;
  double attack_after_s = 0;
  uint64_t seed = 1;
  double duration_s = 60, report_interval_s = 300, rate = 0;
  std::string format = "json", metric = "mobilerssi", sent_file;
  bool json = false;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// What was not given, from the data directory of a server on this machine.
Status complete_from_data_dir(SimulateOptions& o, AwsClientOptions& api) {
  api.access_key_id = environment("AWS_ACCESS_KEY_ID");
  api.secret_access_key = environment("AWS_SECRET_ACCESS_KEY");
  api.region =
      environment("AWS_REGION").empty() ? environment("AWS_DEFAULT_REGION") : environment("AWS_REGION");
  if (!o.data_dir.empty()) {
    const auto endpoints = Endpoints::load(o.data_dir);
    if (!endpoints) return fail(endpoints.error());
    if (o.endpoint.empty()) o.endpoint = "localhost" + endpoints->mqtts.substr(endpoints->mqtts.rfind(':'));
    if (o.ca_file.empty()) o.ca_file = endpoints->ca;
    if (o.api.empty()) o.api = endpoints->api_url();
    api.region = endpoints->region;
    if (const auto key = RootKey::load(o.data_dir); key) {
      api.access_key_id = key->access_key_id;
      api.secret_access_key = key->secret_access_key;
    }
  }
  if (api.region.empty()) api.region = "us-east-1";
  api.endpoint_url = o.api;
  if (o.api.starts_with("https")) api.ca_file = o.ca_file;
  if (o.endpoint.empty() || o.endpoint.rfind(':') == std::string::npos || o.ca_file.empty()) {
    return fail(ErrorCode::kInvalidArgument, "give --data-dir, or --endpoint HOST:PORT with --ca");
  }
  if (o.api.empty() && o.credentials.empty()) {
    return fail(ErrorCode::kInvalidArgument, "give --credentials DIR, or --api URL to create devices");
  }
  return {};
}

Result<std::vector<DeviceCredentials>> find_devices(SimulateOptions& o, const AwsClientOptions& api) {
  if (o.api.empty()) return credentials_in(o.credentials, o.devices.count);
  if (api.access_key_id.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "creating devices needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  }
  o.devices.directory = o.credentials.empty() ? "simulated-devices" : o.credentials;
  AwsClient client(api);
  if (!o.json)
    std::printf("devices: %s, things %s*\n", o.devices.directory.c_str(), o.devices.name_prefix.c_str());
  return provision(client, o.devices);
}

Result<FleetOptions> fleet_options(const SimulateOptions& o, std::vector<DeviceCredentials> devices) {
  FleetOptions fleet;
  const size_t colon = o.endpoint.rfind(':');
  fleet.host = o.endpoint.substr(0, colon);
  const long port = std::strtol(o.endpoint.c_str() + colon + 1, nullptr, 10);
  if (port < 1 || port > 65'535)
    return fail(ErrorCode::kInvalidArgument, "--endpoint: no port in '" + o.endpoint + "'");
  fleet.port = static_cast<uint16_t>(port);
  fleet.ca_file = o.ca_file;
  fleet.devices = std::move(devices);
  fleet.seed = o.seed;
  fleet.format = o.format == "cbor" ? ReportFormat::kCbor : ReportFormat::kJson;
  fleet.metrics.signal = o.metric;
  fleet.report_interval = Duration{static_cast<int64_t>(o.report_interval_s * 1000)};
  fleet.messages_per_second = o.rate;
  return fleet;
}

// True if SIGINT or SIGTERM came within the time.
bool stop_asked_within(Duration time) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  const timespec wait{time.count() / 1000, static_cast<long>(time.count() % 1000) * 1'000'000};
  return sigtimedwait(&set, nullptr, &wait) > 0;
}

void print_progress(const Fleet& fleet, size_t connected, size_t devices) {
  const DeviceCounters t = fleet.totals();
  std::printf(
      "connected %zu/%zu  reports sent %llu accepted %llu rejected %llu  messages sent %llu received "
      "%llu%s%s\n",
      connected, devices, static_cast<unsigned long long>(t.reports_sent),
      static_cast<unsigned long long>(t.reports_accepted),
      static_cast<unsigned long long>(t.reports_rejected), static_cast<unsigned long long>(t.messages_sent),
      static_cast<unsigned long long>(t.messages_received),
      t.last_error.empty() ? "" : "  last error: ", t.last_error.c_str());
  std::fflush(stdout);
}

json::object to_json(const DeviceCounters& c) {
  json::object o;
  if (!c.thing_name.empty()) o["thingName"] = c.thing_name;
  if (c.attack != Attack::kNone) o["attack"] = to_string(c.attack);
  o["connects"] = c.connects;
  o["connectFailures"] = c.connect_failures;
  o["disconnects"] = c.disconnects;
  o["reportsSent"] = c.reports_sent;
  o["reportsAccepted"] = c.reports_accepted;
  o["reportsRejected"] = c.reports_rejected;
  o["messagesSent"] = c.messages_sent;
  o["messagesAcknowledged"] = c.messages_acknowledged;
  o["messagesReceived"] = c.messages_received;
  o["payloadBytesSent"] = c.payload_bytes_sent;
  if (!c.last_error.empty()) o["lastError"] = c.last_error;
  return o;
}

// Every report sent, one JSON object a line: what must be found again where the metrics are exported to.
Status write_sent(const Fleet& fleet, const std::string& file) {
  std::string text;
  for (const SentReport& r : fleet.sent()) {
    json::object line{
        {"thingName", r.thing_name}, {"reportId", r.report_id},         {"sentMs", r.sent.ms},
        {"signal", r.signal_dbm},    {"payloadBytes", r.payload_bytes}, {"accepted", r.accepted}};
    if (r.attack != Attack::kNone) line["attack"] = to_string(r.attack);
    json::serialize_to(line, text);
    text += '\n';
  }
  return write_file(file, text, 0644);
}

// Runs to the end of the duration, or until a signal.
void play(const SimulateOptions& o, Attack attack, Fleet& fleet, const std::vector<DeviceCounters>& devices) {
  SystemClock clock;
  const Timestamp start = clock.now();
  Timestamp shown = start;
  bool attacked = false;
  while (true) {
    const Duration elapsed = clock.now() - start;
    const auto limit = Duration{static_cast<int64_t>(o.duration_s * 1000)};
    if (o.duration_s > 0 && elapsed >= limit) return;
    if (attack != Attack::kNone && !attacked && elapsed.count() >= o.attack_after_s * 1000) {
      attacked = true;
      for (size_t i = 0; i < std::min(o.attackers, devices.size()); ++i) {
        if (fleet.misbehave(devices[i].thing_name, attack) && !o.json) {
          std::printf("%s: %s\n", devices[i].thing_name.c_str(), o.attack.c_str());
        }
      }
    }
    if (!o.json && clock.now() - shown >= Duration{5'000}) {
      shown = clock.now();
      print_progress(fleet, fleet.connected(), devices.size());
    }
    if (stop_asked_within(Duration{100})) return;
  }
}

int finish(const SimulateOptions& o, Fleet& fleet, size_t devices) {
  const size_t connected = fleet.connected();
  fleet.stop();
  const DeviceCounters totals = fleet.totals();
  if (o.json) {
    json::array each;
    for (const DeviceCounters& c : fleet.counters()) each.push_back(to_json(c));
    std::printf("%s\n",
                json::serialize(json::object{{"totals", to_json(totals)}, {"devices", each}}).c_str());
  } else {
    print_progress(fleet, connected, devices);
  }
  if (!o.sent_file.empty()) {
    if (auto ok = write_sent(fleet, o.sent_file); !ok) {
      std::fprintf(stderr, "fleetward: %s\n", ok.error().message.c_str());
      return 1;
    }
  }
  // An attack may well lose its connection or have its reports refused.
  const bool complete = connected == devices && totals.reports_accepted == totals.reports_sent;
  return complete || !o.attack.empty() ? 0 : 1;
}

Status run_simulation(SimulateOptions& o, int& status) {
  AwsClientOptions api;
  if (auto ok = complete_from_data_dir(o, api); !ok) return ok;
  Attack attack = Attack::kNone;
  if (!o.attack.empty()) {
    const auto parsed = parse_attack(o.attack);
    if (!parsed) return fail(parsed.error());
    attack = *parsed;
  }
  auto credentials = find_devices(o, api);
  if (!credentials) return fail(credentials.error());
  auto options = fleet_options(o, std::move(*credentials));
  if (!options) return fail(options.error());
  // The signals are waited for here; threads started from now on leave them alone.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  auto fleet = Fleet::start(std::move(*options));
  if (!fleet) return fail(fleet.error());
  const auto devices = (*fleet)->counters();
  play(o, attack, **fleet, devices);
  status = finish(o, **fleet, devices.size());
  return {};
}

std::string attack_help() {
  std::string text = "What the first devices do wrong:";
  for (const AttackInfo& info : attack_infos())
    text += "\n  " + std::string(info.name) + ": " + std::string(info.what);
  return text;
}

CLI::AsNumberWithUnit duration_units() {
  return CLI::AsNumberWithUnit(std::map<std::string, double>{{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}},
                               CLI::AsNumberWithUnit::UNIT_OPTIONAL, "DURATION");
}

}  // namespace

void add_simulate_command(CLI::App& app, int& status) {
  auto o = std::make_shared<SimulateOptions>();
  CLI::App* command = app.add_subcommand(
      "simulate", "A fleet of devices over mutual TLS that report their metrics, and misbehave on request");
  command->add_option("--data-dir", o->data_dir,
                      "A server of this machine: gives endpoint, CA, API and its root key");
  command->add_option("--endpoint", o->endpoint, "MQTT over TLS of the server")->type_name("HOST:PORT");
  command->add_option("--ca", o->ca_file, "CA certificate of the server (PEM)");
  command->add_option("--credentials", o->credentials,
                      "Directory of <thing>.pem and <thing>.key: read, or with --api written");
  command
      ->add_option("--api", o->api,
                   "AWS API to create things, certificates and policy with, signed with AWS_ACCESS_KEY_ID")
      ->type_name("URL");
  command->add_option("--devices", o->devices.count, "Number of devices")
      ->check(CLI::Range(1, 20'000))
      ->capture_default_str();
  command->add_option("--prefix", o->devices.name_prefix, "Their names are <prefix>0001 ...")
      ->capture_default_str();
  command->add_option("--group", o->devices.group, "Thing group that created devices join");
  command->add_option("--seed", o->seed, "The same seed gives the same devices and values")
      ->capture_default_str();
  command->add_option("--duration", o->duration_s, "How long; 0: until Ctrl-C [60s]")
      ->transform(duration_units());
  command->add_option("--report-interval", o->report_interval_s, "Between the reports of a device [5m]")
      ->transform(duration_units());
  command->add_option("--rate", o->rate, "Ordinary messages per second of each device, beside its reports")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  command->add_option("--format", o->format, "Of the reports")
      ->check(CLI::IsMember({"json", "cbor"}))
      ->capture_default_str();
  command->add_option("--metric", o->metric, "Custom metric that carries the signal strength")
      ->capture_default_str();
  command->add_option("--attack", o->attack, attack_help());
  command->add_option("--attack-devices", o->attackers, "How many devices misbehave")->capture_default_str();
  command->add_option("--attack-after", o->attack_after_s, "When they start [0s]")
      ->transform(duration_units());
  command->add_option("--sent", o->sent_file, "Write every report sent to this file, one JSON object a line");
  command->add_flag("--json", o->json, "Only a summary in JSON at the end");
  command->callback([o, &status] {
    if (auto ok = run_simulation(*o, status); !ok) {
      std::fprintf(stderr, "fleetward: %s\n", ok.error().message.c_str());
      status = 1;
    }
  });
}

}  // namespace fleetward::app
