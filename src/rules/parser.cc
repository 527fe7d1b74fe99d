#include "rules/parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "core/encoding.h"

namespace fleetward::rules {
namespace {

using ast::Expr;
using ast::ExprPtr;
using ast::Kind;
using ast::Operator;

constexpr std::array<std::string_view, 16> kReserved = {"select", "from", "where", "as",   "and",  "or",
                                                        "not",    "in",   "case",  "when", "then", "else",
                                                        "end",    "true", "false", "null"};
// Words of ANSI SQL that this language does not have, at places where an operator or clause could follow.
constexpr std::array<std::string_view, 14> kForeign = {"like",     "between", "is",    "group", "order",
                                                       "having",   "join",    "limit", "union", "offset",
                                                       "distinct", "exists",  "on",    "inner"};

bool is_reserved(const Token& token) {
  return std::any_of(kReserved.begin(), kReserved.end(), [&](auto word) { return is_word(token, word); });
}

// Binding power of what stands between two operands: higher binds tighter. 0: not an operator.
struct Infix {
  int power = 0;
  Operator op = Operator::kAdd;
};
constexpr int kOrPower = 1, kAndPower = 2, kNotPower = 3, kComparePower = 4, kAddPower = 5,
              kMultiplyPower = 6, kUnaryPower = 7;

Infix infix_of(const Token& token) {
  if (token.kind == TokenKind::kName) {
    if (is_word(token, "or")) return {kOrPower, Operator::kOr};
    if (is_word(token, "and")) return {kAndPower, Operator::kAnd};
    if (is_word(token, "in")) return {kComparePower, Operator::kIn};
    return {};
  }
  if (token.kind != TokenKind::kPunctuation) return {};
  static constexpr std::pair<std::string_view, Infix> kTable[] = {
      {"=", {kComparePower, Operator::kEqual}},     {"<>", {kComparePower, Operator::kNotEqual}},
      {"<", {kComparePower, Operator::kLess}},      {"<=", {kComparePower, Operator::kLessEqual}},
      {">", {kComparePower, Operator::kGreater}},   {">=", {kComparePower, Operator::kGreaterEqual}},
      {"+", {kAddPower, Operator::kAdd}},           {"-", {kAddPower, Operator::kSubtract}},
      {"*", {kMultiplyPower, Operator::kMultiply}}, {"/", {kMultiplyPower, Operator::kDivide}},
      {"%", {kMultiplyPower, Operator::kModulo}},
  };
  for (const auto& [text, infix] : kTable) {
    if (token.text == text) return infix;
  }
  return {};
}

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
  bool foreign_clause();

  ExprPtr expression(int power_min);
  ExprPtr prefix();
  ExprPtr primary();
  ExprPtr postfix(ExprPtr base);
  ExprPtr name_or_call();
  ExprPtr call(Token name);
  ExprPtr case_expression();
  ExprPtr parenthesised();
  ExprPtr array_literal();
  ExprPtr object_literal();
  ExprPtr number_literal();
  ExprPtr make(Kind kind, Position at);
  ExprPtr finish(ExprPtr expr);
  ExprPtr unary(Operator op, Position at, ExprPtr operand);

