#include "rules/lexer.h"

#include <algorithm>
#include <array>

#include "core/text.h"

namespace fleetward::rules {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
// Letters beyond ASCII may stand in field names: the statement is valid UTF-8 as a whole.
bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<uint8_t>(c) >= 0x80;
}
bool continues_name(char c) {
  return starts_name(c) || is_digit(c);
}
bool is_continuation_byte(char c) {
  return (static_cast<uint8_t>(c) & 0xC0) == 0x80;
}

constexpr std::array<std::string_view, 24> kPunctuation = {"<>", "<=", ">=", "!=", "||", "&&", "==", "(",
                                                           ")",  "[",  "]",  "{",  "}",  ",",  ".",  ":",
                                                           "*",  "+",  "-",  "/",  "%",  "=",  "<",  ">"};

}  // namespace

std::string to_string(Position at) {
  return "line " + std::to_string(at.line) + ", column " + std::to_string(at.column);
}

namespace {

// The first 40 bytes or so, whole characters only.
std::string shortened(const std::string& text) {
  size_t size = std::min<size_t>(text.size(), 40);
  while (size < text.size() && is_continuation_byte(text[size])) ++size;
  return text.substr(0, size);
}

}  // namespace

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end of the statement";
    case TokenKind::kString:
      return "the string " + std::string(1, token.quote) + shortened(token.text) + token.quote;
    case TokenKind::kVariable:
      return "'@" + shortened(token.text) + "'";
    default:
      return "'" + shortened(token.text) + "'";
  }
}

bool is_word(const Token& token, std::string_view lower_case_word) {
  return token.kind == TokenKind::kName && equal_ignoring_case(token.text, lower_case_word);
}

bool is_punctuation(const Token& token, std::string_view text) {
  return token.kind == TokenKind::kPunctuation && token.text == text;
}

Lexer::Lexer(std::string_view text, size_t begin) : text_(text) {
  while (offset_ < begin) advance();
}

void Lexer::advance() {
  const char c = text_[offset_++];
  if (c == '\n') {
    ++at_.line;
    at_.column = 1;
  } else if (!is_continuation_byte(c)) {
    ++at_.column;
  }
}

void Lexer::skip_space() {
  while (offset_ < text_.size()) {
    const char c = text_[offset_];
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
    advance();
  }
}

std::string_view Lexer::take_name() {
  const size_t begin = offset_;
  while (offset_ < text_.size() && continues_name(text_[offset_])) advance();
  return text_.substr(begin, offset_ - begin);
}

Result<Token> Lexer::next() {
  skip_space();
  Token token;
  token.at = at_;
  if (offset_ == text_.size()) {
    token.end = offset_;
    return token;
  }
  const char c = text_[offset_];
  if (c == '\'' || c == '"') return string_token();
  if (is_digit(c)) return number_token();
  if (starts_name(c)) {
    token.kind = TokenKind::kName;
    token.text = std::string(take_name());
    token.end = offset_;
    return token;
  }
  if (c == '@') {
    advance();
    token.kind = TokenKind::kVariable;
    token.text = std::string(take_name());
    token.end = offset_;
    if (token.text.empty()) {
      return fail(ErrorCode::kMalformed, "a variable name must follow '@' at " + to_string(token.at));
    }
    return token;
  }
  return punctuation_token();
}

Result<Token> Lexer::punctuation_token() {
  Token token;
  token.at = at_;
  for (const std::string_view p : kPunctuation) {
    if (text_.substr(offset_, p.size()) != p) continue;
    for (size_t i = 0; i < p.size(); ++i) advance();
    token.kind = TokenKind::kPunctuation;
    token.text = std::string(p);
    token.end = offset_;
    return token;
  }
  return fail(ErrorCode::kMalformed,
              "unexpected character '" + std::string(1, text_[offset_]) + "' at " + to_string(at_));
}

Result<Token> Lexer::string_token() {
  Token token;
  token.kind = TokenKind::kString;
  token.at = at_;
  token.quote = text_[offset_];
  advance();
  while (offset_ < text_.size()) {
    const char c = text_[offset_];
    const char following = offset_ + 1 < text_.size() ? text_[offset_ + 1] : '\0';
    if (c == token.quote) {
      advance();
      if (following != token.quote) {
        token.end = offset_;
        return token;
      }
    } else if (c == '\\' && (following == '\\' || following == '\'' || following == '"')) {
      advance();
    } else if (c == '\\' && (following == 'n' || following == 'r' || following == 't')) {
      token.text += following == 'n' ? '\n' : following == 'r' ? '\r' : '\t';
      advance();
      advance();
      continue;
    }
    token.text += text_[offset_];
    advance();
  }
  return fail(ErrorCode::kMalformed, "the string that starts at " + to_string(token.at) + " has no end");
}

Result<Token> Lexer::number_token() {
  Token token;
  token.kind = TokenKind::kNumber;
  token.at = at_;
  const size_t begin = offset_;
  const auto digits = [&] {
    const size_t first = offset_;
    while (offset_ < text_.size() && is_digit(text_[offset_])) advance();
    return offset_ > first;
  };
  bool good = digits();
  if (good && text_.substr(offset_, 1) == ".") {
    advance();
    good = digits();
  }
  if (good && offset_ < text_.size() && (text_[offset_] == 'e' || text_[offset_] == 'E')) {
    advance();
    if (offset_ < text_.size() && (text_[offset_] == '-' || text_[offset_] == '+')) advance();
    good = digits();
  }
  if (!good || (offset_ < text_.size() && continues_name(text_[offset_]))) {
    return fail(ErrorCode::kMalformed, "malformed number at " + to_string(token.at));
  }
  token.text = std::string(text_.substr(begin, offset_ - begin));
  token.end = offset_;
  return token;
}

}  // namespace fleetward::rules
