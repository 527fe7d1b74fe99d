#pragma once

#include <functional>
#include <string>
#include <vector>

#include "alerts/target.h"
#include "app/config.h"

// The tables of configuration keys; private to config*.cc.
namespace fleetward::app {

// A value of the file, without toml++'s heavy headers.
struct ConfigValue {
  enum class Kind { kText, kInteger, kBoolean, kTexts, kOther } kind = Kind::kOther;
  std::string text;
  int64_t integer = 0;
  bool boolean = false;
  std::vector<std::string> texts;
};

// A key of tables that fill a T.
template <typename T>
struct KeyOf {
  std::string section, name, help;
  std::string type, range, default_text;  // as shown in the reference
  std::function<Status(T&, const ConfigValue&)> set;
  std::string only{};  // the `type` of table that has it; empty: all
};

using ConfigKey = KeyOf<Config>;
const std::vector<ConfigKey>& config_keys();

// Of [[alerts.targets]]. The first is `type`.
using TargetKey = KeyOf<alerts::Target>;
inline constexpr const char* kTargetSection = "alerts.targets";
const std::vector<TargetKey>& target_keys();

}  // namespace fleetward::app
