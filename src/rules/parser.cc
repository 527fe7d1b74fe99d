#include <algorithm>
#include <array>
#include <utility>

#include "core/encoding.h"
#include "rules/parser_impl.h"

namespace fleetward::rules {
using ast::Expr;
using ast::ExprPtr;
using ast::Kind;

namespace {

constexpr std::array<std::string_view, 16> kReserved = {"select", "from", "where", "as",   "and",  "or",
                                                        "not",    "in",   "case",  "when", "then", "else",
                                                        "end",    "true", "false", "null"};
// Words of ANSI SQL that this language does not have, at places where an operator or clause could follow.
constexpr std::array<std::string_view, 14> kForeign = {"like",     "between", "is",    "group", "order",
                                                       "having",   "join",    "limit", "union", "offset",
                                                       "distinct", "exists",  "on",    "inner"};

}  // namespace

bool is_reserved(const Token& token) {
  return std::any_of(kReserved.begin(), kReserved.end(), [&](auto word) { return is_word(token, word); });
}

bool Parser::fail_at(Position at, std::string message, ErrorCode code) {
  if (!failed_) error_ = {code, std::move(message) + " at " + to_string(at)};
  failed_ = true;
  return false;
}

bool Parser::advance() {
  if (failed_) return false;
  if (++tokens_ > kTokensMax)
    return fail_at(token_.at, "the statement is too long", ErrorCode::kLimitExceeded);
  auto next = lexer_.next();
  if (!next) {
    error_ = next.error();
    failed_ = true;
    return false;
  }
  token_ = std::move(*next);
  return true;
}

bool Parser::unexpected(std::string_view wanted) {
  if (!failed_ && token_.kind == TokenKind::kName) {
    for (const std::string_view word : kForeign) {
      if (is_word(token_, word)) {
        return fail_at(token_.at, "'" + token_.text + "' is not part of the language;",
                       ErrorCode::kUnimplemented);
      }
    }
  }
  if (at_punctuation("!=") || at_punctuation("==") || at_punctuation("||") || at_punctuation("&&")) {
    static constexpr std::pair<std::string_view, std::string_view> kInstead[] = {
        {"!=", "<>"}, {"==", "="}, {"||", "concat() or OR"}, {"&&", "AND"}};
    for (const auto& [foreign, ours] : kInstead) {
      if (at_punctuation(foreign)) {
        return fail_at(token_.at, "'" + token_.text + "' is not an operator, use " + std::string(ours) + ",");
      }
    }
  }
  return fail_at(token_.at, "expected " + std::string(wanted) + " but found " + describe(token_));
}

bool Parser::expect(std::string_view punctuation) {
  if (failed_) return false;
  if (!at_punctuation(punctuation)) return unexpected("'" + std::string(punctuation) + "'");
  return advance();
}

bool Parser::expect_word(std::string_view word, std::string_view shown) {
  if (failed_) return false;
  if (!at_word(word)) return unexpected(shown);
  return advance();
}

ExprPtr Parser::make(Kind kind, Position at) {
  auto out = std::make_unique<Expr>();
  out->kind = kind;
  out->at = at;
  if (++nodes_ > kNodesMax) fail_at(at, "the statement has too many parts", ErrorCode::kLimitExceeded);
  return out;
}

// Sets the height once the children are there.
ExprPtr Parser::finish(ExprPtr expr) {
  if (failed_) return nullptr;
  size_t height = 0;
  const auto cover = [&](const ExprPtr& child) {
    if (child) height = std::max<size_t>(height, child->height);
  };
  for (const ExprPtr& child : expr->children) cover(child);
  if (expr->query) {
    for (const ast::Item& selected : expr->query->items) cover(selected.expr);
    cover(expr->query->source);
    cover(expr->query->where);
  }
  if (height + 1 > kExpressionHeightMax) {
    fail_at(expr->at, "the expression is nested too deeply", ErrorCode::kLimitExceeded);
    return nullptr;
  }
  expr->height = static_cast<uint16_t>(height + 1);
  return expr;
}

// --- the statement

Result<ast::Statement> Parser::statement() {
  ast::Statement out;
  bool good = advance();
  if (good && at_word("set")) good = assignments(out);
  good = good && expect_word("select", "'SELECT'") && selection(out.select);
  if (good && at_word("from")) good = topic_source(out);
  if (good && at_word("where")) {
    good = advance();
    if (good) out.select.where = expression(0);
    good = out.select.where != nullptr;
  }
  if (good && token_.kind != TokenKind::kEnd) unexpected("the end of the statement");
  if (failed_) return fail(error_);
  return out;
}

Result<EmbeddedExpression> Parser::embedded() {
  EmbeddedExpression out;
  if (advance()) out.expr = expression(0);
  if (!failed_ && !at_punctuation("}")) unexpected("'}'");
  if (failed_) return fail(error_);
  out.end = token_.end;
  return out;
}

bool Parser::assignments(ast::Statement& out) {
  do {
    if (!advance()) return false;
    if (token_.kind != TokenKind::kVariable) return unexpected("a variable such as @name");
    ast::Assignment assignment;
    assignment.name = token_.text;
    assignment.at = token_.at;
    if (assignment.name.size() > 64) return fail_at(token_.at, "a variable's name is at most 64 characters,");
    if (out.assignments.size() == kVariablesMax) {
      return fail_at(token_.at, "too many variables", ErrorCode::kLimitExceeded);
    }
    if (!advance() || !expect("=")) return false;
    assignment.expr = expression(0);
    if (!assignment.expr) return false;
    out.assignments.push_back(std::move(assignment));
  } while (at_punctuation(","));
  return true;
}

namespace {

// Could an expression begin here?
bool starts_operand(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return false;
    case TokenKind::kName:
      return is_word(token, "not") || is_word(token, "case") || is_word(token, "true") ||
             is_word(token, "false") || is_word(token, "null") || !is_reserved(token);
    case TokenKind::kPunctuation:
      return token.text == "(" || token.text == "[" || token.text == "{" || token.text == "-" ||
             token.text == "*";
    default:
      return true;
  }
}

}  // namespace

