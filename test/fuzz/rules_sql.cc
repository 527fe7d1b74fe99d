#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rules/limits.h"
#include "rules/node.h"
#include "rules/plan.h"
#include "rules/template.h"

// Input: a statement, a zero byte, a payload, a zero byte, a template. Whatever compiles must evaluate in
// every version within its bounds, give the same answer twice, and not throw.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward::rules;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t first = std::min(input.find('\0'), input.size());
  const std::string_view sql = input.substr(0, first);
  const std::string_view rest = input.substr(std::min(first + 1, input.size()));
  const size_t second = std::min(rest.find('\0'), rest.size());

  Event event;
  event.topic = "site/line-7/motor";
  event.payload = rest.substr(0, second);
  event.client_id = "device-7";
  event.now.ms = 1767225600123;
  event.entropy[0] = 1;
  for (const SqlVersion version : {SqlVersion::k2015, SqlVersion::k2016, SqlVersion::kBeta}) {
    const auto plan = Plan::compile(sql, version);
    if (!plan) {
      if (plan.error().message.empty()) std::abort();
      continue;
    }
    const Message message(event);
    Scope scope(message, version), again(message, version);
    if ((*plan)->matches(scope) != (*plan)->matches(again)) std::abort();
    const auto output = (*plan)->select(scope);
    const auto repeated = (*plan)->select(again);
    if (output.has_value() != repeated.has_value()) std::abort();
    if (output && output->bytes() != repeated->bytes()) std::abort();
    if (output && !output->forwarded && output->text.size() > kOutputBytesMax) std::abort();
    const std::string text(rest.substr(std::min(second + 1, rest.size())));
    if (const auto compiled = Template::compile(text, (*plan)->template_context())) {
      if (compiled->expand(scope).size() > text.size() + kWorkMax) std::abort();
    }
  }
  return 0;
}
