#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mqtt/packet.h"

namespace fleetward::load {

// The command line of fleetward-load.
struct Options {
  std::string host = "127.0.0.1";
  uint16_t port = 1883;
  size_t connections = 50;
  size_t threads = 1;
  int qos = 1;
  size_t payload_bytes = 300;
  size_t window = 100;                      // QoS 1 publishes in flight on each connection
  std::string topic = "load/%c/telemetry";  // %c: the connection's number, %i: its client id
  std::string client_id = "load-%c";
  mqtt::Version version = mqtt::Version::k311;
  double duration_s = 5;
  double warmup_s = 1;
  uint64_t count = 0;  // stop after so many acknowledged messages instead of after duration_s
  size_t subscribers = 0;
  std::string filter = "load/#";  // %c: the subscriber's number
  bool closed = false;            // a message stays in its window until it is delivered to all whom it is for
  bool idle = false;              // connect only, and stay
  size_t sources = 0;  // local addresses to connect from: 127.0.0.2 and on; 0: as the system chooses
  double connect_timeout_s = 120;

  bool tls = false;
  std::string ca_file, certificate_file, key_file;
  std::string credentials;  // directory of <thing>.pem and <thing>.key: one for each connection

  int server_pid = 0;
  bool json = false;
  bool self_test = false;
};

// One connection's name and files.
struct Identity {
  std::string client_id, certificate_file, key_file;
};

// Parses the command line; exits the process by itself for --help and for mistakes.
Options parse_options(int argc, char** argv);
// connections + subscribers of them. Throws std::runtime_error if the directory has none.
std::vector<Identity> make_identities(const Options& options);
// Replaces "%c" by the number and "%i" by the client id.
std::string fill_in(std::string pattern, size_t number, const std::string& client_id = "");

}  // namespace fleetward::load
