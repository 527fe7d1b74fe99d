#include "registry/fleet_query_text.h"

namespace fleetward::registry::query {
namespace {

// Character.isWhitespace of Java, in ASCII.
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F);
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<std::vector<Token>> run() {
    for (;;) {
      while (at_ < text_.size() && is_space(text_[at_])) ++at_;
      if (at_ == text_.size()) break;
      if (auto ok = next(); !ok) return fail(ok.error());
    }
    push(Token::Kind::kEnd, 0);
    return std::move(tokens_);
  }

 private:
  Status next() {
    const char c = text_[at_];
    switch (c) {
      case '(':
        return push(Token::Kind::kOpen, 1);
      case ')':
        return push(Token::Kind::kClose, 1);
      case ':':
        return push(Token::Kind::kColon, 1);
      case '[':
      case '{':
        in_range_ = true;
        return push(Token::Kind::kRangeOpen, 1);
      case ']':
      case '}':
        in_range_ = false;
        return push(Token::Kind::kRangeClose, 1);
      case '<':
      case '>':
        return push(Token::Kind::kCompare, text_.substr(at_ + 1, 1) == "=" ? 2 : 1);
      case '"':
        return phrase();
      case '-':
        if (!value_follows()) return push(Token::Kind::kNot, 1);
        return word();
      case '/':
        return fail(ErrorCode::kInvalidArgument,
                    "Unable to parse query, regular expressions are not supported");
      default:
        return word();
    }
  }

  Status push(Token::Kind kind, size_t size) {
    tokens_.push_back({kind, std::string(text_.substr(at_, size)), at_});
    at_ += size;
    return {};
  }

  // A '-' here belongs to a negative number.
  bool value_follows() const {
    if (in_range_) return true;
    if (tokens_.empty()) return false;
    const Token::Kind before = tokens_.back().kind;
    return before == Token::Kind::kColon || before == Token::Kind::kCompare;
  }

  Status phrase() {
    Token token{Token::Kind::kPhrase, {}, at_};
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        tokens_.push_back(std::move(token));
        return {};
      }
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      token.text += text_[at_];
    }
    return fail(ErrorCode::kInvalidArgument,
                "Unable to parse query, the phrase at " + std::to_string(token.at) + " does not end");
  }

  Status word() {
    static constexpr std::string_view kEnds = "()[]{}\":<>";
    // Operators of the language's origin that AWS does not have, and characters no value has.
    static constexpr std::string_view kRefused = "`'%;^~!&|+";
    Token token{Token::Kind::kWord, {}, at_};
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (is_space(c) || kEnds.find(c) != std::string_view::npos) break;
      if (c == '\\') {
        if (at_ + 1 == text_.size()) {
          return fail(ErrorCode::kInvalidArgument, "Unable to parse query, it ends with a '\\'");
        }
        token.text += c;
        ++at_;
      } else if (kRefused.find(c) != std::string_view::npos || static_cast<unsigned char>(c) < 0x20) {
        return fail(ErrorCode::kInvalidArgument, "Unable to parse query, unsupported character at " +
                                                     std::to_string(at_) + "; escape or quote it");
      }
      token.text += text_[at_];
    }
    if (token.text == "AND") token.kind = Token::Kind::kAnd;
    if (token.text == "OR") token.kind = Token::Kind::kOr;
    if (token.text == "NOT") token.kind = Token::Kind::kNot;
    if (token.text == "TO") token.kind = Token::Kind::kTo;
    tokens_.push_back(std::move(token));
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
  bool in_range_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> read_tokens(std::string_view query) {
  return Reader(query).run();
}

}  // namespace fleetward::registry::query