  Lexer lexer_;
  Token token_;
  Error error_;
  bool failed_ = false;
  size_t depth_ = 0, nodes_ = 0, tokens_ = 0;
};

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

// SELECT VALUE expr, unless `value` is a field of that name: `SELECT value FROM`, `SELECT value.x`, `SELECT
// value + 1`.
bool Parser::starts_value_form() {
  Lexer ahead = lexer_;
  const auto following = ahead.next();
  if (!following) return true;
  const Token& t = *following;
  switch (t.kind) {
    case TokenKind::kEnd:
      return false;
    case TokenKind::kName:
      return is_word(t, "not") || is_word(t, "case") || is_word(t, "true") || is_word(t, "false") ||
             is_word(t, "null") || !is_reserved(t);
    case TokenKind::kPunctuation:
      if (is_punctuation(t, "*")) {
        const auto second = ahead.next();
        return second && (second->kind == TokenKind::kEnd || is_word(*second, "from") ||
                          is_word(*second, "where") || is_punctuation(*second, ")"));
      }
      return is_punctuation(t, "(") || is_punctuation(t, "[") || is_punctuation(t, "{");
    default:
      return true;
  }
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

// --- expressions

ExprPtr Parser::expression(int power_min) {
  if (failed_) return nullptr;
  if (++depth_ > kParserDepthMax) {
    fail_at(token_.at, "nested too deeply", ErrorCode::kLimitExceeded);
    return nullptr;
  }
  ExprPtr left = prefix();
  while (left) {
    const Infix infix = infix_of(token_);
    if (infix.power == 0 || infix.power <= power_min) break;
    ExprPtr node = make(Kind::kBinary, token_.at);
    node->op = infix.op;
    if (!advance()) return nullptr;
    ExprPtr right = expression(infix.power);
    if (!right) return nullptr;
    if (infix.power == kComparePower && infix_of(token_).power == kComparePower) {
      fail_at(token_.at, "comparisons do not chain, use AND,");
      return nullptr;
    }
    node->children.push_back(std::move(left));
    node->children.push_back(std::move(right));
    left = finish(std::move(node));
  }
  --depth_;
  return left;
}

ExprPtr Parser::unary(Operator op, Position at, ExprPtr operand) {
  if (!operand) return nullptr;
  ExprPtr node = make(Kind::kUnary, at);
  node->op = op;
  node->children.push_back(std::move(operand));
  return finish(std::move(node));
}

ExprPtr Parser::prefix() {
  const Position at = token_.at;
  if (at_word("not")) return advance() ? unary(Operator::kNot, at, expression(kNotPower)) : nullptr;
  if (at_punctuation("-")) return advance() ? unary(Operator::kNegate, at, expression(kUnaryPower)) : nullptr;
  ExprPtr base = primary();
  return base ? postfix(std::move(base)) : nullptr;
}

ExprPtr Parser::postfix(ExprPtr base) {
  while (base) {
    if (at_punctuation(".")) {
      if (!advance()) return nullptr;
      if (token_.kind != TokenKind::kName) {
        unexpected("a field name after '.' (other names: get(object, \"name\"))");
        return nullptr;
      }
      ExprPtr node = make(Kind::kMember, token_.at);
      node->name = token_.text;
      node->children.push_back(std::move(base));
      if (!advance()) return nullptr;
      base = finish(std::move(node));
    } else if (at_punctuation("[")) {
      ExprPtr node = make(Kind::kIndex, token_.at);
      if (!advance()) return nullptr;
      ExprPtr index = expression(0);
      if (!index || !expect("]")) return nullptr;
      node->children.push_back(std::move(base));
      node->children.push_back(std::move(index));
      base = finish(std::move(node));
    } else {
      break;
    }
  }
  return base;
}

ExprPtr Parser::number_literal() {
  ExprPtr node = make(Kind::kLiteral, token_.at);
  const char* first = token_.text.data();
  const char* last = first + token_.text.size();
  int64_t whole = 0;
  double decimal = 0;
  if (const auto r = std::from_chars(first, last, whole); r.ec == std::errc() && r.ptr == last) {
    node->literal = whole;
  } else if (const auto d = std::from_chars(first, last, decimal); d.ec == std::errc() && d.ptr == last) {
    node->literal = decimal;
  } else {
    fail_at(token_.at, "the number is out of range");
  }
  return advance() ? finish(std::move(node)) : nullptr;
}

ExprPtr Parser::primary() {
  const Position at = token_.at;
  const auto simple = [&](Kind kind, json::value literal = {}) -> ExprPtr {
    ExprPtr node = make(kind, at);
    node->literal = std::move(literal);
    node->name = token_.kind == TokenKind::kVariable ? token_.text : std::string();
    return advance() ? finish(std::move(node)) : nullptr;
  };
  switch (token_.kind) {
    case TokenKind::kNumber:
      return number_literal();
    case TokenKind::kString:
      return simple(Kind::kLiteral, json::string(token_.text));
    case TokenKind::kVariable:
      return simple(Kind::kVariable);
    case TokenKind::kName:
      if (at_word("true")) return simple(Kind::kLiteral, true);
      if (at_word("false")) return simple(Kind::kLiteral, false);
      if (at_word("null")) return simple(Kind::kLiteral, nullptr);
      if (at_word("case")) return case_expression();
      return name_or_call();
    case TokenKind::kPunctuation:
      if (at_punctuation("*")) return simple(Kind::kStar);
      if (at_punctuation("(")) return parenthesised();
      if (at_punctuation("[")) return array_literal();
      if (at_punctuation("{")) return object_literal();
      break;
    case TokenKind::kEnd:
      break;
  }
  unexpected("an expression");
  return nullptr;
}

ExprPtr Parser::parenthesised() {
  const Position at = token_.at;
  if (!advance()) return nullptr;
  if (!at_word("select")) {
    ExprPtr inner = expression(0);
    return inner && expect(")") ? std::move(inner) : nullptr;
  }
  ExprPtr node = make(Kind::kSubquery, at);
  node->query = std::make_unique<ast::Select>();
  if (!advance() || !selection(*node->query) || !expect_word("from", "'FROM' in the nested query"))
    return nullptr;
  node->query->source = expression(0);
  if (!node->query->source) return nullptr;
  if (at_word("where")) {
    if (!advance()) return nullptr;
    node->query->where = expression(0);
    if (!node->query->where) return nullptr;
  }
  if (!expect(")")) return nullptr;
  return finish(std::move(node));
}

ExprPtr Parser::name_or_call() {
  if (is_reserved(token_)) {
    unexpected("an expression");
    return nullptr;
  }
  Token name = token_;
  if (!advance()) return nullptr;
  if (at_punctuation("(")) return call(std::move(name));
  ExprPtr node = make(Kind::kField, name.at);
  node->name = std::move(name.text);
  return finish(std::move(node));
}

ExprPtr Parser::call(Token name) {
  const bool is_cast = is_word(name, "cast");
  ExprPtr node = make(is_cast ? Kind::kCast : Kind::kCall, name.at);
  node->name = name.text;
  if (!advance()) return nullptr;
  if (!at_punctuation(")")) {
    while (true) {
      ExprPtr argument = expression(0);
      if (!argument) return nullptr;
      node->children.push_back(std::move(argument));
      if (!at_punctuation(",")) break;
      if (!advance()) return nullptr;
    }
  }
  if (is_cast) {
    if (node->children.size() != 1 || !at_word("as")) {
      unexpected("'AS type' in cast(value AS type)");
      return nullptr;
    }
    if (!advance()) return nullptr;
    if (token_.kind != TokenKind::kName) {
      unexpected("a type");
      return nullptr;
    }
    node->name = token_.text;
    if (!advance()) return nullptr;
  }
  if (!expect(")")) return nullptr;
  return finish(std::move(node));
}

ExprPtr Parser::case_expression() {
  ExprPtr node = make(Kind::kCase, token_.at);
  if (!advance()) return nullptr;
  if (at_word("when")) {
    fail_at(token_.at, "CASE without an operand (searched CASE) is not part of the language;",
            ErrorCode::kUnimplemented);
    return nullptr;
  }
  const auto part = [&] {
    ExprPtr child = expression(0);
    if (!child) return false;
    node->children.push_back(std::move(child));
    return true;
  };
  if (!part()) return nullptr;
  if (!at_word("when")) {
    unexpected("'WHEN'");
    return nullptr;
  }
  while (at_word("when")) {
    if (!advance() || !part() || !expect_word("then", "'THEN'") || !part()) return nullptr;
  }
  if (at_word("else")) {
    node->has_else = true;
    if (!advance() || !part()) return nullptr;
  }
  if (!expect_word("end", "'WHEN', 'ELSE' or 'END'")) return nullptr;
  return finish(std::move(node));
}

ExprPtr Parser::array_literal() {
  ExprPtr node = make(Kind::kArray, token_.at);
  if (!advance()) return nullptr;
  while (!at_punctuation("]")) {
    ExprPtr element = expression(0);
    if (!element) return nullptr;
    node->children.push_back(std::move(element));
    if (at_punctuation("]")) break;
    if (!expect(",")) return nullptr;
  }
  return advance() ? finish(std::move(node)) : nullptr;
}

ExprPtr Parser::object_literal() {
  ExprPtr node = make(Kind::kObject, token_.at);
  if (!advance()) return nullptr;
  while (!at_punctuation("}")) {
    if (token_.kind != TokenKind::kString && token_.kind != TokenKind::kName) {
      unexpected("a key");
      return nullptr;
    }
    node->keys.push_back(token_.text);
    if (!advance() || !expect(":")) return nullptr;
    ExprPtr value = expression(0);
    if (!value) return nullptr;
    node->children.push_back(std::move(value));
    if (at_punctuation("}")) break;
    if (!expect(",")) return nullptr;
  }
  return advance() ? finish(std::move(node)) : nullptr;
}

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
