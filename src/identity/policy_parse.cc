#include <algorithm>
#include <array>
#include <cctype>

#include "core/encoding.h"
#include "core/json.h"
#include "core/text.h"
#include "identity/policy_compiled.h"

namespace fleetward::identity {
namespace {

tl::unexpected<Error> malformed(std::string message) {
  return fail(ErrorCode::kMalformed, std::move(message));
}

// A string or an array of strings, at least one.
Result<std::vector<std::string>> strings(const json::value& v, const std::string& where) {
  std::vector<std::string> out;
  if (v.is_string()) {
    out.emplace_back(v.get_string());
  } else if (const json::array* list = v.if_array()) {
    for (const json::value& element : *list) {
      if (!element.is_string()) return malformed(where + " must hold strings");
      out.emplace_back(element.get_string());
    }
  } else {
    return malformed(where + " must be a string or a list of strings");
  }
  if (out.empty()) return malformed(where + " must not be empty");
  return out;
}

struct OperatorRow {
  std::string_view name;
  ConditionKind kind;
  Comparison comparison;
};

constexpr std::array kOperators = {
    OperatorRow{"StringEquals", ConditionKind::kString, Comparison::kEqual},
    OperatorRow{"StringNotEquals", ConditionKind::kString, Comparison::kNotEqual},
    OperatorRow{"StringEqualsIgnoreCase", ConditionKind::kStringIgnoreCase, Comparison::kEqual},
    OperatorRow{"StringNotEqualsIgnoreCase", ConditionKind::kStringIgnoreCase, Comparison::kNotEqual},
    OperatorRow{"StringLike", ConditionKind::kStringLike, Comparison::kEqual},
    OperatorRow{"StringNotLike", ConditionKind::kStringLike, Comparison::kNotEqual},
    OperatorRow{"NumericEquals", ConditionKind::kNumeric, Comparison::kEqual},
    OperatorRow{"NumericNotEquals", ConditionKind::kNumeric, Comparison::kNotEqual},
    OperatorRow{"NumericLessThan", ConditionKind::kNumeric, Comparison::kLess},
    OperatorRow{"NumericLessThanEquals", ConditionKind::kNumeric, Comparison::kLessEqual},
    OperatorRow{"NumericGreaterThan", ConditionKind::kNumeric, Comparison::kGreater},
    OperatorRow{"NumericGreaterThanEquals", ConditionKind::kNumeric, Comparison::kGreaterEqual},
    OperatorRow{"DateEquals", ConditionKind::kDate, Comparison::kEqual},
    OperatorRow{"DateNotEquals", ConditionKind::kDate, Comparison::kNotEqual},
    OperatorRow{"DateLessThan", ConditionKind::kDate, Comparison::kLess},
    OperatorRow{"DateLessThanEquals", ConditionKind::kDate, Comparison::kLessEqual},
    OperatorRow{"DateGreaterThan", ConditionKind::kDate, Comparison::kGreater},
    OperatorRow{"DateGreaterThanEquals", ConditionKind::kDate, Comparison::kGreaterEqual},
    OperatorRow{"Bool", ConditionKind::kBool, Comparison::kEqual},
    OperatorRow{"BinaryEquals", ConditionKind::kBinary, Comparison::kEqual},
    OperatorRow{"IpAddress", ConditionKind::kIp, Comparison::kEqual},
    OperatorRow{"NotIpAddress", ConditionKind::kIp, Comparison::kNotEqual},
    OperatorRow{"ArnEquals", ConditionKind::kArn, Comparison::kEqual},
    OperatorRow{"ArnLike", ConditionKind::kArn, Comparison::kEqual},
    OperatorRow{"ArnNotEquals", ConditionKind::kArn, Comparison::kNotEqual},
    OperatorRow{"ArnNotLike", ConditionKind::kArn, Comparison::kNotEqual},
    OperatorRow{"Null", ConditionKind::kNull, Comparison::kEqual},
};

bool strip_prefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

Result<Condition> parse_operator(std::string_view name) {
  Condition out;
  std::string_view rest = name;
  if (strip_prefix(rest, "ForAllValues:")) {
    out.quantifier = Quantifier::kForAllValues;
  } else if (strip_prefix(rest, "ForAnyValue:")) {
    out.quantifier = Quantifier::kForAnyValue;
  }
  constexpr std::string_view kIfExists = "IfExists";
  if (rest.size() > kIfExists.size() && rest.substr(rest.size() - kIfExists.size()) == kIfExists) {
    out.if_exists = true;
    rest.remove_suffix(kIfExists.size());
  }
  const auto row = std::find_if(kOperators.begin(), kOperators.end(),
                                [&](const OperatorRow& r) { return r.name == rest; });
  if (row == kOperators.end() || (row->kind == ConditionKind::kNull && out.if_exists)) {
    return malformed("unknown condition operator " + std::string(name));
  }
  out.kind = row->kind;
  out.comparison = row->comparison;
  return out;
}

Result<std::vector<Condition>> parse_conditions(const json::value& v) {
  const json::object* operators = v.if_object();
  if (operators == nullptr) return malformed("Condition must be an object");
  std::vector<Condition> out;
  for (const auto& [name, keys] : *operators) {
    auto prototype = parse_operator(name);
    if (!prototype) return fail(prototype.error());
    const json::object* members = keys.if_object();
    if (members == nullptr) return malformed("Condition." + std::string(name) + " must be an object");
    for (const auto& [key, wanted] : *members) {
      Condition condition = *prototype;
      condition.key = key;
      // Booleans and numbers may stand unquoted.
      json::value quoted = wanted;
      if (wanted.is_bool() || wanted.is_number()) quoted = json::string(json::serialize(wanted));
      auto texts = strings(quoted, "Condition." + std::string(name) + "." + condition.key);
      if (!texts) return fail(texts.error());
      for (const std::string& text : *texts) {
        const bool wildcards =
            condition.kind == ConditionKind::kStringLike || condition.kind == ConditionKind::kArn;
        auto pattern = Pattern::parse(text, wildcards);
        if (!pattern) return fail(pattern.error());
        if (condition.kind == ConditionKind::kIp && !pattern->has_variables() && !is_cidr(text)) {
          return malformed("'" + text + "' is not an IP address or CIDR block");
        }
        condition.values.push_back(std::move(*pattern));
      }
      out.push_back(std::move(condition));
    }
  }
  return out;
}

Result<PrincipalSet> parse_principal(const json::value& v) {
  PrincipalSet out;
  out.present = true;
  if (v.is_string()) {
    if (v.get_string() != "*") return malformed("Principal must be \"*\" or an object");
    out.anyone = true;
    return out;
  }
  const json::object* kinds = v.if_object();
  if (kinds == nullptr || kinds->empty()) return malformed("Principal must be \"*\" or an object");
  for (const auto& [kind, names] : *kinds) {
    auto list = strings(names, "Principal." + std::string(kind));
    if (!list) return fail(list.error());
    if (kind == "AWS") {
      for (std::string& name : *list) {
        if (name == "*") out.anyone = true;
        out.aws.push_back(std::move(name));
      }
    } else if (kind == "Service") {
      for (std::string& name : *list) out.services.push_back(std::move(name));
    } else if (kind != "Federated" &&
               kind != "CanonicalUser") {  // those two exist but nobody here can be one
      return malformed("unknown kind of Principal: " + std::string(kind));
    }
  }
  return out;
}

// The one of two members that is there; sets `negated` if it is the Not form.
Result<const json::value*> one_of(const json::object& o, std::string_view plain,
                                  std::string_view negated_name, bool& negated, bool required) {
  const json::value* a = json::find(o, plain);
  const json::value* b = json::find(o, negated_name);
  if (a != nullptr && b != nullptr)
    return malformed(std::string(plain) + " and " + std::string(negated_name) + " exclude each other");
  if (a == nullptr && b == nullptr && required) return malformed("a statement needs " + std::string(plain));
  negated = b != nullptr;
  return a != nullptr ? a : b;
}

Status parse_actions_and_resources(const json::object& source, const DocumentRules& rules, Statement& out) {
  auto actions = one_of(source, "Action", "NotAction", out.not_action, true);
  if (!actions) return fail(actions.error());
  auto action_list = strings(**actions, "Action");
  if (!action_list) return fail(action_list.error());
  for (std::string& action : *action_list) {
    if (action != "*" && action.find(':') == std::string::npos) {
      return malformed("action '" + action + "' is not <service>:<operation>");
    }
    action = to_lower(action);
    auto pattern = Pattern::parse(action, true);
    if (!pattern) return fail(pattern.error());
    out.actions.push_back(std::move(*pattern));
  }
  auto resources = one_of(source, "Resource", "NotResource", out.not_resource, rules.resource_required);
  if (!resources) return fail(resources.error());
  if (*resources == nullptr) {
    out.any_resource = true;
    return {};
  }
  if (!rules.resource_required) return malformed("this kind of policy has no Resource");
  auto resource_list = strings(**resources, "Resource");
  if (!resource_list) return fail(resource_list.error());
  for (const std::string& resource : *resource_list) {
    if (resource != "*" && resource.substr(0, 4) != "arn:")
      return malformed("resource '" + resource + "' is not an ARN or \"*\"");
    auto pattern = Pattern::parse(resource, true);
    if (!pattern) return fail(pattern.error());
    out.resources.push_back(std::move(*pattern));
  }
  return {};
}

Result<Statement> parse_statement(const json::value& v, const DocumentRules& rules) {
  static constexpr std::array<std::string_view, 8> kMembers = {
      "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal"};
  const json::object* source = v.if_object();
  if (source == nullptr) return malformed("a statement must be an object");
  for (const auto& member : *source) {
    if (member.key() == "NotPrincipal")
      return fail(ErrorCode::kUnimplemented, "NotPrincipal is not implemented");
    if (std::find(kMembers.begin(), kMembers.end(), std::string_view(member.key())) == kMembers.end()) {
      return malformed("unknown element of a statement: " + std::string(member.key()));
    }
  }
  Statement out;
  const std::string_view effect = json::string_or(*source, "Effect");
  if (effect != "Allow" && effect != "Deny") return malformed("Effect must be \"Allow\" or \"Deny\"");
  out.allow = effect == "Allow";
  if (auto ok = parse_actions_and_resources(*source, rules, out); !ok) return fail(ok.error());
  const json::value* principal = json::find(*source, "Principal");
  if (principal != nullptr && !rules.principal_required)
    return malformed("this kind of policy has no Principal");
  if (principal == nullptr && rules.principal_required)
    return malformed("a statement of this kind of policy needs a Principal");
  if (principal != nullptr) {
    auto set = parse_principal(*principal);
    if (!set) return fail(set.error());
    out.principals = std::move(*set);
  }
  if (const json::value* condition = json::find(*source, "Condition")) {
    auto conditions = parse_conditions(*condition);
    if (!conditions) return fail(conditions.error());
    out.conditions = std::move(*conditions);
  }
  return out;
}

}  // namespace

Result<std::shared_ptr<const PolicyDocument>> PolicyDocument::parse(std::string_view text,
                                                                    const DocumentRules& rules) {
  const auto visible =
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c) == 0; });
  if (static_cast<size_t>(visible) > rules.characters_max) {
    return fail(ErrorCode::kLimitExceeded, "a policy document has at most " +
                                               std::to_string(rules.characters_max) +
                                               " characters without white space");
  }
  auto parsed = json::parse(text);
  if (!parsed) return malformed("not a policy document: " + parsed.error().message);
  const json::object* source = parsed->if_object();
  if (source == nullptr) return malformed("a policy document is a JSON object");
  for (const auto& member : *source) {
    if (member.key() != "Version" && member.key() != "Id" && member.key() != "Statement") {
      return malformed("unknown element of a policy document: " + std::string(member.key()));
    }
  }
  if (const json::value* version = json::find(*source, "Version")) {
    if (!version->is_string() ||
        (version->get_string() != "2012-10-17" && version->get_string() != "2008-10-17")) {
      return malformed("Version must be \"2012-10-17\"");
    }
  }
  const json::value* statements = json::find(*source, "Statement");
  if (statements == nullptr) return malformed("a policy document needs a Statement");
  auto compiled = std::make_unique<Compiled>();
  compiled->text = std::string(text);
  const json::array* list = statements->if_array();
  const size_t count = list != nullptr ? list->size() : 1;
  if (count == 0) return malformed("Statement must not be empty");
  for (size_t i = 0; i < count; ++i) {
    auto statement = parse_statement(list != nullptr ? (*list)[i] : *statements, rules);
    if (!statement)
      return fail(statement.error().code,
                  "Statement[" + std::to_string(i) + "]: " + statement.error().message);
    compiled->statements.push_back(std::move(*statement));
  }
  return std::make_shared<const PolicyDocument>(std::move(compiled));
}

PolicyDocument::PolicyDocument(std::unique_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
PolicyDocument::~PolicyDocument() = default;
const std::string& PolicyDocument::text() const {
  return compiled_->text;
}

}  // namespace fleetward::identity
