#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "rules/value.h"

namespace fleetward::rules {

class Scope;
struct Node;

// What the expressions of a template may refer to.
struct TemplateContext {
  SqlVersion version = SqlVersion::k2016;
  std::vector<std::string> variables;  // of SET, in order
};

// A text with substitution templates: "sensors/${topic(2)}/${id}" (AWS IoT SQL reference, "Substitution
// templates"). Immutable; copies share the compiled expressions.
class Template {
 public:
  Template() = default;
  // kMalformed with the place, kUnimplemented, kLimitExceeded (kTemplateBytesMax).
  static Result<Template> compile(std::string text, const TemplateContext& context);

  const std::string& text() const { return text_; }
  bool is_constant() const { return parts_.empty(); }
  // Undefined values become empty text.
  std::string expand(Scope& scope) const;

 private:
  struct Part {
    std::string literal;                     // before the expression
    std::shared_ptr<const Node> expression;  // null for the tail
  };
  std::string text_;
  std::vector<Part> parts_;  // empty: text_ as it is
};

}  // namespace fleetward::rules
