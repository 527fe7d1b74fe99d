#include <algorithm>

#include "identity/policy_compiled.h"

namespace fleetward::identity {
namespace {

// Those of `patterns` that can match something in this context.
std::vector<Pattern> bind_all(const std::vector<Pattern>& patterns, const RequestContext& context) {
  std::vector<Pattern> out;
  out.reserve(patterns.size());
  for (const Pattern& pattern : patterns) {
    if (auto bound = pattern.bind(context)) out.push_back(std::move(*bound));
  }
  return out;
}

bool depends_on_context(const Statement& statement) {
  const auto has_variables = [](const Pattern& pattern) { return pattern.has_variables(); };
  return !statement.conditions.empty() ||
         std::any_of(statement.actions.begin(), statement.actions.end(), has_variables) ||
         std::any_of(statement.resources.begin(), statement.resources.end(), has_variables);
}

}  // namespace

std::optional<Pattern> Pattern::bind(const RequestContext& context) const {
  if (variables_.empty()) return *this;
  Pattern out;
  if (!substitute(context, out.units_)) return std::nullopt;
  return out;
}

std::shared_ptr<const PolicyDocument> PolicyDocument::bind(const std::shared_ptr<const PolicyDocument>& self,
                                                           const RequestContext& context) {
  const auto& statements = self->compiled_->statements;
  if (std::none_of(statements.begin(), statements.end(), depends_on_context)) return self;
  auto bound = std::make_unique<Compiled>();
  for (const Statement& statement : statements) {
    const bool holds = std::all_of(statement.conditions.begin(), statement.conditions.end(),
                                   [&](const Condition& condition) { return condition.holds(context); });
    if (!holds) continue;
    Statement out;
    out.allow = statement.allow;
    out.not_action = statement.not_action;
    out.not_resource = statement.not_resource;
    out.any_resource = statement.any_resource;
    out.principals = statement.principals;
    out.actions = bind_all(statement.actions, context);
    out.resources = bind_all(statement.resources, context);
    const bool nothing = (!out.not_action && out.actions.empty()) ||
                         (!out.any_resource && !out.not_resource && out.resources.empty());
    if (!nothing) bound->statements.push_back(std::move(out));
  }
  return std::make_shared<const PolicyDocument>(std::move(bound));
}

}  // namespace fleetward::identity
