#pragma once

#include <string_view>

#include "core/result.h"
#include "rules/ast.h"
#include "rules/limits.h"

// Grammar: AWS IoT SQL reference. A Pratt parser over Lexer's tokens.
namespace fleetward::rules {

// A whole statement. kMalformed with line and column; kUnimplemented for constructs of other SQL dialects,
// named; kLimitExceeded.
Result<ast::Statement> parse_statement(std::string_view sql);

// One expression that starts at byte `begin` of `text` and ends with a '}' (a substitution template).
struct EmbeddedExpression {
  ast::ExprPtr expr;
  size_t end = 0;  // byte offset after the '}'
};
Result<EmbeddedExpression> parse_embedded(std::string_view text, size_t begin);

}  // namespace fleetward::rules
