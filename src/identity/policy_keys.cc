#include "identity/policy_keys.h"

#include <string_view>

#include "core/json.h"

namespace fleetward::identity {
namespace {

// "${key}" and "${key, 'otherwise'}"; "${*}", "${?}" and "${$}" are characters.
void add_variables(std::string_view text, std::set<std::string>& keys) {
  for (size_t at = text.find("${"); at != std::string_view::npos; at = text.find("${", at + 2)) {
    const size_t end = text.find('}', at);
    if (end == std::string_view::npos) return;
    std::string_view key = text.substr(at + 2, end - at - 2);
    key = key.substr(0, key.find(','));
    while (!key.empty() && key.back() == ' ') key.remove_suffix(1);
    if (key.size() > 1) keys.emplace(key);
  }
}

void add_variables(const json::value& texts, std::set<std::string>& keys) {
  if (const auto* one = texts.if_string()) add_variables(std::string_view(*one), keys);
  if (const auto* list = texts.if_array()) {
    for (const json::value& each : *list) add_variables(each, keys);
  }
}

void add_statement(const json::object& statement, std::set<std::string>& keys) {
  for (const char* member : {"Resource", "NotResource"}) {
    if (const auto* resources = statement.if_contains(member)) add_variables(*resources, keys);
  }
  const json::object* operators = json::find_object(statement, "Condition");
  if (operators == nullptr) return;
  for (const auto& [name, operands] : *operators) {
    if (!operands.is_object()) continue;
    for (const auto& [key, values] : operands.get_object()) {
      keys.emplace(key);
      add_variables(values, keys);
    }
  }
}

}  // namespace

std::set<std::string> context_keys(const PolicyDocument& document) {
  std::set<std::string> keys;
  const auto parsed = json::parse(document.text());
  if (!parsed || !parsed->is_object()) return keys;
  const auto* statements = parsed->get_object().if_contains("Statement");
  if (statements == nullptr) return keys;
  if (statements->is_object()) add_statement(statements->get_object(), keys);
  if (const auto* list = statements->if_array()) {
    for (const json::value& each : *list) {
      if (each.is_object()) add_statement(each.get_object(), keys);
    }
  }
  return keys;
}

}  // namespace fleetward::identity
