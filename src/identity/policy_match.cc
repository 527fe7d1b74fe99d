#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "core/encoding.h"
#include "core/text.h"
#include "identity/policy_compiled.h"

namespace fleetward::identity {
namespace {

// Greedy matching with one point of return: linear in practice, length(pattern) x length(text) at worst.
bool match_units(std::u16string_view pattern, std::string_view text, bool ignore_case) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::u16string_view::npos;
  size_t star_text = 0;
  const auto same = [ignore_case](char16_t unit, char c) {
    if (unit == Pattern::kAnyOne) return true;
    if (unit > 0xFF) return false;
    const char u = static_cast<char>(unit);
    return u == c || (ignore_case && to_lower(u) == to_lower(c));
  };
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == Pattern::kAnyRun) {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && same(pattern[p], text[t])) {
      ++p;
      ++t;
    } else if (star != std::u16string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == Pattern::kAnyRun) ++p;
  return p == pattern.size();
}

void append_literal(std::string_view text, std::u16string& out) {
  for (const char c : text) out += static_cast<char16_t>(static_cast<uint8_t>(c));
}

// ARNs match part by part: a wildcard does not cross a colon of the first five.
bool arn_matches(std::string_view pattern, std::string_view arn) {
  for (int part = 0; part < 5; ++part) {
    const size_t p = pattern.find(':');
    const size_t a = arn.find(':');
    if (p == std::string_view::npos || a == std::string_view::npos) return false;
    if (!glob_match(pattern.substr(0, p), arn.substr(0, a))) return false;
    pattern.remove_prefix(p + 1);
    arn.remove_prefix(a + 1);
  }
  return glob_match(pattern, arn);
}

// Seconds since the epoch from "2026-11-24T07:00:00Z" or a number.
std::optional<double> to_date(const std::string& text) {
  if (const auto number = parse_number<double>(text)) return number;
  std::tm tm{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
  if (rest == nullptr) rest = strptime(text.c_str(), "%Y-%m-%d", &tm);
  if (rest == nullptr || (*rest != '\0' && *rest != 'Z' && *rest != '.')) return std::nullopt;
  return static_cast<double>(timegm(&tm));
}

bool compare(double actual, Comparison comparison, double wanted) {
  switch (comparison) {
    case Comparison::kEqual:
    case Comparison::kNotEqual:
      return actual == wanted;  // the caller negates
    case Comparison::kLess:
      return actual < wanted;
    case Comparison::kLessEqual:
      return actual <= wanted;
    case Comparison::kGreater:
      return actual > wanted;
    case Comparison::kGreaterEqual:
      return actual >= wanted;
  }
  return false;
}

struct Address {
  int bits = 0;  // 32 or 128; 0: not an address
  std::array<uint8_t, 16> bytes{};
};

Address parse_address(std::string_view text) {
  Address out;
  const std::string copy(text);
  if (inet_pton(AF_INET, copy.c_str(), out.bytes.data()) == 1) {
    out.bits = 32;
  } else if (inet_pton(AF_INET6, copy.c_str(), out.bytes.data()) == 1) {
    out.bits = 128;
  }
  return out;
}

struct Network {
  Address address;
  int prefix = -1;
};

Network parse_network(std::string_view text) {
  Network out;
  const size_t slash = text.find('/');
  out.address = parse_address(text.substr(0, slash));
  out.prefix = out.address.bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), out.prefix);
    if (digits.empty() || end.ptr != digits.data() + digits.size()) out.prefix = -1;
  }
  if (out.prefix < 0 || out.prefix > out.address.bits) out.address.bits = 0;
  return out;
}

}  // namespace

bool is_cidr(std::string_view text) {
  return parse_network(text).address.bits != 0;
}

bool cidr_contains(std::string_view cidr, std::string_view address) {
  const Network network = parse_network(cidr);
  const Address candidate = parse_address(address);
  if (network.address.bits == 0 || candidate.bits != network.address.bits) return false;
  const int whole = network.prefix / 8;
  if (!std::equal(network.address.bytes.begin(), network.address.bytes.begin() + whole,
                  candidate.bytes.begin()))
    return false;
  const int rest = network.prefix % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xFF << (8 - rest));
  return (network.address.bytes[static_cast<size_t>(whole)] & mask) ==
         (candidate.bytes[static_cast<size_t>(whole)] & mask);
}

