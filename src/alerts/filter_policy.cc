#include "alerts/filter_policy.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cmath>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/text.h"

namespace fleetward::alerts {
namespace {

constexpr double kNumberMax = 1e9;

// '*' any run; linear in practice, quadratic at worst.
bool wildcard_match(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

struct Cidr {
  int family = AF_INET;
  unsigned char address[16] = {};
  int bits = 0;

  static std::optional<Cidr> parse(std::string_view text) {
    Cidr out;
    const size_t slash = text.find('/');
    const std::string address(text.substr(0, slash));
    out.family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
    if (::inet_pton(out.family, address.c_str(), out.address) != 1) return std::nullopt;
    const int bits_max = out.family == AF_INET ? 32 : 128;
    out.bits = bits_max;
    if (slash == std::string_view::npos) return out;
    const std::string_view length = text.substr(slash + 1);
    const auto bits = parse_number<int>(length);
    if (!bits || *bits < 0 || *bits > bits_max) return std::nullopt;
    out.bits = *bits;
    return out;
  }
  bool contains(std::string_view text) const {
    const auto other = parse(text);
    if (!other || other->family != family || text.find('/') != std::string_view::npos) return false;
    for (int bit = 0; bit < bits; ++bit) {
      const int mask = 0x80 >> (bit % 8);
      if ((address[bit / 8] & mask) != (other->address[bit / 8] & mask)) return false;
    }
    return true;
  }
};

std::optional<double> number_of(const json::value& v) {
  if (v.is_int64()) return static_cast<double>(v.get_int64());
  if (v.is_uint64()) return static_cast<double>(v.get_uint64());
  if (v.is_double()) return v.get_double();
  return std::nullopt;
}

std::string_view text_of(const json::value& v) {
  return {v.get_string().data(), v.get_string().size()};
}

bool equal(const json::value& a, const json::value& b) {
  const auto x = number_of(a), y = number_of(b);
  if (x && y) return std::abs(*x - *y) < 1e-9;
  return a == b;
}

// One condition of a key's list.
struct Condition {
  enum class Kind {
    kEqual,
    kPrefix,
    kSuffix,
    kIgnoreCase,
    kWildcard,
    kCidr,
    kNumeric,
    kExists,
    kAbsent,
    kNone
  };
  Kind kind = Kind::kEqual;
  json::value value;  // kEqual
  std::string text;   // kPrefix, kSuffix, kIgnoreCase (lower case), kWildcard
  Cidr cidr;          // kCidr
  std::vector<std::pair<std::string, double>> bounds;  // kNumeric: operator, operand
  std::vector<Condition> none_of;                      // kNone (anything-but)

  bool holds(const json::value& v) const;
};

bool within(double n, const std::string& op, double bound) {
  if (op == "=") return std::abs(n - bound) < 1e-9;
  if (op == "<") return n < bound;
  if (op == "<=") return n <= bound;
  if (op == ">") return n > bound;
  return n >= bound;
}

bool Condition::holds(const json::value& v) const {
  switch (kind) {
    case Kind::kEqual:
      return equal(value, v);
    case Kind::kPrefix:
      return v.is_string() && text_of(v).starts_with(text);
    case Kind::kSuffix:
      return v.is_string() && text_of(v).ends_with(text);
    case Kind::kIgnoreCase:
      return v.is_string() && to_lower(text_of(v)) == text;
    case Kind::kWildcard:
      return v.is_string() && wildcard_match(text, text_of(v));
    case Kind::kCidr:
      return v.is_string() && cidr.contains(text_of(v));
    case Kind::kNumeric: {
      const auto n = number_of(v);
      return n && std::all_of(bounds.begin(), bounds.end(),
                              [&](const auto& bound) { return within(*n, bound.first, bound.second); });
    }
    case Kind::kExists:
      return true;
    case Kind::kAbsent:
      return false;
    case Kind::kNone:
      return std::none_of(none_of.begin(), none_of.end(), [&](const Condition& c) { return c.holds(v); });
  }
  return false;
}

}  // namespace

struct FilterPolicy::Node {
  struct Key {
    std::string name;
    std::vector<Condition> any;          // a leaf
    std::unique_ptr<const Node> nested;  // or an object
  };
  std::vector<Key> keys;                                      // all of them
  std::vector<std::vector<std::unique_ptr<const Node>>> ors;  // one of each

