#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "rules/lexer.h"

// What a statement says, before anything is looked up.
namespace fleetward::rules::ast {

enum class Kind : uint8_t {
  kLiteral,   // literal
  kField,     // name: a member of the current row
  kVariable,  // name: set by SET
  kStar,      // the whole current row
  kMember,    // children[0] . name
  kIndex,     // children[0] [ children[1] ]
  kUnary,     // op children[0]
  kBinary,    // children[0] op children[1]
  kCall,      // name ( children )
  kCast,      // cast ( children[0] as name )
  kCase,      // case children[0] when children[1] then children[2] ... [else children.back()]
  kArray,     // [ children ]
  kObject,    // { keys[i] : children[i] }
  kSubquery,  // ( query )
};

enum class Operator : uint8_t {
  kOr,
  kAnd,
  kNot,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kNegate,
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;
struct Select;

struct Expr {
  Kind kind = Kind::kLiteral;
  Operator op = Operator::kAdd;
  bool has_else = false;
  uint16_t height = 1;  // at most kExpressionHeightMax: recursion over the tree is bounded
  Position at;
  std::string name;
  json::value literal;
  std::vector<ExprPtr> children;
  std::vector<std::string> keys;
  std::unique_ptr<Select> query;
};

struct Item {
  ExprPtr expr;                    // kStar without alias: all members of the row
  std::vector<std::string> alias;  // "a.b" nests; never empty unless it is that star
};

// SELECT [VALUE] ... FROM ... WHERE ...
struct Select {
  bool value = false;
  std::vector<Item> items;
  ExprPtr source;  // nested queries only
  ExprPtr where;   // may be null
};

struct Assignment {
  std::string name;
  ExprPtr expr;
  Position at;
};

struct Statement {
  std::vector<Assignment> assignments;
  Select select;
  std::optional<std::string> topic_filter;
};

}  // namespace fleetward::rules::ast
