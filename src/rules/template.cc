#include "rules/template.h"

#include "rules/compile.h"
#include "rules/limits.h"
#include "rules/node.h"
#include "rules/parser.h"

namespace fleetward::rules {

Result<Template> Template::compile(std::string text, const TemplateContext& context) {
  if (text.size() > kTemplateBytesMax) {
    return fail(ErrorCode::kLimitExceeded, "longer than " + std::to_string(kTemplateBytesMax) + " bytes");
  }
  Template out;
  size_t at = 0;
  while (true) {
    const size_t open = text.find("${", at);
    if (open == std::string::npos) break;
    auto parsed = parse_embedded(text, open + 2);
    if (!parsed) return fail(parsed.error());
    auto node = compile_expression(*parsed->expr, context);
    if (!node) return fail(node.error());
    out.parts_.push_back({text.substr(at, open - at), std::move(*node)});
    at = parsed->end;
  }
  if (!out.parts_.empty()) out.parts_.push_back({text.substr(at), nullptr});
  out.text_ = std::move(text);
  return out;
}

std::string Template::expand(Scope& scope) const {
  if (parts_.empty()) return text_;
  std::string out;
  for (const Part& part : parts_) {
    out += part.literal;
    if (!part.expression) continue;
    const auto value = to_text(part.expression->evaluate(scope));
    if (value && scope.charge(value->size())) out += *value;
  }
  return out;
}

}  // namespace fleetward::rules
