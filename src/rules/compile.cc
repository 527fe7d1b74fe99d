#include "rules/compile.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <re2/re2.h>

#include "core/encoding.h"
#include "core/text.h"
#include "delivery/time_pattern.h"
#include "rules/function.h"
#include "rules/java_time.h"
#include "rules/operators.h"

namespace fleetward::rules {
namespace {

using ast::Expr;
using ast::Kind;
using ast::Operator;

// --- nodes

struct LiteralNode final : Node {
  json::value literal;
  Value run(Scope&) const override { return Value::borrow(literal); }
};

struct FieldNode final : Node {
  std::string name;
  Value run(Scope& scope) const override {
    const json::value* row = scope.row();
    return row == nullptr ? Value() : member_of(Value::borrow(*row), name);
  }
};

struct VariableNode final : Node {
  size_t index = 0;
  Value run(Scope& scope) const override {
    if (index >= scope.variables.size() || scope.variables[index].is_undefined()) return {};
    return Value::borrow(scope.variables[index].get());
  }
};

struct StarNode final : Node {
  // As a member of the answer (`* AS data`), a payload that is not JSON becomes base64 text.
  bool as_member = false;
  Value run(Scope& scope) const override {
    if (const json::value* row = scope.row()) return Value::borrow(*row);
    return as_member ? new_text(scope, to_base64(scope.event().payload)) : Value();
  }
};

struct MemberNode final : Node {
  NodePtr base;
  std::string name;
  Value run(Scope& scope) const override { return member_of(base->evaluate(scope), name); }
};

struct IndexNode final : Node {
  NodePtr base, index;
  Value run(Scope& scope) const override {
    Value container = base->evaluate(scope);
    return element_of(std::move(container), index->evaluate(scope));
  }
};

struct UnaryNode final : Node {
  Operator op = Operator::kNot;
  NodePtr operand;
  Value run(Scope& scope) const override {
    const Value value = operand->evaluate(scope);
    return op == Operator::kNot ? negate_logical(value) : negate(scope, value);
  }
};

struct BinaryNode final : Node {
  Operator op = Operator::kAdd;
  NodePtr left, right;
  Value run(Scope& scope) const override {
    const Value a = left->evaluate(scope);
    const Value b = right->evaluate(scope);
    switch (op) {
      case Operator::kOr:
      case Operator::kAnd:
        return logical(op, a, b);
      case Operator::kIn:
        if (const json::array* list = b.if_array(); list && !scope.charge(list->size())) return {};
        return is_in(a, b);
      case Operator::kAdd:
      case Operator::kSubtract:
      case Operator::kMultiply:
      case Operator::kDivide:
      case Operator::kModulo:
        return arithmetic(scope, op, a, b);
      default:
        return compare(op, a, b);
    }
  }
};

struct CaseNode final : Node {
  NodePtr operand, otherwise;
  std::vector<std::pair<NodePtr, NodePtr>> branches;
  Value run(Scope& scope) const override {
    const Value subject = operand->evaluate(scope);
    if (subject.is_undefined()) return {};
    for (const auto& [when, then] : branches) {
      const Value candidate = when->evaluate(scope);
      if (!candidate.is_undefined() && equal(subject.get(), candidate.get())) return then->evaluate(scope);
    }
    return otherwise ? otherwise->evaluate(scope) : Value();
  }
};

struct ArrayNode final : Node {
  std::vector<NodePtr> elements;
  Value run(Scope& scope) const override {
    json::array out;
    out.reserve(elements.size());
    for (const NodePtr& element : elements) {
      Value value = element->evaluate(scope);
      if (!value.is_undefined()) out.push_back(copy_out(scope, std::move(value)));
    }
    return Value(json::value(std::move(out)));
  }
};

struct ObjectNode final : Node {
  std::vector<std::pair<std::string, NodePtr>> members;
  Value run(Scope& scope) const override {
    json::object out;
    for (const auto& [key, node] : members) {
      Value value = node->evaluate(scope);
      if (!value.is_undefined()) out.insert_or_assign(key, copy_out(scope, std::move(value)));
    }
    return Value(json::value(std::move(out)));
  }
};

struct CallNode final : Node {
  const Function* function = nullptr;
  std::vector<NodePtr> arguments;
  std::unique_ptr<const re2::RE2> regex;  // of a literal second argument

