#include <cmath>
#include <limits>

#include "core/text.h"
#include "registry/fleet_query.h"
#include "registry/fleet_query_text.h"

namespace fleetward::registry {
namespace {

using query::Bound;
using query::Field;
using query::Node;
using query::Term;
using query::Token;

tl::unexpected<Error> refuse(std::string why) {
  return fail(ErrorCode::kInvalidArgument, "Unable to parse query, " + std::move(why));
}

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out += text[i];
  }
  return out;
}

bool has_wildcard(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '*' || text[i] == '?') {
      return true;
    }
  }
  return false;
}

// A field as it stands in a query.
struct FieldName {
  Field field = Field::kAny;
  std::string attribute;
};

Result<FieldName> find_field(const std::string& name) {
  static constexpr struct {
    std::string_view name;
    Field field;
  } kFields[] = {
      {"thingName", Field::kThingName},
      {"thingId", Field::kThingId},
      {"thingTypeName", Field::kThingTypeName},
      {"thingGroupNames", Field::kThingGroupNames},
      {"connectivity.connected", Field::kConnected},
      {"connectivity.timestamp", Field::kTimestamp},
      {"connectivity.disconnectReason", Field::kDisconnectReason},
  };
  constexpr std::string_view kRegistry = "registry.", kAttributes = "attributes.";
  std::string_view rest = name;
  if (rest.starts_with(kRegistry)) rest.remove_prefix(kRegistry.size());
  for (const auto& known : kFields) {
    const bool qualified = rest.size() != name.size() && known.field >= Field::kConnected;
    if (rest == known.name && !qualified) return FieldName{known.field, {}};
  }
  if (rest.starts_with(kAttributes) && rest.size() > kAttributes.size()) {
    return FieldName{Field::kAttribute, std::string(rest.substr(kAttributes.size()))};
  }
  for (const std::string_view source : {"shadow.", "deviceDefender."}) {
    if (name.starts_with(source)) {
      return refuse("the field " + name +
                    " is not indexed: this release indexes the registry and connectivity");
    }
  }
  if (name == "registry.version" || name == "connectivity.version") {
    return refuse("the field " + name + " is not searchable");
  }
  return refuse("invalid field name, field name: " + name);
}

struct Value {
  std::string text;  // unescaped, lower case
  bool open = false;
  std::optional<double> number;
};

}  // namespace

class FleetQueryParser {
 public:
  explicit FleetQueryParser(size_t characters) : characters_(characters) {}

  Result<std::shared_ptr<const FleetQuery>> run(std::vector<Token> tokens) {
    tokens_ = std::move(tokens);
    auto root = parse_or({});
    if (!root) return fail(root.error());
    if (peek().kind != Token::Kind::kEnd) return unexpected();
    if (leading_wildcards_ > kLeadingWildcardTermsMax) {
      return refuse("at most one term may begin with a wildcard");
    }
    if (leading_wildcards_ > 0 && characters_ > kLeadingWildcardCharactersMax) {
      return refuse("a query with a term that begins with a wildcard has at most " +
                    std::to_string(kLeadingWildcardCharactersMax) + " characters");
    }
    return std::make_shared<const FleetQuery>(std::move(out_));
  }

 private:
  const Token& peek() const { return tokens_[at_]; }
  const Token& take() { return tokens_[at_++]; }
  bool accept(Token::Kind kind) {
    if (peek().kind != kind) return false;
    ++at_;
    return true;
  }
  tl::unexpected<Error> unexpected() const {
    if (peek().kind == Token::Kind::kEnd) return refuse("it ends where a term is expected");
    return refuse("unexpected '" + peek().text + "' at " + std::to_string(peek().at));
  }

  uint32_t add_node(Node::Kind kind, std::vector<uint32_t> children) {
    if (children.size() == 1 && kind != Node::Kind::kNot) return children[0];
    out_.nodes_.push_back({kind, 0, std::move(children)});
    return static_cast<uint32_t>(out_.nodes_.size() - 1);
  }
  Result<uint32_t> add_term(Term term) {
    if (out_.terms_.size() == kQueryTermsMax) {
      return refuse("a query has at most " + std::to_string(kQueryTermsMax) + " terms");
    }
    out_.terms_.push_back(std::move(term));
    out_.nodes_.push_back({Node::Kind::kTerm, static_cast<uint32_t>(out_.terms_.size() - 1), {}});
    return static_cast<uint32_t>(out_.nodes_.size() - 1);
  }

  Result<uint32_t> parse_or(const FieldName& field) {
    std::vector<uint32_t> children;
    do {
      auto one = parse_and(field);
      if (!one) return one;
      children.push_back(*one);
    } while (accept(Token::Kind::kOr));
    return add_node(Node::Kind::kOr, std::move(children));
  }

  Result<uint32_t> parse_and(const FieldName& field) {
    std::vector<uint32_t> children;
    do {
      auto one = parse_not(field);
      if (!one) return one;
      children.push_back(*one);
    } while (accept(Token::Kind::kAnd) || begins_term());
    return add_node(Node::Kind::kAnd, std::move(children));
  }
  bool begins_term() const {
    switch (peek().kind) {
      case Token::Kind::kWord:
      case Token::Kind::kPhrase:
      case Token::Kind::kTo:
      case Token::Kind::kNot:
      case Token::Kind::kOpen:
      case Token::Kind::kRangeOpen:
        return true;
      default:
        return false;
    }
  }

