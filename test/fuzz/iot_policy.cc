#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "registry/policies.h"

// An AWS IoT policy document with a client id and a topic: the first two lines, the document after them. A
// document that was accepted decides the same bound to the connection and not.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleetward;  // NOLINT
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto line = [&rest] {
    const std::string_view out = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), out.size() + 1));
    return std::string(out);
  };
  identity::MapContext context;
  context.set("iot:ClientId", line());
  context.set("iot:Connection.Thing.IsAttached", "true");
  context.set("aws:SourceIp", "192.0.2.7");
  context.set_list("iot:ConnectAttributes", {"LastWill", "PersistentConnect"});
  const std::string resource = "arn:aws:iot:ap-south-1:123456789012:topic/" + line();
  const auto document = registry::parse_policy_document(rest);
  if (!document) return 0;
  const auto bound = identity::PolicyDocument::bind(*document, context);
  for (const char* action : {"iot:Publish", "iot:Connect"}) {
    const auto plain = (*document)->evaluate(action, resource, context);
    if (bound->evaluate(action, resource, identity::MapContext()) != plain) std::abort();
  }
  return 0;
}