  Value run(Scope& scope) const override {
    constexpr size_t kOnStack = 4;
    if (arguments.size() <= kOnStack) {
      std::array<Value, kOnStack> values;
      return call(scope, Arguments(values).first(arguments.size()));
    }
    std::vector<Value> values(arguments.size());
    return call(scope, values);
  }
  Value call(Scope& scope, Arguments values) const {
    for (size_t i = 0; i < arguments.size(); ++i) values[i] = arguments[i]->evaluate(scope);
    if (function->call != nullptr) return function->call(scope, values);
    if (regex) return function->call_with_regex(scope, values, *regex);
    const auto pattern = to_text(values[1]);
    // Compiling costs far more than a node.
    if (!pattern || !scope.charge(1000 + 100 * pattern->size())) return {};
    const auto compiled = compile_regex(*pattern, nullptr);
    return compiled ? function->call_with_regex(scope, values, *compiled) : Value();
  }
};

// encode(*, 'base64'): the payload's bytes as they came, JSON or not.
struct EncodePayloadNode final : Node {
  Value run(Scope& scope) const override {
    if (!scope.nested()) return new_text(scope, to_base64(scope.event().payload));
    const json::value* row = scope.row();
    const auto text = row == nullptr ? std::nullopt : to_text(Value::borrow(*row));
    return text ? new_text(scope, to_base64(*text)) : Value();
  }
};

struct CastNode final : Node {
  Value (*convert)(Scope&, const Value&) = nullptr;
  NodePtr operand;
  Value run(Scope& scope) const override { return convert(scope, operand->evaluate(scope)); }
};

// ( SELECT ... FROM expr WHERE ... ): over an array an array, over an object one value.
struct SubqueryNode final : Node {
  Selection selection;
  NodePtr source, where;

  Value run(Scope& scope) const override {
    const Value rows = source->evaluate(scope);
    if (rows.if_object() != nullptr) return select(scope, rows.get());
    const json::array* array = rows.if_array();
    if (array == nullptr) return {};
    json::array out;
    for (const json::value& row : *array) {
      Value value = select(scope, row);
      if (!value.is_undefined()) out.push_back(std::move(value).take());
      if (scope.exhausted()) return {};
    }
    return Value(json::value(std::move(out)));
  }
  Value select(Scope& scope, const json::value& row) const {
    const Scope::Row entered(scope, &row);
    if (where) {
      const Value passed = where->evaluate(scope);
      const bool* yes = passed.if_bool();
      if (yes == nullptr || !*yes) return {};
    }
    Value value = selection.evaluate(scope);
    if (value.is_undefined()) return {};
    return Value(copy_out(scope, std::move(value)));  // `rows` ends with this call
  }
};

// --- cast

Value cast_text(Scope& scope, const Value& v) {
  const auto text = to_text(v);
  return text ? new_text(scope, *text) : Value();
}

Value cast_integer(Scope& scope, const Value& v) {
  if (const bool* b = v.if_bool()) return Value(json::value(int64_t{*b}));
  const auto n = to_decimal(v, scope.whole_is_int());
  if (!n) return {};
  if (v.if_string() != nullptr) return from_whole(std::trunc(n->d));
  return n->is_int ? Value(json::value(n->i)) : from_whole(std::floor(n->d));
}

Value cast_decimal(Scope& scope, const Value& v) {
  if (const bool* b = v.if_bool()) return Value(json::value(*b ? 1.0 : 0.0));
  const auto n = to_decimal(v, scope.whole_is_int());
  return n ? from_number(*n) : Value();
}

Value cast_boolean(Scope& scope, const Value& v) {
  if (v.if_string() == nullptr) {
    if (const auto n = to_decimal(v, scope.whole_is_int())) return Value(json::value(n->d != 0));
  }
  const auto b = to_boolean(v);
  return b ? Value(json::value(*b)) : Value();
}

struct CastType {
  std::string_view name;
  bool since_2016;
  Value (*convert)(Scope&, const Value&);
};
constexpr CastType kCastTypes[] = {
    {"string", false, cast_text},     {"nvarchar", false, cast_text},  {"text", false, cast_text},
    {"ntext", false, cast_text},      {"varchar", false, cast_text},   {"int", false, cast_integer},
    {"integer", false, cast_integer}, {"double", false, cast_decimal}, {"decimal", true, cast_decimal},
    {"bool", true, cast_boolean},     {"boolean", true, cast_boolean},
};

// --- compiling

class Compiler {
 public:
  explicit Compiler(const TemplateContext& context) : context_(context) {}
  Result<NodePtr> compile(const Expr& e);

