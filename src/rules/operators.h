#pragma once

#include "rules/ast.h"
#include "rules/node.h"
#include "rules/value.h"

// The operators of the AWS IoT SQL reference, on values.
namespace fleetward::rules {

Value logical(ast::Operator op, const Value& a, const Value& b);
Value negate_logical(const Value& a);
Value compare(ast::Operator op, const Value& a, const Value& b);
Value arithmetic(Scope& scope, ast::Operator op, const Value& a, const Value& b);
Value negate(Scope& scope, const Value& a);
Value is_in(const Value& element, const Value& list);
// a % b, also mod() and remainder().
Value modulo(Scope& scope, const Value& a, const Value& b);
// c[k], also get().
Value element_of(Value container, const Value& key);

}  // namespace fleetward::rules
