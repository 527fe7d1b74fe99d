#pragma once

#include "core/result.h"
#include "rules/ast.h"
#include "rules/node.h"
#include "rules/template.h"

namespace fleetward::rules {

// Resolves names, checks versions and argument counts, compiles literal regular expressions. Errors as
// Plan::compile.
Result<NodePtr> compile_expression(const ast::Expr& expr, const TemplateContext& context);

// The items of a SELECT; used by Plan and by nested queries.
class Selection {
 public:
  static Result<Selection> compile(const ast::Select& select, const TemplateContext& context);

  // `SELECT *` or `SELECT VALUE *`, nothing else.
  bool is_star_alone() const { return star_alone_; }
  // VALUE: may be Undefined. Else an object.
  Value evaluate(Scope& scope) const;

 private:
  struct Item {
    NodePtr node;  // null: all members of the row
    std::vector<std::string> alias;
  };
  static void put(json::object& out, const std::vector<std::string>& path, json::value value);
  void put_star(json::object& out, Scope& scope) const;

  bool value_ = false;
  bool star_alone_ = false;
  std::vector<Item> items_;
};

// The payload that is not a JSON document as text in a JSON answer: its base64 (AWS: Binary payloads).
inline constexpr std::string_view kBinaryMember = "payload";

}  // namespace fleetward::rules