 private:
  using Out = Result<NodePtr>;

  bool is_2015() const { return context_.version == SqlVersion::k2015; }
  static Out refuse(const Expr& e, std::string why, ErrorCode code = ErrorCode::kMalformed) {
    return fail(code, std::move(why) + " at " + to_string(e.at));
  }
  Out needs_2016(const Expr& e, std::string what) {
    return refuse(e, what + " needs awsIotSqlVersion 2016-03-23,");
  }
  Status compile_into(const Expr& e, NodePtr& out) {
    auto node = compile(e);
    if (!node) return fail(node.error());
    out = std::move(*node);
    return {};
  }
  Status compile_children(const Expr& e, std::vector<NodePtr>& out) {
    for (const auto& child : e.children) {
      if (auto ok = compile_into(*child, out.emplace_back()); !ok) return ok;
    }
    return {};
  }

  Out variable(const Expr& e);
  Out binary(const Expr& e);
  Out call(const Expr& e);
  Status check_call(const Expr& e, const std::string& name, const Function& function);
  Out cast(const Expr& e);
  Out case_of(const Expr& e);
  Out object(const Expr& e);
  Out subquery(const Expr& e);

  const TemplateContext& context_;
};

Result<NodePtr> Compiler::compile(const Expr& e) {
  switch (e.kind) {
    case Kind::kLiteral: {
      auto node = std::make_unique<LiteralNode>();
      node->literal = e.literal;
      return node;
    }
    case Kind::kField: {
      auto node = std::make_unique<FieldNode>();
      node->name = e.name;
      return node;
    }
    case Kind::kVariable:
      return variable(e);
    case Kind::kStar:
      return std::make_unique<StarNode>();
    case Kind::kMember: {
      auto node = std::make_unique<MemberNode>();
      node->name = e.name;
      if (auto ok = compile_into(*e.children[0], node->base); !ok) return fail(ok.error());
      return node;
    }
    case Kind::kIndex: {
      auto node = std::make_unique<IndexNode>();
      if (auto ok = compile_into(*e.children[0], node->base); !ok) return fail(ok.error());
      if (auto ok = compile_into(*e.children[1], node->index); !ok) return fail(ok.error());
      return node;
    }
    case Kind::kUnary: {
      auto node = std::make_unique<UnaryNode>();
      node->op = e.op;
      if (auto ok = compile_into(*e.children[0], node->operand); !ok) return fail(ok.error());
      return node;
    }
    case Kind::kBinary:
      return binary(e);
    case Kind::kCall:
      return call(e);
    case Kind::kCast:
      return cast(e);
    case Kind::kCase:
      return case_of(e);
    case Kind::kArray: {
      if (is_2015()) return needs_2016(e, "an array literal");
      auto node = std::make_unique<ArrayNode>();
      if (auto ok = compile_children(e, node->elements); !ok) return fail(ok.error());
      return node;
    }
    case Kind::kObject:
      return object(e);
    case Kind::kSubquery:
      return subquery(e);
  }
  return refuse(e, "unknown expression", ErrorCode::kInternal);
}

Result<NodePtr> Compiler::variable(const Expr& e) {
  const auto& names = context_.variables;
  const auto found = std::find(names.begin(), names.end(), e.name);
  if (found == names.end()) return refuse(e, "the variable @" + e.name + " is not set before it is used");
  auto node = std::make_unique<VariableNode>();
  node->index = static_cast<size_t>(found - names.begin());
  return node;
}

Result<NodePtr> Compiler::binary(const Expr& e) {
  auto node = std::make_unique<BinaryNode>();
  node->op = e.op;
  if (auto ok = compile_into(*e.children[0], node->left); !ok) return fail(ok.error());
  if (auto ok = compile_into(*e.children[1], node->right); !ok) return fail(ok.error());
  return node;
}

Status Compiler::check_call(const Expr& e, const std::string& name, const Function& function) {
  const auto refused = [&](std::string why, ErrorCode code = ErrorCode::kMalformed) {
    return fail(code, std::move(why) + " at " + to_string(e.at));
  };
  if (function.since_2016 && is_2015()) {
    return refused("the function " + name + "() needs awsIotSqlVersion 2016-03-23,");
  }
  const size_t count = e.children.size();
  if (count < function.args_min || (function.args_max != kAnyCount && count > function.args_max)) {
    std::string wanted = std::to_string(function.args_min);
    if (function.args_max == kAnyCount) {
      wanted += " or more";
    } else if (function.args_max != function.args_min) {
      wanted += " to " + std::to_string(function.args_max);
    }
    return refused("the function " + name + "() takes " + wanted + " arguments, not " +
                   std::to_string(count) + ",");
  }
  const auto literal = [&](size_t index) -> const json::string* {
    if (index >= count || e.children[index]->kind != Kind::kLiteral) return nullptr;
    return e.children[index]->literal.if_string();
  };
  if (name == "encode" || name == "decode") {
    if (const json::string* scheme = literal(1); scheme != nullptr && *scheme != "base64") {
      return refused("the " + name + "() scheme '" + std::string(*scheme) + "' is not supported",
                     ErrorCode::kUnimplemented);
    }
  }
  if (const json::string* pattern = literal(1); pattern != nullptr && name == "time_to_epoch") {
    if (const auto ok = TimeReader::parse(*pattern); !ok) return refused(ok.error().message, ok.error().code);
  }
  if (const json::string* pattern = literal(0); pattern != nullptr && name == "parse_time") {
    const auto java = from_joda(*pattern);
    if (!java) return refused(java.error().message, java.error().code);
    if (const auto ok = delivery::TimePattern::parse(*java); !ok) return refused(ok.error().message);
  }
  if (const json::string* zone = literal(2); zone != nullptr && name == "parse_time") {
    if (!parse_zone_offset(*zone) && !delivery::Zone::find(*zone)) {
      return refused("unknown time zone '" + std::string(*zone) + "'");
    }
  }
  if (name == "transform") {
    if (const json::string* mode = literal(0); mode != nullptr && *mode != "enrichArray") {
      return refused("the transform() mode '" + std::string(*mode) + "' is not supported");
    }
  }
  return {};
}

Result<NodePtr> Compiler::call(const Expr& e) {
  const std::string name = to_lower(e.name);
  const Function* function = find_function(name);
  if (function == nullptr) {
    const std::string_view missing = missing_function(name);
    if (missing.empty()) return refuse(e, "unknown function " + e.name + "()");
    return refuse(
        e, "the function " + e.name + "() is not available in this release (" + std::string(missing) + ")",
        ErrorCode::kUnimplemented);
  }
  if (auto ok = check_call(e, name, *function); !ok) return fail(ok.error());
  if (name == "encode" && e.children[0]->kind == Kind::kStar && e.children[1]->kind == Kind::kLiteral) {
    return std::make_unique<EncodePayloadNode>();
  }
  auto node = std::make_unique<CallNode>();
  node->function = function;
  if (auto ok = compile_children(e, node->arguments); !ok) return fail(ok.error());
  if (function->call_with_regex != nullptr && e.children[1]->kind == Kind::kLiteral &&
      e.children[1]->literal.is_string()) {
    std::string reason;
    node->regex = compile_regex(e.children[1]->literal.get_string(), &reason);
    if (!node->regex) return refuse(*e.children[1], "unusable regular expression (RE2: " + reason + ")");
  }
  return node;
}

Result<NodePtr> Compiler::cast(const Expr& e) {
  const std::string type = to_lower(e.name);
  for (const CastType& known : kCastTypes) {
    if (known.name != type) continue;
    if (known.since_2016 && is_2015()) return needs_2016(e, "cast to " + e.name);
    auto node = std::make_unique<CastNode>();
    node->convert = known.convert;
    if (auto ok = compile_into(*e.children[0], node->operand); !ok) return fail(ok.error());
    return node;
  }
  return refuse(e, "unknown type " + e.name + " in cast()");
}

Result<NodePtr> Compiler::case_of(const Expr& e) {
  auto node = std::make_unique<CaseNode>();
  const size_t count = e.children.size() - (e.has_else ? 1 : 0);
  if (auto ok = compile_into(*e.children[0], node->operand); !ok) return fail(ok.error());
  for (size_t i = 1; i + 1 < count; i += 2) {
    auto& branch = node->branches.emplace_back();
    if (auto ok = compile_into(*e.children[i], branch.first); !ok) return fail(ok.error());
    if (auto ok = compile_into(*e.children[i + 1], branch.second); !ok) return fail(ok.error());
  }
  if (e.has_else) {
    if (auto ok = compile_into(*e.children.back(), node->otherwise); !ok) return fail(ok.error());
  }
  return node;
}

Result<NodePtr> Compiler::object(const Expr& e) {
  if (is_2015()) return needs_2016(e, "an object literal");
  auto node = std::make_unique<ObjectNode>();
  for (size_t i = 0; i < e.children.size(); ++i) {
    auto& member = node->members.emplace_back();
    member.first = e.keys[i];
    if (auto ok = compile_into(*e.children[i], member.second); !ok) return fail(ok.error());
  }
  return node;
}

Result<NodePtr> Compiler::subquery(const Expr& e) {
  if (is_2015()) return needs_2016(e, "a nested query");
  auto node = std::make_unique<SubqueryNode>();
  auto selection = Selection::compile(*e.query, context_);
  if (!selection) return fail(selection.error());
  node->selection = std::move(*selection);
  if (auto ok = compile_into(*e.query->source, node->source); !ok) return fail(ok.error());
  if (e.query->where) {
    if (auto ok = compile_into(*e.query->where, node->where); !ok) return fail(ok.error());
  }
  return node;
}

}  // namespace

Result<NodePtr> compile_expression(const ast::Expr& expr, const TemplateContext& context) {
  return Compiler(context).compile(expr);
}

// --- SELECT

Result<Selection> Selection::compile(const ast::Select& select, const TemplateContext& context) {
  Selection out;
  out.value_ = select.value;
  const ast::Item& front = select.items.front();
  out.star_alone_ = select.items.size() == 1 && front.expr->kind == Kind::kStar && front.alias.empty();
  for (const ast::Item& item : select.items) {
    Item& compiled = out.items_.emplace_back();
    compiled.alias = item.alias;
    if (item.expr->kind == Kind::kStar) {
      if (item.alias.empty() && !select.value) continue;
      auto star = std::make_unique<StarNode>();
      star->as_member = true;
      compiled.node = std::move(star);
      continue;
    }
    auto node = compile_expression(*item.expr, context);
    if (!node) return fail(node.error());
    compiled.node = std::move(*node);
  }
  return out;
}

void Selection::put(json::object& out, const std::vector<std::string>& path, json::value value) {
  json::object* target = &out;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    json::value& step = (*target)[path[i]];
    target = step.is_object() ? &step.get_object() : &step.emplace_object();
  }
  target->insert_or_assign(path.back(), std::move(value));
}

void Selection::put_star(json::object& out, Scope& scope) const {
  const json::value* row = scope.row();
  if (row == nullptr) {
    out.insert_or_assign(kBinaryMember, copy_out(scope, new_text(scope, to_base64(scope.event().payload))));
    return;
  }
  const json::object* members = row->if_object();
  if (members == nullptr) {
    out.insert_or_assign(kBinaryMember, copy_out(scope, Value::borrow(*row)));
    return;
  }
  if (!scope.charge(weight(*row))) return;
  for (const auto& member : *members) out.insert_or_assign(member.key(), member.value());
}

Value Selection::evaluate(Scope& scope) const {
  if (value_) return items_[0].node->evaluate(scope);
  json::object out;
  for (const Item& item : items_) {
    if (item.node == nullptr) {
      put_star(out, scope);
      continue;
    }
    Value value = item.node->evaluate(scope);
    if (!value.is_undefined()) put(out, item.alias, copy_out(scope, std::move(value)));
  }
  return Value(json::value(std::move(out)));
}

}  // namespace fleetward::rules
