#pragma once

#include <string>
#include <string_view>

#include "rules/ast.h"
#include "rules/lexer.h"
#include "rules/limits.h"
#include "rules/parser.h"

namespace fleetward::rules {

// The parser's state and steps; parser.cc has the statement, parser_expression.cc the expressions. Private to
// both.
class Parser {
 public:
  Parser(std::string_view text, size_t begin) : lexer_(text, begin) {}

  Result<ast::Statement> statement();
  Result<EmbeddedExpression> embedded();

 private:
  // Every step answers false (or a null expression) once error_ is set; callers hand it up.
  bool advance();
  bool fail_at(Position at, std::string message, ErrorCode code = ErrorCode::kMalformed);
  bool unexpected(std::string_view wanted);
  bool expect(std::string_view punctuation);
  bool expect_word(std::string_view word, std::string_view shown);
  bool at_word(std::string_view word) const { return is_word(token_, word); }
  bool at_punctuation(std::string_view text) const { return is_punctuation(token_, text); }

  bool assignments(ast::Statement& out);
  bool selection(ast::Select& out);
  bool starts_value_form();
  bool value_form(ast::Select& out);
  bool item(ast::Item& out);
  bool alias(ast::Item& out);
  bool default_alias(ast::Item& out);
  bool topic_source(ast::Statement& out);

  ast::ExprPtr expression(int power_min);
  ast::ExprPtr prefix();
  ast::ExprPtr primary();
  ast::ExprPtr postfix(ast::ExprPtr base);
  ast::ExprPtr name_or_call();
  ast::ExprPtr call(Token name);
  ast::ExprPtr case_expression();
  ast::ExprPtr parenthesised();
  ast::ExprPtr array_literal();
  ast::ExprPtr object_literal();
  ast::ExprPtr number_literal();
  ast::ExprPtr make(ast::Kind kind, Position at);
  ast::ExprPtr finish(ast::ExprPtr expr);
  ast::ExprPtr unary(ast::Operator op, Position at, ast::ExprPtr operand);

  Lexer lexer_;
  Token token_;
  Error error_;
  bool failed_ = false;
  size_t depth_ = 0, nodes_ = 0, tokens_ = 0;
};

// A word of the language's grammar, which no field can be called.
bool is_reserved(const Token& token);

}  // namespace fleetward::rules
