#include "rules/plan.h"

#include "rules/compile.h"
#include "rules/index.h"
#include "rules/limits.h"
#include "rules/node.h"
#include "rules/parser.h"

namespace fleetward::rules {

struct Plan::Compiled {
  std::vector<std::string> variables;
  std::vector<NodePtr> assignments;
  Selection selection;
  NodePtr where;
};

Plan::Plan() : compiled_(std::make_unique<Compiled>()) {}
Plan::~Plan() = default;

Result<std::shared_ptr<const Plan>> Plan::compile(std::string_view sql, SqlVersion version) {
  auto statement = parse_statement(sql);
  if (!statement) return fail(statement.error());
  auto plan = std::shared_ptr<Plan>(new Plan());
  plan->version_ = version;
  if (statement->topic_filter) {
    if (auto ok = check_topic_filter(*statement->topic_filter); !ok) {
      return fail(ErrorCode::kMalformed, "the topic filter after FROM: " + ok.error().message);
    }
    plan->topic_filter_ = *statement->topic_filter;
  }
  Compiled& compiled = *plan->compiled_;
  TemplateContext context{version, {}};
  for (const ast::Assignment& assignment : statement->assignments) {
    auto node = compile_expression(*assignment.expr, context);
    if (!node) return fail(node.error());
    for (const std::string& name : context.variables) {
      if (name == assignment.name) {
        return fail(ErrorCode::kMalformed,
                    "the variable @" + name + " is set twice at " + to_string(assignment.at));
      }
    }
    compiled.assignments.push_back(std::move(*node));
    context.variables.push_back(assignment.name);
  }
  auto selection = Selection::compile(statement->select, context);
  if (!selection) return fail(selection.error());
  compiled.selection = std::move(*selection);
  if (statement->select.where) {
    auto where = compile_expression(*statement->select.where, context);
    if (!where) return fail(where.error());
    compiled.where = std::move(*where);
  }
  compiled.variables = std::move(context.variables);
  plan->forwards_payload_ = compiled.selection.is_star_alone();
  return std::shared_ptr<const Plan>(std::move(plan));
}

TemplateContext Plan::template_context() const {
  return {version_, compiled_->variables};
}

bool Plan::matches(Scope& scope) const {
  scope.variables.clear();
  scope.variables.reserve(compiled_->assignments.size());  // later ones borrow from earlier ones
  for (const NodePtr& assignment : compiled_->assignments) {
    Value value = assignment->evaluate(scope);
    scope.variables.push_back(std::move(value));
  }
  if (!compiled_->where) return true;
  const Value passed = compiled_->where->evaluate(scope);
  const bool* yes = passed.if_bool();
  return yes != nullptr && *yes;
}

Result<Output> Plan::select(Scope& scope) const {
  Output out;
  if (forwards_payload_) {
    out.forwarded = true;
    out.payload = scope.event().payload;
    return out;
  }
  Value value = compiled_->selection.evaluate(scope);
  json::value result;
  const bool defined = !value.is_undefined();
  if (defined) result = copy_out(scope, std::move(value));
  if (scope.exhausted()) {
    return fail(ErrorCode::kLimitExceeded, "the statement takes more work than one message may");
  }
  if (!defined) return out;
  json::serialize_to(result, out.text);
  if (out.text.size() > kOutputBytesMax) {
    return fail(ErrorCode::kLimitExceeded,
                "the output is larger than " + std::to_string(kOutputBytesMax) + " bytes");
  }
  out.value = std::move(result);
  return out;
}

}  // namespace fleetward::rules
