#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/config.h"

// The table of configuration keys; private to config.cc and config_keys.cc.
namespace fleetward::app {

// A value of the file, without toml++'s heavy headers.
struct ConfigValue {
  enum class Kind { kText, kInteger, kBoolean, kTexts, kOther } kind = Kind::kOther;
  std::string text;
  int64_t integer = 0;
  bool boolean = false;
  std::vector<std::string> texts;
};

struct ConfigKey {
  std::string section, name, help;
  std::string type, range, default_text;  // as shown in the reference
  std::function<Status(Config&, const ConfigValue&)> set;
};

const std::vector<ConfigKey>& config_keys();

}  // namespace fleetward::app