  Result<uint32_t> parse_not(const FieldName& field) {
    if (!accept(Token::Kind::kNot)) return parse_primary(field);
    if (++depth_ > kQueryDepthMax) return too_deep();
    auto inner = parse_not(field);
    --depth_;
    if (!inner) return inner;
    return add_node(Node::Kind::kNot, {*inner});
  }

  Result<uint32_t> parse_primary(const FieldName& field) {
    const bool word = peek().kind == Token::Kind::kWord || peek().kind == Token::Kind::kTo;
    const Token::Kind after = word ? tokens_[at_ + 1].kind : Token::Kind::kEnd;
    if (after != Token::Kind::kColon && after != Token::Kind::kCompare) return parse_value(field);
    auto named = find_field(unescape(take().text));
    if (!named) return fail(named.error());
    const Token& operation = take();
    if (operation.kind == Token::Kind::kColon) return parse_value(*named);
    return parse_comparison(*named, operation.text);
  }

  Result<uint32_t> parse_value(const FieldName& field) {
    const Token& first = peek();
    switch (first.kind) {
      case Token::Kind::kOpen: {
        ++at_;
        if (++depth_ > kQueryDepthMax) return too_deep();
        auto inner = parse_or(field);
        --depth_;
        if (inner && !accept(Token::Kind::kClose)) return unexpected();
        return inner;
      }
      case Token::Kind::kRangeOpen:
        return parse_range(field);
      case Token::Kind::kPhrase:
      case Token::Kind::kTo:
        return add_term(equality(field, take().text));
      case Token::Kind::kWord:
        return parse_word(field, take().text);
      default:
        return unexpected();
    }
  }

  Result<uint32_t> parse_word(const FieldName& field, const std::string& text) {
    Term term = equality(field, unescape(text));
    if (text == "*") {
      term.kind = Term::Kind::kPresent;
    } else if (has_wildcard(text)) {
      term.kind = Term::Kind::kPattern;
      term.text = to_lower(text);
      if (text[0] == '*' || text[0] == '?') ++leading_wildcards_;
    }
    return add_term(std::move(term));
  }
  static Term equality(const FieldName& field, std::string_view text) {
    Term term;
    term.kind = Term::Kind::kEquals;
    term.field = field.field;
    term.attribute = field.attribute;
    term.text = to_lower(text);
    return term;
  }

  Result<uint32_t> parse_comparison(const FieldName& field, const std::string& operation) {
    auto value = parse_bound();
    if (!value) return fail(value.error());
    if (value->open) return refuse("a wildcard has no order");
    const bool inclusive = operation.size() == 2;
    const Value none{{}, true, {}};
    return operation[0] == '>' ? add_range(field, *value, inclusive, none, true)
                               : add_range(field, none, true, *value, inclusive);
  }

  Result<uint32_t> parse_range(const FieldName& field) {
    const bool low_inclusive = take().text == "[";
    auto low = parse_bound();
    if (!low) return fail(low.error());
    if (!accept(Token::Kind::kTo)) return unexpected();
    auto high = parse_bound();
    if (!high) return fail(high.error());
    if (peek().kind != Token::Kind::kRangeClose) return unexpected();
    return add_range(field, *low, low_inclusive, *high, take().text == "]");
  }

  Result<Value> parse_bound() {
    const Token& token = peek();
    if (token.kind != Token::Kind::kWord && token.kind != Token::Kind::kPhrase) return unexpected();
    ++at_;
    Value out;
    if (token.kind == Token::Kind::kPhrase) {
      out.text = to_lower(token.text);
      return out;
    }
    out.open = token.text == "*";
    if (!out.open && has_wildcard(token.text)) return refuse("a wildcard has no order");
    out.text = to_lower(unescape(token.text));
    out.number = query::number_in(out.text);
    return out;
  }

  Result<uint32_t> add_range(const FieldName& field, const Value& low, bool low_inclusive, const Value& high,
                             bool high_inclusive) {
    Term term = equality(field, {});
    if (low.open && high.open) {
      term.kind = Term::Kind::kPresent;
      return add_term(std::move(term));
    }
    if ((low.number || low.open) && (high.number || high.open)) {
      constexpr double kInfinite = std::numeric_limits<double>::infinity();
      term.kind = Term::Kind::kNumbers;
      term.low_number = low.number.value_or(-kInfinite);
      term.high_number = high.number.value_or(kInfinite);
      term.low_inclusive = low_inclusive;
      term.high_inclusive = high_inclusive;
      return add_term(std::move(term));
    }
    if (low.number || high.number) return refuse("the ends of a range are both numbers or both texts");
    term.kind = Term::Kind::kTexts;
    if (!low.open) term.low = Bound{low.text, low_inclusive};
    if (!high.open) term.high = Bound{high.text, high_inclusive};
    return add_term(std::move(term));
  }

  tl::unexpected<Error> too_deep() const {
    return refuse("it is nested deeper than " + std::to_string(kQueryDepthMax) + " levels");
  }

  size_t characters_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  size_t depth_ = 0;
  size_t leading_wildcards_ = 0;
  FleetQuery out_;
};

Result<std::shared_ptr<const FleetQuery>> FleetQuery::parse(std::string_view text) {
  size_t characters = 0;
  for (const char c : text) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  if (characters > kQueryCharactersMax) {
    return refuse("a query has at most " + std::to_string(kQueryCharactersMax) + " characters");
  }
  auto tokens = query::read_tokens(text);
  if (!tokens) return fail(tokens.error());
  return FleetQueryParser(characters).run(std::move(*tokens));
}

}  // namespace fleetward::registry
