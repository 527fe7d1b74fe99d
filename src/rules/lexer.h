#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fleetward::rules {

// Where a token starts, both from 1; columns count characters.
struct Position {
  uint32_t line = 1;
  uint32_t column = 1;
};
// "line 2, column 7"
std::string to_string(Position at);

enum class TokenKind : uint8_t {
  kEnd,
  kName,      // identifier or keyword; keywords compare without case
  kVariable,  // @name, text without '@'
  kNumber,
  kString,  // text unescaped; `quote` tells which
  kPunctuation,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  char quote = 0;
  Position at;
  size_t end = 0;  // byte offset after it
};

// "'FROM'" or "end of statement", for error messages.
std::string describe(const Token& token);
bool is_word(const Token& token, std::string_view lower_case_word);
bool is_punctuation(const Token& token, std::string_view text);

// Cuts a statement into tokens, one at a time. Strings take ' or "; inside, the quote doubled or after a
// backslash stands for itself, "\\" is a backslash, "\n", "\r" and "\t" are what they are in JSON, and any
// other backslash stays (so that '\d+' reaches regexp_matches as it is written).
class Lexer {
 public:
  // Starts at byte `begin` of `text`, which outlives the lexer.
  explicit Lexer(std::string_view text, size_t begin = 0);
  // kMalformed with the place.
  Result<Token> next();

 private:
  void skip_space();
  void advance();
  Result<Token> string_token();
  Result<Token> number_token();
  Result<Token> punctuation_token();
  std::string_view take_name();

  std::string_view text_;
  size_t offset_ = 0;
  Position at_;
};

}  // namespace fleetward::rules