  bool matches(const json::object& values) const;
  static bool leaf_matches(const Key& key, const json::value* value);
};

bool FilterPolicy::Node::leaf_matches(const Key& key, const json::value* value) {
  return std::any_of(key.any.begin(), key.any.end(), [&](const Condition& condition) {
    if (value == nullptr) return condition.kind == Condition::Kind::kAbsent;
    if (!value->is_array()) return condition.holds(*value);
    // "anything-but" must hold for every element, the others for one.
    const json::array& list = value->get_array();
    const auto holds = [&](const json::value& v) { return condition.holds(v); };
    return condition.kind == Condition::Kind::kNone ? std::all_of(list.begin(), list.end(), holds)
                                                    : std::any_of(list.begin(), list.end(), holds);
  });
}

bool FilterPolicy::Node::matches(const json::object& values) const {
  for (const Key& key : keys) {
    const json::value* value = json::find(values, key.name);
    if (!key.nested) {
      if (!leaf_matches(key, value)) return false;
      continue;
    }
    static const json::object kNothing;
    if (value == nullptr || value->is_object()) {
      // An absent object may still satisfy {"exists": false} below it.
      if (!key.nested->matches(value == nullptr ? kNothing : value->get_object())) return false;
    } else if (value->is_array()) {
      const json::array& list = value->get_array();
      const bool any = std::any_of(list.begin(), list.end(), [&](const json::value& v) {
        return v.is_object() && key.nested->matches(v.get_object());
      });
      if (!any) return false;
    } else {
      return false;
    }
  }
  return std::all_of(ors.begin(), ors.end(), [&](const auto& alternatives) {
    return std::any_of(alternatives.begin(), alternatives.end(),
                       [&](const auto& node) { return node->matches(values); });
  });
}

// ------------------------------------------------------------------ parsing

namespace {

tl::unexpected<Error> refuse(std::string reason) {
  return fail(ErrorCode::kInvalidArgument, "FilterPolicy: " + std::move(reason));
}

Result<double> parse_bound(const json::value& v) {
  const auto n = number_of(v);
  if (!n) return refuse("a numeric condition needs a number after its operator");
  if (std::abs(*n) > kNumberMax) return refuse("numbers must lie within +/-1000000000");
  return *n;
}

Result<Condition> parse_numeric(const json::value& v) {
  if (!v.is_array() || v.get_array().empty() || v.get_array().size() % 2 != 0 || v.get_array().size() > 4) {
    return refuse("\"numeric\" needs a list of one or two pairs of operator and number");
  }
  Condition out{.kind = Condition::Kind::kNumeric};
  const json::array& list = v.get_array();
  for (size_t i = 0; i < list.size(); i += 2) {
    const std::string op = list[i].is_string() ? std::string(text_of(list[i])) : "";
    if (op != "=" && op != "<" && op != "<=" && op != ">" && op != ">=") {
      return refuse("\"numeric\" knows the operators =, <, <=, > and >=");
    }
    auto bound = parse_bound(list[i + 1]);
    if (!bound) return fail(bound.error());
    out.bounds.emplace_back(op, *bound);
  }
  return out;
}

Result<Condition> parse_condition(const json::value& v);

Result<Condition> parse_anything_but(const json::value& v) {
  Condition out{.kind = Condition::Kind::kNone};
  const auto add = [&](const json::value& item) -> Status {
    auto one = parse_condition(item);
    if (!one) return fail(one.error());
    using Kind = Condition::Kind;
    if (one->kind == Kind::kNone || one->kind == Kind::kExists || one->kind == Kind::kAbsent) {
      return refuse("\"anything-but\" cannot hold that condition");
    }
    out.none_of.push_back(std::move(*one));
    return {};
  };
  if (v.is_array()) {
    if (v.get_array().empty()) return refuse("\"anything-but\" needs at least one value");
    for (const json::value& item : v.get_array()) {
      if (item.is_object()) return refuse("the list of \"anything-but\" holds plain values");
      if (auto ok = add(item); !ok) return fail(ok.error());
    }
  } else if (v.is_object()) {
    // {"prefix": ["a", "b"]}: each alternative is one.
    const json::object& o = v.get_object();
    if (o.size() == 1 && o.begin()->value().is_array()) {
      for (const json::value& item : o.begin()->value().get_array()) {
        if (auto ok = add(json::object{{o.begin()->key(), item}}); !ok) return fail(ok.error());
      }
    } else if (auto ok = add(v); !ok) {
      return fail(ok.error());
    }
  } else if (auto ok = add(v); !ok) {
    return fail(ok.error());
  }
  return out;
}

Result<Condition> parse_operator(std::string_view name, const json::value& v) {
  using Kind = Condition::Kind;
  if (name == "numeric") return parse_numeric(v);
  if (name == "anything-but") return parse_anything_but(v);
  if (name == "exists") {
    if (!v.is_bool()) return refuse("\"exists\" is true or false");
    return Condition{.kind = v.get_bool() ? Kind::kExists : Kind::kAbsent};
  }
  if (!v.is_string()) return refuse("\"" + std::string(name) + "\" needs a string");
  const std::string text(text_of(v));
  if (name == "prefix") return Condition{.kind = Kind::kPrefix, .text = text};
  if (name == "suffix") return Condition{.kind = Kind::kSuffix, .text = text};
  if (name == "equals-ignore-case") return Condition{.kind = Kind::kIgnoreCase, .text = to_lower(text)};
  if (name == "wildcard") {
    if (text.find("**") != std::string::npos) return refuse("\"wildcard\" cannot hold **");
    return Condition{.kind = Kind::kWildcard, .text = text};
  }
  if (name == "cidr") {
    const auto cidr = Cidr::parse(text);
    if (!cidr) return refuse("\"cidr\" needs an address and a prefix length");
    return Condition{.kind = Kind::kCidr, .cidr = *cidr};
  }
  return refuse("unrecognized match type " + std::string(name));
}

Result<Condition> parse_condition(const json::value& v) {
  if (v.is_object()) {
    const json::object& o = v.get_object();
    if (o.size() != 1) return refuse("a condition has exactly one match type");
    return parse_operator({o.begin()->key().data(), o.begin()->key().size()}, o.begin()->value());
  }
  if (v.is_array()) return refuse("a list cannot stand inside a list");
  if (number_of(v)) {
    if (auto bound = parse_bound(v); !bound) return fail(bound.error());
  }
  return Condition{.kind = Condition::Kind::kEqual, .value = v};
}

struct PolicyParser {
  bool nested;
  size_t keys = 0;
  size_t combinations = 1;