// SELECT VALUE expr, unless `value` is a field of that name: `SELECT value FROM`, `SELECT value.x`, `SELECT
// value + 1`.
bool Parser::starts_value_form() {
  Lexer ahead = lexer_;
  const auto following = ahead.next();
  if (!following) return true;  // the error shows when it is read
  if (is_punctuation(*following, "*")) {
    // `value * 2` multiplies; `VALUE *` is followed by what no operand starts with.
    const auto second = ahead.next();
    return second && !starts_operand(*second);
  }
  return starts_operand(*following);
}

bool Parser::value_form(ast::Select& out) {
  out.value = true;
  if (!advance()) return false;
  ast::Item single;
  single.expr = expression(0);
  if (!single.expr) return false;
  out.items.push_back(std::move(single));
  return true;
}

bool Parser::selection(ast::Select& out) {
  if (at_word("value")) {
    Lexer ahead = lexer_;
    const auto following = ahead.next();
    if (following && is_punctuation(*following, "-")) {
      // `SELECT VALUE -x` or `SELECT value - x AS y`: only the name at its end tells.
      const Parser before = *this;
      if (value_form(out) && !at_word("as") && !at_punctuation(",")) return true;
      const size_t tokens = tokens_;  // not given back: bounds reading twice inside reading twice
      *this = before;
      tokens_ = tokens;
      out = {};
    } else if (starts_value_form()) {
      if (!value_form(out)) return false;
      if (at_punctuation(",")) return fail_at(token_.at, "SELECT VALUE takes one expression;");
      return true;
    }
  }
  while (true) {
    ast::Item next;
    if (!item(next)) return false;
    out.items.push_back(std::move(next));
    if (!at_punctuation(",")) return true;
    if (!advance()) return false;
  }
}

bool Parser::item(ast::Item& out) {
  if (at_word("distinct")) return unexpected("a field");
  out.expr = expression(0);
  if (!out.expr) return false;
  if (at_word("as")) return alias(out);
  return default_alias(out);
}

bool Parser::alias(ast::Item& out) {
  do {
    if (!advance()) return false;
    // A quoted alias is an extension; it allows names that are no identifiers.
    if (token_.kind != TokenKind::kName && token_.kind != TokenKind::kString)
      return unexpected("a name after AS");
    out.alias.push_back(token_.text);
    if (out.alias.size() > kParserDepthMax) {
      return fail_at(token_.at, "the alias is nested too deeply", ErrorCode::kLimitExceeded);
    }
    if (!advance()) return false;
  } while (at_punctuation("."));
  return true;
}

bool Parser::default_alias(ast::Item& out) {
  const Expr* expr = out.expr.get();
  while (expr->kind == Kind::kIndex) expr = expr->children[0].get();
  switch (expr->kind) {
    case Kind::kStar:
      if (out.expr->kind == Kind::kStar) return true;
      break;
    case Kind::kField:
    case Kind::kMember:
    case Kind::kVariable:
    case Kind::kCall:
      out.alias.push_back(expr->name);
      return true;
    case Kind::kCast:
      out.alias.emplace_back("cast");
      return true;
    default:
      break;
  }
  return fail_at(out.expr->at, "an expression that is neither a field nor a function needs a name: AS name,");
}

bool Parser::topic_source(ast::Statement& out) {
  if (!advance()) return false;
  if (token_.kind != TokenKind::kString || token_.quote != '\'') {
    return unexpected("a topic filter in single quotes after FROM");
  }
  out.topic_filter = token_.text;
  if (!advance()) return false;
  if (at_punctuation(",")) return fail_at(token_.at, "FROM takes one topic filter;");
  return true;
}

namespace {

Status check_text(std::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max) {
    return fail(ErrorCode::kLimitExceeded, "longer than " + std::to_string(bytes_max) + " bytes");
  }
  if (!is_utf8(text)) return fail(ErrorCode::kMalformed, "not valid UTF-8");
  return {};
}

}  // namespace

Result<ast::Statement> parse_statement(std::string_view sql) {
  if (auto ok = check_text(sql, kStatementBytesMax); !ok) return fail(ok.error());
  return Parser(sql, 0).statement();
}

Result<EmbeddedExpression> parse_embedded(std::string_view text, size_t begin) {
  if (auto ok = check_text(text, kTemplateBytesMax); !ok) return fail(ok.error());
  return Parser(text, begin).embedded();
}

}  // namespace fleetward::rules
