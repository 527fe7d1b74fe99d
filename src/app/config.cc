#include "app/config.h"

#include <algorithm>
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

Status read_section(const std::string& name, const std::string& section, const toml::table& table,
                    Config& config) {
  for (const auto& [key, node] : table) {
    const std::string_view key_name = key.str();
    const auto found = std::find_if(config_keys().begin(), config_keys().end(), [&](const ConfigKey& k) {
      return k.section == section && k.name == key_name;
    });
    const std::string full = section + "." + std::string(key_name);
    if (found == config_keys().end()) return wrong(at(name, key.source()) + "unknown key " + full);
    if (auto ok = found->set(config, to_value(node)); !ok) {
      return wrong(at(name, node.source()) + full + " " + ok.error().message);
    }
  }
  return {};
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
    const std::string section(key.str());
    const toml::table* table = node.as_table();
    const bool known = std::any_of(config_keys().begin(), config_keys().end(),
                                   [&](const ConfigKey& k) { return k.section == section; });
    if (table == nullptr || !known)
      return wrong(at(name, key.source()) + "unknown section or key '" + section + "'");
    if (auto ok = read_section(name, section, *table, config); !ok) return fail(ok.error());
  }
  if (auto ok = check_config(config); !ok) return wrong(name + ": " + ok.error().message);
  return config;
}

Status check_config(const Config& config) {
  const Config::Server& server = config.server;
  if (!server.mqtt_listen.empty() && server.mqtt_policy.empty()) {
    return wrong(
        "server.mqtt_listen needs server.mqtt_policy: the name of an IoT policy, or \"open\" for closed test "
        "networks and benchmarks");
  }
  if (server.endpoint_host.empty() || server.endpoint_host.find_first_of(":/ ") != std::string::npos) {
    return wrong("server.endpoint_host must be a bare host name");
  }
  for (const auto& [name, address] :
       {std::pair("api_listen", &server.api_listen), std::pair("api_tls_listen", &server.api_tls_listen),
        std::pair("mqtts_listen", &server.mqtts_listen), std::pair("alpn_listen", &server.alpn_listen),
        std::pair("mqtt_listen", &server.mqtt_listen)}) {
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
  std::string section;
  for (const ConfigKey& key : config_keys()) {
    if (key.section != section) {
      section = key.section;
      out << "\n## [" << section
          << "]\n\n| key | type | default | range | meaning |\n| --- | --- | --- | --- | --- |\n";
    }
    out << "| `" << key.name << "` | " << key.type << " | `" << key.default_text << "` | " << key.range
        << " | " << key.help << " |\n";
  }
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
