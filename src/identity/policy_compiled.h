#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "identity/policy.h"

// The compiled form of a policy document; private to identity/.
namespace fleetward::identity {

// A text with wildcards and ${variables}, ready to match. Characters are widened so that a wildcard of the
// pattern and a literal '*' of a substituted value stay apart.
class Pattern {
 public:
  static constexpr char16_t kAnyRun = 0x100;
  static constexpr char16_t kAnyOne = 0x101;

  // `wildcards`: '*' and '?' are wildcards, else literal. kMalformed for an unclosed ${.
  static Result<Pattern> parse(std::string_view text, bool wildcards);

  bool has_variables() const { return !variables_.empty(); }
  // True if `text` matches with the variables resolved from the context; false if one of them cannot be
  // resolved.
  bool matches(std::string_view text, const RequestContext& context, bool ignore_case = false) const;
  // The text with variables resolved (wildcards as written); false if one is missing.
  bool resolve(const RequestContext& context, std::string& out) const;
  // The pattern without variables; nullopt if one cannot be resolved, so that it matches nothing.
  std::optional<Pattern> bind(const RequestContext& context) const;

 private:
  struct Variable {
    size_t position;  // in `units_`, where the value goes
    std::string key;
    std::string fallback;
    bool has_fallback = false;
  };
  bool substitute(const RequestContext& context, std::u16string& out) const;

  std::u16string units_;
  std::vector<Variable> variables_;
};

enum class ConditionKind {
  kString,
  kStringIgnoreCase,
  kStringLike,
  kNumeric,
  kDate,
  kBool,
  kIp,
  kArn,
  kBinary,
  kNull
};
enum class Comparison { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };
enum class Quantifier { kNone, kForAllValues, kForAnyValue };

struct Condition {
  ConditionKind kind = ConditionKind::kString;
  Comparison comparison = Comparison::kEqual;
  Quantifier quantifier = Quantifier::kNone;
  bool if_exists = false;
  std::string key;
  std::vector<Pattern> values;

  bool holds(const RequestContext& context) const;

 private:
  bool value_matches(const std::string& actual, const RequestContext& context) const;
};

struct PrincipalSet {
  bool present = false;
  bool anyone = false;
  std::vector<std::string> services;
  std::vector<std::string> aws;  // ARNs, account ids or "*"

  bool admits(const Principal& principal) const;
};

struct Statement {
  bool allow = false;
  bool not_action = false;
  bool not_resource = false;
  bool any_resource = false;     // no Resource element
  std::vector<Pattern> actions;  // lower case
  std::vector<Pattern> resources;
  std::vector<Condition> conditions;
  PrincipalSet principals;

  bool applies(std::string_view lower_action, std::string_view resource, const RequestContext& context,
               const Principal* principal) const;
};

struct PolicyDocument::Compiled {
  std::string text;
  std::vector<Statement> statements;
};

// "192.0.2.0/24 contains 192.0.2.7", for both families; false if either does not parse.
bool cidr_contains(std::string_view cidr, std::string_view address);
bool is_cidr(std::string_view text);

}  // namespace fleetward::identity
