#include "app/config.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <type_traits>

#include <toml++/toml.h>

#include "app/config_keys.h"
#include "broker/broker.h"
#include "core/text.h"

namespace fleetward::app {
namespace {

tl::unexpected<Error> wrong(const std::string& what) {
  return fail(ErrorCode::kInvalidArgument, what);
}

std::string at(const std::string& name, const toml::source_region& region) {
  return name + ":" + std::to_string(region.begin.line) + ": ";
}

// "host:port" or "[v6]:port" with a port of 0 to 65535. Whether the host is there is the listener's to find
// out.
bool is_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.front() == '[' && host.back() == ']';
  if (!bracketed && host.find_first_of(":[]") != std::string_view::npos) return false;
  return parse_number<uint16_t>(text.substr(colon + 1)).has_value();
}

bool is_loopback(std::string_view address) {
  const std::string_view host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" ||
         (host.substr(0, 4) == "127." && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

ConfigValue to_value(const toml::node& node) {
  ConfigValue out;
  if (const auto text = node.value_exact<std::string>()) {
    out.kind = ConfigValue::Kind::kText;
    out.text = *text;
  } else if (const auto integer = node.value_exact<int64_t>()) {
    out.kind = ConfigValue::Kind::kInteger;
    out.integer = *integer;
  } else if (const auto boolean = node.value_exact<bool>()) {
    out.kind = ConfigValue::Kind::kBoolean;
    out.boolean = *boolean;
  } else if (const toml::array* list = node.as_array()) {
    out.kind = ConfigValue::Kind::kTexts;
    for (const toml::node& element : *list) {
      const auto item = element.value_exact<std::string>();
      if (!item) {
        out.kind = ConfigValue::Kind::kOther;
        break;
      }
      out.texts.push_back(*item);
    }
  }
  return out;
}

// "ops" of a table with several lists apart by `only`: does the list "webhook, syslog" have it?
bool is_among(const std::string& only, std::string_view type) {
  return only.empty() || (", " + only + ", ").find(", " + std::string(type) + ", ") != std::string::npos;
}

// Fills `out` from a table whose keys `keys` tells. `full` names the table in errors.
template <typename T>
Status read_table(const std::string& file, const std::string& full, const std::string& section,
                  const toml::table& table, const std::vector<KeyOf<T>>& keys, T& out) {
  const std::string type = table["type"].value_or(std::string());
  for (const auto& [key, node] : table) {
    const std::string_view key_name = key.str();
    const auto found = std::find_if(keys.begin(), keys.end(), [&](const KeyOf<T>& k) {
      return k.section == section && k.name == key_name;
    });
    const std::string name = full + "." + std::string(key_name);
    if (found == keys.end()) return wrong(at(file, key.source()) + "unknown key " + name);
    if (!is_among(found->only, type)) {
      return wrong(at(file, key.source()) + name + " is for type " + found->only + " only");
    }
    if (auto ok = found->set(out, to_value(node)); !ok) {
      return wrong(at(file, node.source()) + name + " " + ok.error().message);
    }
  }
  return {};
}

Status read_target(const std::string& file, const toml::table& table, Config& config) {
  alerts::Target target;
  const std::string name = table["name"].value_or(std::string());
  const std::string full = std::string(kTargetSection) + "[" + name + "]";
  // First: the other keys' meaning depends on it.
  const auto type = table.find("type");
  if (type == table.end()) return wrong(at(file, table.source()) + full + " needs type");
  const TargetKey& key = target_keys().front();
  if (auto ok = key.set(target, to_value(type->second)); !ok) {
    return wrong(at(file, type->second.source()) + full + ".type " + ok.error().message);
  }
  if (auto ok = read_table(file, full, kTargetSection, table, target_keys(), target); !ok) return ok;
  if (auto ok = alerts::prepare(target); !ok) {
    return wrong(at(file, table.source()) + full + " " + ok.error().message);
  }
  for (const alerts::Target& other : config.alerts.targets) {
    if (other.name == target.name) return wrong(at(file, table.source()) + full + " is there twice");
  }
  if (config.alerts.targets.size() == alerts::kTargetsMax) {
    return wrong(at(file, table.source()) + "more than " + std::to_string(alerts::kTargetsMax) + " targets");
  }
  config.alerts.targets.push_back(std::move(target));
  return {};
}

// [alerts] has tables only: [[alerts.targets]].
Status read_alerts(const std::string& file, const toml::table& table, Config& config) {
  for (const auto& [key, node] : table) {
    if (key.str() != "targets")
      return wrong(at(file, key.source()) + "unknown key alerts." + std::string(key.str()));
    const toml::array* list = node.as_array();
    if (list == nullptr)
      return wrong(at(file, node.source()) + "alerts.targets must be [[alerts.targets]] tables");
    for (const toml::node& element : *list) {
      if (!element.is_table()) {
        return wrong(at(file, element.source()) + "alerts.targets must be [[alerts.targets]] tables");
      }
      if (auto ok = read_target(file, *element.as_table(), config); !ok) return ok;
    }
  }
  return {};
}

Status read_section(const std::string& file, const std::string& section, const toml::source_region& where,
                    const toml::node& node, Config& config) {
  const toml::table* table = node.as_table();
  const bool known =
      section == "alerts" || std::any_of(config_keys().begin(), config_keys().end(),
                                         [&](const ConfigKey& k) { return k.section == section; });
  if (table == nullptr || !known) return wrong(at(file, where) + "unknown section or key '" + section + "'");
  // First: the other keys' defaults depend on it. A word that is none is refused with them.
  if (section == "broker" && (*table)["behaviour"].value<std::string>() == "aws") {
    config.broker = broker::Options::aws();
  }
  if (section == "alerts") return read_alerts(file, *table, config);
  return read_table(file, section, section, *table, config_keys(), config);
}

template <typename T>
void document(const std::vector<KeyOf<T>>& keys, bool with_types, std::ostream& out) {
  std::string section;
  for (const KeyOf<T>& key : keys) {
    if (key.section != section) {
      section = key.section;
      out << (with_types ? "\n## [[" : "\n## [") << section << (with_types ? "]]" : "]") << "\n\n| key | "
          << (with_types ? "of type | value" : "type") << " | default | range | meaning |\n"
          << (with_types ? "| --- " : "") << "| --- | --- | --- | --- | --- |\n";
    }
    out << "| `" << key.name << "` | ";
    if (with_types) out << (key.only.empty() ? "all" : key.only) << " | ";
    out << key.type << " | `" << key.default_text << "` | " << key.range << " | " << key.help << " |\n";
  }
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& name) {
  toml::table file;
  try {
    file = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return wrong(at(name, error.source()) + std::string(error.description()));
  }
  Config config;
  for (const auto& [key, node] : file) {
    if (auto ok = read_section(name, std::string(key.str()), key.source(), node, config); !ok) {
      return fail(ok.error());
    }
  }
  if (auto ok = check_config(config); !ok) return wrong(name + ": " + ok.error().message);
  return config;
}

namespace {

Status check_proxies(const Config::Server& server) {
  for (const std::string& name : server.proxy_protocol) {
    constexpr std::array kNames = {"mqtts_listen", "alpn_listen", "mqtt_listen",
                                   "ws_listen",    "api_listen",  "api_tls_listen"};
    if (std::find(kNames.begin(), kNames.end(), name) == kNames.end()) {
      return wrong("server.proxy_protocol: '" + name + "' is no listener that may be behind a proxy");
    }
  }
  if (!server.proxy_protocol.empty() && server.proxy_sources.empty()) {
    return wrong("server.proxy_protocol needs server.proxy_sources: who may say where clients come from");
  }
  const auto sources = AddressList::parse(server.proxy_sources);
  if (!sources) return wrong("server.proxy_sources: " + sources.error().message);
  return {};
}

}  // namespace

Status check_config(const Config& config) {
  const Config::Server& server = config.server;
  const bool for_nobody = !server.mqtt_listen.empty() || !server.ws_listen.empty();
  if (for_nobody && server.mqtt_policy.empty()) {
    return wrong(
        "server.mqtt_listen and ws_listen need server.mqtt_policy: the name of an IoT policy, or \"open\" "
        "for closed test "
        "networks and benchmarks");
  }
  if (!server.unix_listen.empty() && server.unix_policy.empty()) {
    return wrong("server.unix_listen needs server.unix_policy: the name of an IoT policy, or \"open\"");
  }
  if (auto ok = check_proxies(server); !ok) return ok;
  if (server.endpoint_host.empty() || server.endpoint_host.find_first_of(":/ ") != std::string::npos) {
    return wrong("server.endpoint_host must be a bare host name");
  }
  for (const auto& [name, address] :
       {std::pair("api_listen", &server.api_listen), std::pair("api_tls_listen", &server.api_tls_listen),
        std::pair("mqtts_listen", &server.mqtts_listen), std::pair("alpn_listen", &server.alpn_listen),
        std::pair("mqtt_listen", &server.mqtt_listen), std::pair("ws_listen", &server.ws_listen)}) {
    if (!address->empty() && !is_address(*address)) {
      return wrong("server." + std::string(name) +
                   " must be host:port, such as 127.0.0.1:8883 or [::1]:0, not '" + *address + "'");
    }
  }
  const bool loopback = server.api_listen.empty() || is_loopback(server.api_listen);
  if (!loopback && !server.api_allow_remote) {
    return wrong(
        "server.api_listen is plain HTTP and " + server.api_listen +
        " is not a loopback address; use api_tls_listen, or allow it with server.api_allow_remote = true");
  }
  if (config.lake.kind == "s3" && config.lake.remote.endpoint.empty()) {
    return wrong(
        "lake.kind = \"s3\" needs lake.s3_endpoint, lake.s3_access_key_id and lake.s3_secret_access_key");
  }
  return broker::Broker::check(config.broker);
}

std::string configuration_reference() {
  std::ostringstream out;
  out << "# Configuration\n\nThe file is TOML, given with `fleetward serve --config FILE`; with "
         "`--check-config` it is "
         "only checked. The listeners can be given as options too (`fleetward serve --help`), which win. "
         "Durations are "
         "strings with a unit (`ms`, `s`, `m`, `h`, `d`), sizes likewise (`B`, `KiB`, `MiB`, `GiB`). What is "
         "unknown, "
         "of a wrong unit or out of range is refused with its line.\n\n"
         "`fleetward docs configuration` prints this page.\n";
  document(config_keys(), false, out);
  document(target_keys(), true, out);
  out << "\nWhat targets are sent, and how to verify it: [alert targets](../concepts/alert-targets.md).\n";
  return out.str();
}

bool share_descriptors(Config& config, uint64_t descriptors) {
  const uint64_t reserved = std::min<uint64_t>(config.server.descriptors_reserved, descriptors / 2);
  const auto lower = [](auto& bound, uint64_t most) {
    if (bound <= most) return false;
    bound = static_cast<std::remove_reference_t<decltype(bound)>>(std::max<uint64_t>(most, 1));
    return true;
  };
  const bool mqtt = lower(config.broker.connections_max, descriptors - reserved);
  const bool api = lower(config.api.connections_max, reserved / 2);
  return mqtt || api;
}

LogLevel log_level(const Config& config) {
  if (config.server.log_level == "debug") return LogLevel::kDebug;
  if (config.server.log_level == "warn") return LogLevel::kWarn;
  if (config.server.log_level == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

}  // namespace fleetward::app
