// Filter policies of SNS subscriptions, and matching any JSON against what was accepted.
#include <cstdint>
#include <string_view>

#include "alerts/filter_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t split = text.find('\n');
  const auto policy = alerts::FilterPolicy::parse(text.substr(0, split), true);
  if (!policy || split == std::string_view::npos) return 0;
  const auto values = json::parse(text.substr(split + 1));
  if (!values || !values->is_object()) return 0;
  (void)(*policy)->matches(values->get_object());
  (void)alerts::attributes_object(values->get_object());
  return 0;
}