bool glob_match(std::string_view pattern, std::string_view text) {
  std::u16string units;
  units.reserve(pattern.size());
  for (const char c : pattern) {
    units += c == '*'   ? Pattern::kAnyRun
             : c == '?' ? Pattern::kAnyOne
                        : static_cast<char16_t>(static_cast<uint8_t>(c));
  }
  return match_units(units, text, false);
}

Result<Pattern> Pattern::parse(std::string_view text, bool wildcards) {
  Pattern out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '$' && i + 1 < text.size() && text[i + 1] == '{') {
      const size_t close = text.find('}', i);
      if (close == std::string_view::npos)
        return fail(ErrorCode::kMalformed, "unclosed ${ in '" + std::string(text) + "'");
      const std::string_view name = text.substr(i + 2, close - i - 2);
      i = close;
      if (name == "*" || name == "?" || name == "$") {
        out.units_ += static_cast<char16_t>(name[0]);
        continue;
      }
      Variable variable{out.units_.size(), std::string(name), {}, false};
      if (const size_t comma = name.find(','); comma != std::string_view::npos) {  // ${key, 'default'}
        variable.key = std::string(name.substr(0, comma));
        const size_t first = name.find('\'', comma);
        const size_t last = name.rfind('\'');
        if (first == std::string_view::npos || last == first) {
          return fail(ErrorCode::kMalformed, "the default value of a policy variable is quoted with '");
        }
        variable.fallback = std::string(name.substr(first + 1, last - first - 1));
        variable.has_fallback = true;
      }
      if (variable.key.empty()) return fail(ErrorCode::kMalformed, "empty policy variable ${}");
      out.variables_.push_back(std::move(variable));
    } else if (wildcards && c == '*') {
      out.units_ += kAnyRun;
    } else if (wildcards && c == '?') {
      out.units_ += kAnyOne;
    } else {
      out.units_ += static_cast<char16_t>(static_cast<uint8_t>(c));
    }
  }
  return out;
}

bool Pattern::substitute(const RequestContext& context, std::u16string& out) const {
  size_t from = 0;
  for (const Variable& variable : variables_) {
    out.append(units_, from, variable.position - from);
    from = variable.position;
    const auto values = context.find(variable.key);
    if (!values.empty()) {
      append_literal(values.front(), out);
    } else if (variable.has_fallback) {
      append_literal(variable.fallback, out);
    } else {
      return false;
    }
  }
  out.append(units_, from);
  return true;
}

bool Pattern::matches(std::string_view text, const RequestContext& context, bool ignore_case) const {
  if (variables_.empty()) return match_units(units_, text, ignore_case);
  std::u16string resolved;
  return substitute(context, resolved) && match_units(resolved, text, ignore_case);
}

bool Pattern::resolve(const RequestContext& context, std::string& out) const {
  std::u16string resolved;
  if (!substitute(context, resolved)) return false;
  for (const char16_t unit : resolved)
    out += unit == kAnyRun ? '*' : unit == kAnyOne ? '?' : static_cast<char>(unit);
  return true;
}

bool Condition::value_matches(const std::string& actual, const RequestContext& context) const {
  std::string wanted;
  for (const Pattern& pattern : values) {
    if (kind == ConditionKind::kString || kind == ConditionKind::kStringLike ||
        kind == ConditionKind::kBinary) {
      if (pattern.matches(actual, context)) return true;
      continue;
    }
    if (kind == ConditionKind::kStringIgnoreCase) {
      if (pattern.matches(actual, context, true)) return true;
      continue;
    }
    wanted.clear();
    if (!pattern.resolve(context, wanted)) continue;
    switch (kind) {
      case ConditionKind::kNumeric: {
        const auto a = parse_number<double>(actual);
        const auto b = parse_number<double>(wanted);
        if (a && b && compare(*a, comparison, *b)) return true;
        break;
      }
      case ConditionKind::kDate: {
        const auto a = to_date(actual);
        const auto b = to_date(wanted);
        if (a && b && compare(*a, comparison, *b)) return true;
        break;
      }
      case ConditionKind::kBool:
        if (to_lower(actual) == to_lower(wanted)) return true;
        break;
      case ConditionKind::kIp:
        if (cidr_contains(wanted, actual)) return true;
        break;
      case ConditionKind::kArn:
        if (arn_matches(wanted, actual)) return true;
        break;
      default:
        break;
    }
  }
  return false;
}