  Result<std::unique_ptr<const FilterPolicy::Node>> node(const json::object& o, size_t depth) {
    if (depth > FilterPolicy::kDepthMax) return refuse("nested too deep");
    auto out = std::make_unique<FilterPolicy::Node>();
    for (const auto& member : o) {
      const std::string name(member.key());
      if (name == "$or") {
        if (auto ok = alternatives(member.value(), depth, *out); !ok) return fail(ok.error());
        continue;
      }
      FilterPolicy::Node::Key key{.name = name, .any = {}, .nested = nullptr};
      if (member.value().is_object()) {
        if (!nested) return refuse("the value of '" + name + "' must be a list");
        auto inner = node(member.value().get_object(), depth + 1);
        if (!inner) return fail(inner.error());
        key.nested = std::move(*inner);
      } else if (auto ok = leaf(member.value(), key); !ok) {
        return fail(ok.error());
      }
      out->keys.push_back(std::move(key));
    }
    return out;
  }

  Status leaf(const json::value& v, FilterPolicy::Node::Key& key) {
    if (!v.is_array() || v.get_array().empty()) {
      return refuse("the value of '" + key.name + "' must be a list with at least one condition");
    }
    if (++keys > FilterPolicy::kKeysMax) {
      return refuse("more than " + std::to_string(FilterPolicy::kKeysMax) + " keys");
    }
    combinations *= v.get_array().size();
    if (combinations > FilterPolicy::kCombinationsMax) {
      return refuse("more than " + std::to_string(FilterPolicy::kCombinationsMax) + " combinations");
    }
    for (const json::value& item : v.get_array()) {
      auto condition = parse_condition(item);
      if (!condition) return fail(condition.error());
      key.any.push_back(std::move(*condition));
    }
    return {};
  }

  Status alternatives(const json::value& v, size_t depth, FilterPolicy::Node& out) {
    if (!v.is_array() || v.get_array().size() < 2) return refuse("\"$or\" needs a list of at least two");
    std::vector<std::unique_ptr<const FilterPolicy::Node>> list;
    for (const json::value& item : v.get_array()) {
      if (!item.is_object() || item.get_object().empty()) return refuse("\"$or\" holds objects");
      auto inner = node(item.get_object(), depth + 1);
      if (!inner) return fail(inner.error());
      list.push_back(std::move(*inner));
    }
    out.ors.push_back(std::move(list));
    return {};
  }
};

}  // namespace

FilterPolicy::FilterPolicy(std::unique_ptr<const Node> root) : root_(std::move(root)) {}
FilterPolicy::~FilterPolicy() = default;

bool FilterPolicy::matches(const json::object& values) const {
  return root_->matches(values);
}

Result<std::shared_ptr<const FilterPolicy>> FilterPolicy::parse(std::string_view text, bool nested) {
  auto parsed = json::parse(text, {.bytes_max = kTextBytesMax});
  if (!parsed) return refuse("not JSON: " + parsed.error().message);
  if (!parsed->is_object()) return refuse("must be a JSON object");
  PolicyParser parser{.nested = nested};
  auto root = parser.node(parsed->get_object(), 1);
  if (!root) return fail(root.error());
  return std::make_shared<const FilterPolicy>(std::move(*root));
}

json::object attributes_object(const json::object& message_attributes) {
  json::object out;
  for (const auto& attribute : message_attributes) {
    if (!attribute.value().is_object()) continue;
    const json::object& o = attribute.value().get_object();
    const std::string_view type = json::string_or(o, "DataType");
    const std::string_view text = json::string_or(o, "StringValue");
    const std::string_view base = type.substr(0, type.find('.'));
    if (type == "String.Array") {
      auto list = json::parse(text);
      if (list && list->is_array()) out[attribute.key()] = std::move(*list);
    } else if (base == "Number") {
      if (const auto n = parse_number<double>(text)) out[attribute.key()] = *n;
    } else if (base == "String") {
      out[attribute.key()] = boost::json::string(text.data(), text.size());
    }
  }
  return out;
}

}  // namespace fleetward::alerts
