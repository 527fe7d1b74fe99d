#pragma once

#include <string>

#include "core/result.h"

namespace fleetward::app {

// The real addresses of a running server: D/endpoints.json. Each is "host:port" (`unix`: a path), empty if
// that listener is off.
struct Endpoints {
  std::string api, api_tls, mqtts, alpn, mqtt, ws, unix_socket;
  std::string ca;  // path of the CA certificate
  std::string region;
  std::string account;

  std::string to_json() const;
  static Result<Endpoints> load(const std::string& data_directory);
  // The base URL for AWS clients: plain HTTP if it is on, else HTTPS on `localhost`; empty if neither is.
  std::string api_url() const;
};

// The root access key of D/credentials.
struct RootKey {
  std::string access_key_id, secret_access_key;

  std::string to_credentials_file(const std::string& region) const;
  static Result<RootKey> load(const std::string& data_directory);
};

// `fleetward env`: lines to evaluate in a shell. kNotFound if no server has run there.
Result<std::string> environment_lines(const std::string& data_directory);

}  // namespace fleetward::app
