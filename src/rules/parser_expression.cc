#include <algorithm>
#include <charconv>
#include <utility>

#include "rules/parser_impl.h"

namespace fleetward::rules {

using ast::Expr;
using ast::ExprPtr;
using ast::Kind;
using ast::Operator;

namespace {

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

}  // namespace

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

}  // namespace fleetward::rules
