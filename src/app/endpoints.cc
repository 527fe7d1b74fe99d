#include "app/endpoints.h"

#include <sstream>

#include "core/files.h"
#include "core/json.h"

namespace fleetward::app {

std::string Endpoints::to_json() const {
  json::object out;
  const auto put = [&](const char* name, const std::string& value) {
    if (value.empty()) {
      out[name] = nullptr;
    } else {
      out[name] = value;
    }
  };
  put("api", api);
  put("api_tls", api_tls);
  put("mqtts", mqtts);
  put("alpn", alpn);
  put("mqtt", mqtt);
  put("ws", ws);
  put("unix", unix_socket);
  put("ca", ca);
  put("region", region);
  put("account", account);
  return json::serialize(out) + "\n";
}

Result<Endpoints> Endpoints::load(const std::string& data_directory) {
  const std::string path = data_directory + "/endpoints.json";
  const auto text = read_file(path);
  if (!text) return fail(text.error());
  const auto parsed = json::parse(*text);
  if (!parsed || !parsed->is_object()) return fail(ErrorCode::kCorrupt, path + ": not a JSON object");
  const json::object& o = parsed->get_object();
  const auto get = [&](const char* name) { return std::string(json::string_or(o, name)); };
  return Endpoints{get("api"), get("api_tls"), get("mqtts"), get("alpn"),   get("mqtt"),
                   get("ws"),  get("unix"),    get("ca"),    get("region"), get("account")};
}

std::string Endpoints::api_url() const {
  if (!api.empty()) return "http://" + api;
  if (api_tls.empty()) return {};
  return "https://localhost" + api_tls.substr(api_tls.rfind(':'));
}

std::string RootKey::to_credentials_file(const std::string& region) const {
  return "[default]\naws_access_key_id = " + access_key_id +
         "\naws_secret_access_key = " + secret_access_key + "\nregion = " + region + "\n";
}

Result<RootKey> RootKey::load(const std::string& data_directory) {
  const std::string path = data_directory + "/credentials";
  const auto text = read_file(path);
  if (!text) return fail(text.error());
  RootKey out;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find(" = ");
    if (equals == std::string::npos) continue;
    const std::string name = line.substr(0, equals);
    if (name == "aws_access_key_id") out.access_key_id = line.substr(equals + 3);
    if (name == "aws_secret_access_key") out.secret_access_key = line.substr(equals + 3);
  }
  if (out.access_key_id.empty() || out.secret_access_key.empty()) {
    return fail(ErrorCode::kCorrupt, path + ": no access key in it");
  }
  return out;
}

Result<std::string> environment_lines(const std::string& data_directory) {
  const auto endpoints = Endpoints::load(data_directory);
  if (!endpoints)
    return fail(endpoints.error().code, endpoints.error().message + " (has a server run there?)");
  const auto key = RootKey::load(data_directory);
  if (!key) return fail(key.error());
  return "export AWS_ENDPOINT_URL=" + endpoints->api_url() +
         "\nexport AWS_ACCESS_KEY_ID=" + key->access_key_id +
         "\nexport AWS_SECRET_ACCESS_KEY=" + key->secret_access_key +
         "\nexport AWS_DEFAULT_REGION=" + endpoints->region + "\nexport AWS_REGION=" + endpoints->region +
         "\nexport AWS_CA_BUNDLE=" + endpoints->ca + "\n";
}

}  // namespace fleetward::app