bool Condition::holds(const RequestContext& context) const {
  const auto actual = context.find(key);
  if (kind == ConditionKind::kNull) {  // "true": the key must be absent
    std::string wanted;
    return !values.empty() && values.front().resolve(context, wanted) &&
           (to_lower(wanted) == "true") == actual.empty();
  }
  const bool negated = comparison == Comparison::kNotEqual;
  if (actual.empty()) {
    return if_exists || quantifier == Quantifier::kForAllValues ||
           (negated && quantifier == Quantifier::kNone);
  }
  const auto ok = [&](const std::string& value) { return value_matches(value, context) != negated; };
  if (quantifier == Quantifier::kForAllValues || (negated && quantifier == Quantifier::kNone)) {
    return std::all_of(actual.begin(), actual.end(), ok);
  }
  return std::any_of(actual.begin(), actual.end(), ok);
}

bool PrincipalSet::admits(const Principal& principal) const {
  if (anyone) return true;
  if (!principal.service.empty() &&
      std::find(services.begin(), services.end(), principal.service) != services.end())
    return true;
  if (principal.arn.empty()) return false;
  return std::any_of(aws.begin(), aws.end(), [&](const std::string& wanted) {
    return wanted == "*" || wanted == principal.arn ||
           (!principal.role_arn.empty() && wanted == principal.role_arn) || wanted == principal.account ||
           wanted == "arn:aws:iam::" + principal.account + ":root";
  });
}

bool Statement::applies(std::string_view lower_action, std::string_view resource,
                        const RequestContext& context, const Principal* principal) const {
  const bool action_listed = std::any_of(actions.begin(), actions.end(), [&](const Pattern& pattern) {
    return pattern.matches(lower_action, context);
  });
  if (action_listed == not_action) return false;
  if (!any_resource) {
    const bool resource_listed = std::any_of(resources.begin(), resources.end(), [&](const Pattern& pattern) {
      return pattern.matches(resource, context);
    });
    if (resource_listed == not_resource) return false;
  }
  if (principals.present && (principal == nullptr || !principals.admits(*principal))) return false;
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const Condition& condition) { return condition.holds(context); });
}

Decision PolicyDocument::evaluate(std::string_view action, std::string_view resource,
                                  const RequestContext& context, const Principal* principal) const {
  const std::string lower_action = to_lower(action);
  Decision decision = Decision::kNoMatch;
  for (const Statement& statement : compiled_->statements) {
    if (statement.allow && decision == Decision::kAllow) continue;
    if (!statement.applies(lower_action, resource, context, principal)) continue;
    if (!statement.allow) return Decision::kDeny;
    decision = Decision::kAllow;
  }
  return decision;
}

Decision evaluate_all(const std::vector<std::shared_ptr<const PolicyDocument>>& documents,
                      std::string_view action, std::string_view resource, const RequestContext& context,
                      const Principal* principal) {
  Decision decision = Decision::kNoMatch;
  for (const auto& document : documents) {
    const Decision one = document->evaluate(action, resource, context, principal);
    if (one == Decision::kDeny) return Decision::kDeny;
    if (one == Decision::kAllow) decision = Decision::kAllow;
  }
  return decision;
}

void MapContext::set(std::string_view key, std::string value) {
  set_list(key, {std::move(value)});
}

void MapContext::set_list(std::string_view key, std::vector<std::string> values) {
  values_[to_lower(key)] = std::move(values);
}

std::span<const std::string> MapContext::find(std::string_view key) const {
  const auto it = values_.find(to_lower(key));
  if (it == values_.end()) return {};
  return it->second;
}

}  // namespace fleetward::identity
